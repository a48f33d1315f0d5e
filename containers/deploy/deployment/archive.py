"""Checkpoint -> .mar, and the gate the .mar must pass before anything is stored. Called by `build.py`.

The archiver is run as a checked subprocess with a temporary folder of its own: called in-process it empties
`<tmp>/<model name>` whatever is there (model_packaging_utils.copy_artifacts), so two builds on one machine collide.
No TorchScript: the archive carries the code, the fitted feature spec and the weights as a plain state_dict.
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
from shutil import copyfile
from typing import Any

from deployment.errors import ArchiveError, InputError

HERE = Path(__file__).resolve().parent.parent
HANDLER_FILES = ("handler.py", "v1_request.py")
WEIGHTS = "weights.pt"
# Name in the archive -> path in the checkpoint. Determined's own state_dict.pth is a pickle and stays behind.
CHECKPOINT_FILES = {
    "model.py": "code/model.py",
    "features.py": "code/features.py",
    "feature_spec.json": "feature_spec.json",
    "model_config.json": "model_config.json",
    WEIGHTS: WEIGHTS,
}
ARCHIVER_SECONDS = 120
GATE_SECONDS = 300


def read_checkpoint_json(checkpoint: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of the checkpoint. Raises `InputError`."""
    path = checkpoint / name
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {_origin()}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} must hold a JSON object, not {type(document).__name__}")
    return document


def versions() -> dict[str, str]:
    """Tell which Python and libraries the archive was made and checked with."""
    packages = ("torch", "torchserve", "torch-model-archiver", "numpy")
    return {"python": python_version(), **{name: version(name) for name in packages}}


def stage(checkpoint: Path, folder: Path, documents: Mapping[str, Any]) -> None:
    """Lay the files of the archive out flat in `folder`; `documents` (name -> JSON value) are added to them."""
    folder.mkdir(parents=True)
    for name, source in CHECKPOINT_FILES.items():
        path = checkpoint / source
        if not path.is_file():
            raise InputError(f"{path} is missing: {_origin()}")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty: {_origin()}")
        copyfile(path, folder / name)
    for name in HANDLER_FILES:
        copyfile(HERE / name, folder / name)
    for name, value in documents.items():
        (folder / name).write_text(json.dumps(value, indent=1, allow_nan=False), encoding="utf-8")


def pack(folder: Path, model_name: str, model_version: str, scratch: Path) -> Path:
    """Run torch-model-archiver over the staged files; gives the path of the .mar in `scratch`."""
    scratch.mkdir(parents=True)
    direct = {"model.py", WEIGHTS, "handler.py"}
    extra = sorted(str(path) for path in folder.iterdir() if path.name not in direct)
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", model_name, "--version", model_version,
        "--model-file", str(folder / "model.py"), "--serialized-file", str(folder / WEIGHTS),
        "--handler", str(folder / "handler.py"), "--extra-files", ",".join(extra),
        "--export-path", str(scratch), "--archive-format", "zip-store",
    ]  # fmt: skip
    temporary = scratch / "tmp"
    temporary.mkdir()
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
        raise ArchiveError(
            f"the archive does not answer, so nothing was stored (exit code {result.returncode}):\n{_tail(result)}"
        )
    loaded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return loaded


def comparable(report: Mapping[str, Any]) -> dict[str, Any]:
    """Give the part of the gate's report that any copy of this model must reproduce: its numbers.

    Who is asked for `model_info`, and what that says, differs between builds of one model, so both are left out.
    """
    instances = [item for item in report["request"]["instances"] if not item.get("parameters", {}).get("model_info")]
    predictions = [prediction for prediction in report["predictions"] if not isinstance(prediction, dict)]
    return {"request": {"instances": instances}, "predictions": predictions}


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


def _tail(result: subprocess.CompletedProcess[str], lines: int = 15) -> str:
    return "\n".join((result.stdout + result.stderr).strip().splitlines()[-lines:])


def _origin() -> str:
    return "the training job writes its checkpoint there; look at that job's log"
