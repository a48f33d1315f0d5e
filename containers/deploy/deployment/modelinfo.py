"""`model-info.yaml`: what one pipeline tells the next about the model it made. Read and written by `deploy.py`.

The training pipeline writes the first one: {name, version, pipeline, repo} as in the original example, and the
version's name, data commit, code commit, experiment, checkpoint and metrics. `version` is the number in the model
registry. `build` passes all of it on and adds a `build` section, which is what `rollout` needs.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deployment.errors import InputError

FILE_NAME = "model-info.yaml"


@dataclass(frozen=True)
class TrainedModel:
    """A registered model version. `version_name` is the id of the training job."""

    name: str
    version: int
    version_name: str
    data_commit: str
    code_commit: str
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Build:
    """What `build` made of a model version, and where it put it.

    `uri` is empty when the model lies in the output commit of `pipeline` (then the commit completes the address).
    `envelope`: the service may have TorchServe's kserve envelope. `requires_python`: ">=3.9", "" where it is not said.
    """

    job: str
    pipeline: str
    project: str
    served_name: str
    archive: str
    archive_sha256: str
    batch_size: int
    uri: str
    envelope: bool
    requires_python: str


def read_trained(folder: Path) -> TrainedModel:
    """Read what the training pipeline wrote into `folder`. Raises `InputError`."""
    path = folder / FILE_NAME
    document = _load(path)
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InputError(f"{path}: version must be the number of the model version (1, 2, ...), not {version!r}")
    return TrainedModel(
        name=_text(document, "name", path),
        version=version,
        version_name=_text(document, "version_name", path),
        data_commit=_text(document, "data_commit", path),
        code_commit=str(document.get("code_commit") or ""),
        document=document,
    )


def read_built(folder: Path) -> tuple[TrainedModel, Build]:
    """Read what `build` wrote into `folder`. Raises `InputError`."""
    trained = read_trained(folder)
    path = folder / FILE_NAME
    section = trained.document.get("build")
    if not isinstance(section, Mapping):
        raise InputError(f"{path} has no build section: the input of rollout must be the output of deploy.py build")
    batch_size = section.get("batch_size", 1)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"{path}: build.batch_size must be a whole number of at least 1, not {batch_size!r}")
    envelope = section.get("envelope", batch_size == 1)  # archives of version 0.1.0 do not say
    if not isinstance(envelope, bool):
        raise InputError(f"{path}: build.envelope must be true or false, not {envelope!r}")
    return trained, Build(
        job=_text(section, "job", path),
        pipeline=_text(section, "pipeline", path),
        project=_text(section, "project", path),
        served_name=_text(section, "served_name", path),
        archive=_text(section, "archive", path),
        archive_sha256=_text(section, "archive_sha256", path),
        batch_size=batch_size,
        uri=str(section.get("uri") or ""),
        envelope=envelope,
        requires_python=str(section.get("requires_python") or ""),
    )


def write_yaml(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as stream:
        yaml.safe_dump(dict(document), stream, sort_keys=False, allow_unicode=True)
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).replace(path)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {_what_to_do(path.parent)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not text.strip():
        raise InputError(f"{path} is empty: is the input of this pipeline marked empty_files? It needs the content")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} must hold keys and values, not {type(document).__name__}")
    return document


def _what_to_do(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} does not exist; name the input with --input"
    if not any(folder.iterdir()):
        return f"{folder} is empty; the upstream job wrote nothing, look at its log"
    return "the upstream job did not write it; look at its log"


def _text(document: Mapping[str, Any], key: str, path: Path) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{path}: {key} must be a text, not {value!r}")
    return value
