"""Serving folder -> .mar, and the gate the .mar must pass before anything is stored. Called by `build.py`.

The archiver is run as a checked subprocess with a temporary folder of its own: called in-process it empties
`<tmp>/<model name>` whatever is there (model_packaging_utils.copy_artifacts), so two builds on one machine collide.
What the experiment left under `serving/` lies in the archive as it is, below `serving/`; the handler beside it.
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
from shutil import copyfile, copytree, ignore_patterns, move
from typing import Any

from deployment.errors import ArchiveError, InputError

HERE = Path(__file__).resolve().parent.parent
HANDLER_FILES = ("handler.py", "v1_request.py", "serving_folder.py", "answers.py", "batch.py")
SERVING = "serving"
LARGEST_FOLDER = 4 * 1024**3
ARCHIVER_SECONDS = 120
GATE_SECONDS = 300


def versions() -> dict[str, str]:
    """Tell which Python and libraries the archive was made and checked with."""
    packages = ("torch", "torchserve", "torch-model-archiver", "numpy")
    return {"python": python_version(), **{name: version(name) for name in packages}}


def stage(checkpoint: Path, folder: Path, documents: Mapping[str, Any]) -> None:
    """Lay out in `folder` what goes into the archive. Raises `InputError`.

    That is the checkpoint's serving folder below `serving/`, the handler, and `documents` (name -> JSON value).
    """
    source = checkpoint / SERVING
    if not (source / "model.py").is_file():
        raise InputError(
            f"{source}/model.py is missing: an experiment leaves there what is to be served, see "
            "docs/your-own-model.md; the training job writes its checkpoint, look at that job's log"
        )
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    if size > LARGEST_FOLDER:
        raise InputError(f"{source} holds {size} bytes, more than the {LARGEST_FOLDER} an archive may have")
    copytree(source, folder / SERVING, ignore=ignore_patterns("__pycache__"))
    for name in HANDLER_FILES:
        copyfile(HERE / name, folder / name)
    for name, value in documents.items():
        (folder / name).write_text(json.dumps(value, indent=1, allow_nan=False), encoding="utf-8")


def pack(folder: Path, model_name: str, model_version: str, scratch: Path) -> Path:
    """Run torch-model-archiver over the staged files; gives the path of the .mar in `scratch`."""
    scratch.mkdir(parents=True)
    temporary = scratch / "tmp"
    temporary.mkdir()
    handler = Path(move(folder / "handler.py", temporary / "handler.py"))
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", model_name, "--version", model_version,
        # Of a folder the archiver takes what lies in it, folders included.
        "--handler", str(handler), "--extra-files", str(folder),
        "--export-path", str(scratch), "--archive-format", "zip-store",
    ]  # fmt: skip
    requirements = folder / SERVING / "requirements.txt"
    if requirements.is_file():
        command += ["--requirements-file", str(requirements)]
    result = _run(command, ARCHIVER_SECONDS, {"TMPDIR": str(temporary)})
    archive = scratch / f"{model_name}.mar"
    if result.returncode != 0 or not archive.is_file():
        raise ArchiveError(f"torch-model-archiver failed with exit code {result.returncode}:\n{_tail(result)}")
    return archive


def check(archive: Path, served_name: str, scratch: Path) -> dict[str, Any]:
    """Load the archive as a TorchServe worker does and let it answer its own example; gives what `gate.py` reports.

    In a process of its own: the archive's code is imported from the archive and nowhere else, and a model that hangs
    or crashes the interpreter fails the job with a reason.
    """
    scratch.mkdir(parents=True)
    report = scratch / "report.json"
    command = [sys.executable, str(HERE / "gate.py"), str(archive), served_name, str(report)]
    try:
        result = _run(command, GATE_SECONDS, {"TMPDIR": str(scratch)})
    except subprocess.TimeoutExpired as error:
        raise ArchiveError(f"the archive did not answer its example within {error.timeout:.0f} s") from error
    if result.returncode != 0:
        raise ArchiveError(f"the archive does not answer, so nothing was stored: {_cause(result)}\n{_tail(result)}")
    loaded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return loaded


def comparable(report: Mapping[str, Any]) -> dict[str, Any]:
    """Give the part of the gate's report that any copy of this model must reproduce: its numbers.

    Who is asked for `model_info`, and what that says, differs between builds of one model, so both are left out.
    """
    return {"request": {"instances": report["request"]["instances"][:-1]}, "predictions": report["predictions"][:-1]}


def add(archive: Path, name: str, document: Mapping[str, Any]) -> None:
    """Add a JSON file that the archive's own code does not read, and check that the archive is still whole."""
    with zipfile.ZipFile(archive, "a") as bundle:
        before = bundle.namelist()
        bundle.writestr(name, json.dumps(document, allow_nan=False))
    with zipfile.ZipFile(archive) as bundle:
        damaged = bundle.testzip()
        if damaged is not None or bundle.namelist() != [*before, name]:
            raise ArchiveError(f"{archive.name} is damaged after adding {name} (first bad file: {damaged})")


def handler_version() -> str:
    """Name the handler by its content: the code changes, the version changes."""
    content = b"".join((HERE / name).read_bytes() for name in HANDLER_FILES)
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
