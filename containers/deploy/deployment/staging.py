"""What goes into the archive of a checkpoint, laid out in a folder. Called by `build.py`.

Three kinds of checkpoint can be served:

- `serving/` with `model.py`: the serving contract. The folder goes in as it is, below `serving/`, and the generic
  handler beside it.
- `serving/` with its own `handler.py`: flat, as it is, as TorchServe's own handlers expect it. The only *.pt or *.pth
  becomes the archive's serialized file, `model.py` its model file (of a BaseHandler: one class, the eager network; a
  `class Model` with `predict` is the serving contract's, and stays an ordinary file), `model-config.yaml` its config.
- no `serving/`: a PyTorchTrial, with `--handler` and `--extra-files`. Its network becomes TorchScript,
  `scriptmodule.pt`, and goes in flat with these files.

`sample-request.json` of a handler of the second or third kind may also lie with the experiment's code.
"""

import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns
from typing import Any

from deployment.errors import InputError

HERE = Path(__file__).resolve().parent.parent
GENERIC = ("handler.py", "v1_request.py", "serving_folder.py", "answers.py", "batch.py")
SERVING = "serving"
SAMPLE = "sample-request.json"
REQUIREMENTS = "requirements.txt"
SCRIPTED = "scriptmodule.pt"
MODEL_CONFIG = "model-config.yaml"
# Requirements go into an environment of the model's own, not into the server's.
_OWN_ENVIRONMENT = "useVenv: true\n"
LARGEST_FOLDER = 4 * 1024**3
# Written by the build and the archiver.
_RESERVED = ("MAR-INF", "archive_info.json", "probe.json")
# The oldest Python the handler's own files run on, the serving image's.
_OLDEST = (3, 9)


@dataclass(frozen=True)
class Given:
    """`--handler` and `--extra-files`."""

    handler: str
    extra_files: Sequence[str] = ()


