"""The entries of the image map: those of the settings' `[images]`, and those `pdk image` has set.

The second live in `images.json` below the home, written whole or not at all; a running pachd reads it for every job.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pdk.base.errors import InvalidArgument
from pdk.base.shipped import shipped_folder

FILE = "images.json"
# The images of the pipelines that pdk ships, and their folders below `containers/`.
CONTAINERS = {"pdk-train": "train", "pdk-deploy": "deploy"}
_KEYS = {"folder": str, "python": str, "env": dict, "trust_checkpoints": bool}


@dataclass(frozen=True)
class ImageEntry:
    """What stands in for an image: a folder with its code, an interpreter (default: this one), variables.

    `trust_checkpoints`: its torch may read pickled checkpoints, which can run code.
    """

    folder: str
    python: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    trust_checkpoints: bool = False


def shipped() -> dict[str, ImageEntry]:
    """Return the entries of the images of pdk's own pipelines."""
    containers = shipped_folder() / "containers"
    return {name: ImageEntry(str(containers / folder)) for name, folder in CONTAINERS.items()}


def entry_of(value: Any, where: str) -> ImageEntry:
    """Read an entry: a folder, or {folder, python, env, trust_checkpoints}. Raises InvalidArgument naming `where`."""
    if isinstance(value, str):
        return ImageEntry(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("folder"), str):
        raise InvalidArgument(f"{where} must be a folder, or a table with a folder")
    for key, item in value.items():
        if key not in _KEYS:
            raise InvalidArgument(f"{where}: unknown key {key!r}; known: {', '.join(_KEYS)}")
        if not isinstance(item, _KEYS[key]):
            raise InvalidArgument(f"{where}: {key} = {item!r} is not a {_KEYS[key].__name__}")
    return ImageEntry(**{**value, "env": {str(k): str(v) for k, v in value.get("env", {}).items()}})


def read(home: Path) -> dict[str, ImageEntry]:
    """Return what `pdk image` has set. Raises InvalidArgument for a file that somebody else wrote."""
    path = home / FILE
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InvalidArgument(f"{path}: not JSON: {error}; pdk image writes this file") from error
    if not isinstance(document, dict):
        raise InvalidArgument(f"{path}: must hold images by name; pdk image writes this file")
    return {name: entry_of(value, f"{path}: {name}") for name, value in document.items()}


def write(home: Path, entries: Mapping[str, ImageEntry]) -> None:
    """Replace what is set."""
    path = home / FILE
    home.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    with temporary.open("w") as file:
        json.dump({name: asdict(entry) for name, entry in entries.items()}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
