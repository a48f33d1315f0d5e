"""Staged files -> .mar, and the gate the .mar must pass before anything is stored. Called by `build.py`.

The archiver is run as a checked subprocess with a temporary folder of its own: called in-process it empties
`<tmp>/<model name>` whatever is there (model_packaging_utils.copy_artifacts), so two builds on one machine collide.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from deployment.errors import ArchiveError
from deployment.requirements import interpreter
from deployment.staging import GENERIC, HERE, Staged

ARCHIVER_SECONDS = 120
GATE_SECONDS = 300


def versions() -> dict[str, str]:
    """Tell which Python and libraries the archive was made and checked with."""
    packages = ("torch", "torchserve", "torch-model-archiver", "numpy")
    return {"python": python_version(), **{name: version(name) for name in packages}}


def script(checkpoint: Path, target: Path) -> None:
    """Write the TorchScript of a PyTorchTrial's network to `target`, see `scripting.py`. Raises `ArchiveError`."""
    command = [sys.executable, str(HERE / "scripting.py"), str(checkpoint), str(target)]
    try:
        result = _run(command, GATE_SECONDS, {"SERVING_MODE": "true"})
    except subprocess.TimeoutExpired as error:
        raise ArchiveError(f"the checkpoint was not loaded and scripted within {error.timeout:.0f} s") from error
    if result.returncode != 0:
        raise ArchiveError(f"the checkpoint cannot be made TorchScript: {_cause(result)}\n{_tail(result)}")


def pack(staged: Staged, model_name: str, model_version: str, scratch: Path) -> Path:
    """Run torch-model-archiver over the staged files; gives the path of the .mar in `scratch`."""
    scratch.mkdir(parents=True)
    temporary = scratch / "tmp"
    temporary.mkdir()
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", model_name, "--version", model_version,
        # Of a folder the archiver takes what lies in it, folders included.
        "--handler", str(staged.folder / staged.handler), "--extra-files", str(staged.folder),
        "--export-path", str(scratch), "--archive-format", "zip-store",
    ]  # fmt: skip
    files = {
        "serialized-file": staged.serialized,
        "model-file": staged.model_file,
        "config-file": staged.config,
        "requirements-file": staged.requirements,
    }
    for option, path in files.items():
        command += [] if path is None else [f"--{option}", str(path)]
    result = _run(command, ARCHIVER_SECONDS, {"TMPDIR": str(temporary)})
    archive = scratch / f"{model_name}.mar"
    if result.returncode != 0 or not archive.is_file():
        raise ArchiveError(f"torch-model-archiver failed with exit code {result.returncode}:\n{_tail(result)}")
    return archive


def check(archive: Path, served_name: str, scratch: Path, staged: Staged, batch_size: int) -> dict[str, Any]:
    """Load the archive as a TorchServe worker does and let it answer its own example; gives what `gate.py` reports.

    In a process of its own, with the model's requirements: the archive's code is imported from the archive and nowhere
    else, and a model that hangs or crashes the interpreter fails the job with a reason.
    """
    scratch.mkdir(parents=True)
    report = scratch / "report.json"
    kind = "generic" if staged.generic else "own"
    python = interpreter(staged.requirements, scratch)
    command = [python, str(HERE / "gate.py"), str(archive), served_name, str(report), kind, str(batch_size)]
    try:
        result = _run(command, GATE_SECONDS, {"TMPDIR": str(scratch)})
    except subprocess.TimeoutExpired as error:
        raise ArchiveError(f"the archive did not load and answer its example within {error.timeout:.0f} s") from error
    if result.returncode != 0:
        raise ArchiveError(f"the archive does not answer, so nothing was stored: {_cause(result)}\n{_tail(result)}")
    loaded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return loaded


def comparable(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the part of the gate's report that any copy of this model must reproduce; None if nothing can be compared.

    That is a V1 request and its predictions. Who is asked for `model_info`, and what that says, differs between builds
    of one model, so both are left out.
    """
    if "predictions" in report:
        request = {"instances": report["request"]["instances"][:-1]}
        return {"request": request, "predictions": report["predictions"][:-1]}
    request, answer = report["request"], report["answer"]
    if not isinstance(request, dict) or not isinstance(request.get("instances"), list):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("predictions"), list):
        return None
    return {"request": request, "predictions": answer["predictions"]}


def add(archive: Path, name: str, document: Mapping[str, Any]) -> None:
    """Add a JSON file that the archive's own code does not read, and check that the archive is still whole."""
    with zipfile.ZipFile(archive, "a") as bundle:
        before = bundle.namelist()
        bundle.writestr(name, json.dumps(document, allow_nan=False))
    with zipfile.ZipFile(archive) as bundle:
        damaged = bundle.testzip()
        if damaged is not None or bundle.namelist() != [*before, name]:
            raise ArchiveError(f"{archive.name} is damaged after adding {name} (first bad file: {damaged})")


def handler_version(staged: Staged) -> str:
    """Name the handler by its content: the code changes, the version changes."""
    names = GENERIC if staged.generic else (staged.handler,)
    content = b"".join((staged.folder / name).read_bytes() for name in names)
    return hashlib.sha256(content).hexdigest()[:12]


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run(command: list[str], seconds: float, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds, check=False
    )


def _cause(result: subprocess.CompletedProcess[str]) -> str:
    """The last line of what a process wrote to stderr: a traceback ends with the exception."""
    lines = result.stderr.strip().splitlines()
    return lines[-1] if result.returncode == 1 and lines else f"its process ended with exit code {result.returncode}"


def _tail(result: subprocess.CompletedProcess[str], lines: int = 15) -> str:
    return "\n".join((result.stdout + result.stderr).strip().splitlines()[-lines:])