@dataclass(frozen=True)
class Staged:
    """The files of an archive in `folder`; `model` is the folder in it that holds the model's own.

    `generic`: the handler is ours, and the model keeps the serving contract.
    """

    folder: Path
    model: Path
    handler: str
    generic: bool

    def add(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a JSON file at the top."""
        (self.folder / name).write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")

    @property
    def requirements(self) -> Path | None:
        """What the model needs beside the serving image."""
        path = self.model / REQUIREMENTS
        return path if path.is_file() else None

    @property
    def serialized(self) -> Path | None:
        """The weights that a handler of TorchServe loads; None where only the handler knows which of several."""
        if self.generic:
            return None
        found = [path for path in self.folder.iterdir() if path.suffix in (".pt", ".pth")]
        found = [path for path in found if path.name == SCRIPTED] or found
        return found[0] if len(found) == 1 else None

    @property
    def model_file(self) -> Path | None:
        """The eager network's class of a handler of TorchServe."""
        path = self.folder / "model.py"
        return path if not self.generic and path.is_file() and not _keeps_the_contract(path) else None

    @property
    def config(self) -> Path | None:
        """TorchServe's own settings of a model."""
        path = self.folder / MODEL_CONFIG
        return path if path.is_file() else None

    def requires_python(self) -> str:
        """The Python it needs: the one that built it where packages were chosen for it, else what its files demand."""
        newest = sys.version_info[:2]
        if self.requirements is not None:
            return f">={newest[0]}.{newest[1]}"
        files = [path.read_bytes() for path in sorted(self.model.rglob("*.py"))]
        minors = range(_OLDEST[1], newest[1])
        return f">=3.{next((minor for minor in minors if all(_parses(each, minor) for each in files)), newest[1])}"


def stage(checkpoint: Path, folder: Path, given: Given | None, script: Callable[[Path], None]) -> Staged:
    """Lay out in `folder` what goes into the archive; `script` writes the TorchScript of the checkpoint's network.

    Raises `InputError`.
    """
    source = checkpoint / SERVING
    if source.is_dir() and given is not None:
        raise InputError(
            f"{source} says how this model is served, and so does --handler {given.handler}: leave one of them out"
        )
    staged = _staged(checkpoint, folder, given, script)
    config = folder / MODEL_CONFIG
    if staged.requirements is not None and not config.exists():
        config.write_text(_OWN_ENVIRONMENT, encoding="ascii")
    return staged


def _staged(checkpoint: Path, folder: Path, given: Given | None, script: Callable[[Path], None]) -> Staged:
    source = checkpoint / SERVING
    if given is not None:
        return _scripted(checkpoint, folder, given, script)
    if not any((source / name).is_file() for name in ("model.py", "handler.py")):
        raise InputError(
            f"{source}/model.py is missing: an experiment leaves there what is to be served (or the pipeline gives "
            "--handler for a PyTorchTrial), see docs/your-own-model.md; look at the training job's log"
        )
    _demand_size(source, [source])
    if (source / "handler.py").is_file():
        return _own_handler(checkpoint, folder)
    copytree(source, folder / SERVING, ignore=ignore_patterns("__pycache__"))
    for name in GENERIC:
        copyfile(HERE / name, folder / name)
    return Staged(folder, folder / SERVING, "handler.py", generic=True)


def _own_handler(checkpoint: Path, folder: Path) -> Staged:
    copytree(checkpoint / SERVING, folder, ignore=ignore_patterns("__pycache__"))
    return _whole(checkpoint, Staged(folder, folder, "handler.py", generic=False))


def _scripted(checkpoint: Path, folder: Path, given: Given, script: Callable[[Path], None]) -> Staged:
    code = checkpoint / "code"
    found = [_find(name, (code, HERE)) for name in (given.handler, *given.extra_files)]
    if found[0].suffix != ".py" or not found[0].is_file():
        raise InputError(f"--handler {given.handler}: {found[0]} is no Python file")
    _demand_size(checkpoint, found)
    folder.mkdir(parents=True)
    for path in found:
        # Of a folder what lies in it, as torch-model-archiver takes it.
        for each in sorted(path.iterdir()) if path.is_dir() else (path,):
            _copy_into(folder, each)
    script(folder / SCRIPTED)
    return _whole(checkpoint, Staged(folder, folder, found[0].name, generic=False))


def _whole(checkpoint: Path, staged: Staged) -> Staged:
    """Add the sample request of the experiment's code, and refuse files that would be written over."""
    taken = [name for name in _RESERVED if (staged.folder / name).exists()]
    if taken:
        raise InputError(f"{taken[0]} of the model would be written over by the archive's own: call it otherwise")
    sample = checkpoint / "code" / SAMPLE
    if sample.is_file() and not (staged.folder / SAMPLE).exists():
        copyfile(sample, staged.folder / SAMPLE)
    return staged


def _find(name: str, places: Iterable[Path]) -> Path:
    paths = [place / name for place in places]
    for path in paths:
        if path.exists():
            return path
    raise InputError(f"{name} is neither {paths[0]} nor {paths[1]}: give it relative to the experiment's code")


def _copy_into(folder: Path, path: Path) -> None:
    target = folder / path.name
    if path.name == "__pycache__":
        return
    if target.exists() or path.name == SCRIPTED:
        raise InputError(f"{path} cannot be packed: the archive has a {path.name} already; all files lie side by side")
    if path.is_dir():
        copytree(path, target, ignore=ignore_patterns("__pycache__"))
    else:
        copyfile(path, target)


def _demand_size(source: Path, paths: Iterable[Path]) -> None:
    files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    size = sum(file.stat().st_size for file in files)
    if size > LARGEST_FOLDER:
        raise InputError(f"{source} holds {size} bytes, more than the {LARGEST_FOLDER} an archive may have")


def _keeps_the_contract(path: Path) -> bool:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return False  # the handler that imports it will say so
    models = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Model"]
    return any(isinstance(item, ast.FunctionDef) and item.name == "predict" for node in models for item in node.body)


def _parses(source: bytes, minor: int) -> bool:
    try:
        ast.parse(source, feature_version=(3, minor))
    except (SyntaxError, ValueError):
        return False
    return True


def least_python(requires: str) -> tuple[int, int] | None:
    """Read `requires_python` as it stands in a document; None if it says nothing."""
    found = re.fullmatch(r">=(\d+)\.(\d+)", requires)
    return (int(found[1]), int(found[2])) if found else None
