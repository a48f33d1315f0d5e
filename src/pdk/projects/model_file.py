"""`model.yaml`, the one small file of a model's folder with what differs between models: names, repos, resources.

Read by everything that works on a folder. Every key but `name` has a default; `DEFAULTS` of each class are what a
folder without it gets. A key nobody knows is an error that names the nearest known one.
"""

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pdk.base.errors import InvalidArgument

FILE_NAME = "model.yaml"
# A DNS label, as an InferenceService's name must be, with room for the endings of the pipelines.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_REPO = re.compile(r"[A-Za-z0-9_-]{1,100}")
# What goes into a shell command of a pipeline as it is.
_WORD = re.compile(r"[\w.][\w./:@-]*", re.ASCII)

T = TypeVar("T")


class BadModelFile(InvalidArgument):
    """`model.yaml` cannot be used; names file and key, and says what to write."""


@dataclass(frozen=True)
class Code:
    """Where the training job gets the folder's code from: a Pachyderm repo, or (with `git_sub_dir`) a git repository.

    `retrain`: a commit of code trains too. A git repository is named by the secret's keys code_url and code_ref.
    """

    repo: str = ""
    retrain: bool = False
    git_sub_dir: str | None = None


@dataclass(frozen=True)
class Train:
    """The training pipeline: image, experiment config in the folder, job timeout in seconds."""

    image: str = "pdk-train:0.1.0"
    config: str = "const.yaml"
    incremental: bool = True
    timeout: int = 86400


@dataclass(frozen=True)
class Build:
    """The deployment pipeline. `handler` and `extra_files` are for checkpoints without a serving folder."""

    image: str = "pdk-deploy:0.1.0"
    handler: str | None = None
    extra_files: tuple[str, ...] = ()
    workers: int = 1
    batch_size: int = 1
    max_rows: int = 10_000


@dataclass(frozen=True)
class Rollout:
    """The rollout pipeline: what the InferenceService asks for; `timeout` in seconds until it must answer."""

    image: str = "pdk-deploy:0.1.0"
    service_account: str = "pach-deploy"
    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "1", "memory": "1Gi"})
    limits: Mapping[str, str] = field(default_factory=lambda: {"cpu": "2", "memory": "2Gi"})
    tolerations: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 600
    runtime: str | None = None


@dataclass(frozen=True)
class ModelFile:
    """One model: `name` is the registered model, the InferenceService and the beginning of the pipelines' names.

    `pipelines` is the folder of the pipelines' files, seen from the model's folder.
    """

    name: str
    description: str = ""
    project: str = ""
    workspace: str = "pdk"
    data_repo: str = ""
    secret: str = ""
    pipelines: str = "pipelines"
    code: Code = field(default_factory=Code)
    train: Train = field(default_factory=Train)
    build: Build = field(default_factory=Build)
    rollout: Rollout = field(default_factory=Rollout)

    @property
    def train_pipeline(self) -> str:
        """Trains, and is the repo of checkpoints."""
        return f"{self.name}-train"

    @property
    def deploy_pipeline(self) -> str:
        """Builds, and is the repo of archives."""
        return f"{self.name}-deploy"

    @property
    def rollout_pipeline(self) -> str:
        """Rolls out, and is the repo of what was rolled out."""
        return f"{self.name}-rollout"


def read(folder: Path) -> ModelFile:
    """Read the model file of a folder. Raises BadModelFile."""
    path = folder / FILE_NAME
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadModelFile(f"{path} is missing: {folder} is no model's folder; `pdk new` makes one") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadModelFile(f"{path} cannot be read as YAML: {error}") from error
    return parse(document, str(path))


def parse(document: Any, where: str) -> ModelFile:
    """Check a document and fill in the defaults. Raises BadModelFile; `where` is what messages call it."""
    model = _read_into(ModelFile, document, where, "")
    if not _NAME.fullmatch(model.name):
        raise BadModelFile(
            f"{where}: name {model.name!r} must begin with a letter and hold lowercase letters, digits and dashes, "
            "at most 40: the InferenceService is called so"
        )
    name = model.name
    code = model.code if model.code.repo else dataclasses.replace(model.code, repo=f"{name}-code")
    filled = dataclasses.replace(
        model,
        project=model.project or name,
        data_repo=model.data_repo or f"{name}-data",
        secret=model.secret or f"{name}-secret",
        code=code,
    )
    _check(filled, where)
    return filled


def _check(model: ModelFile, where: str) -> None:
    for key, value in (("project", model.project), ("data_repo", model.data_repo), ("code.repo", model.code.repo)):
        if not _REPO.fullmatch(value):
            raise BadModelFile(f"{where}: {key} {value!r} must hold letters, digits, dashes and underscores only")
    for key, word in _words(model).items():
        if word is not None and not _WORD.fullmatch(word):
            raise BadModelFile(f"{where}: {key} {word!r} must be a plain word: letters, digits, and . _ - / :")
    if model.build.extra_files and model.build.handler is None:
        raise BadModelFile(f"{where}: build.extra_files go with a handler: name it in build.handler")
    if model.code.retrain and model.code.git_sub_dir is not None:
        raise BadModelFile(f"{where}: code.retrain needs the code in a Pachyderm repo: a git commit starts no job")
    numbers = ("train.timeout", "rollout.timeout", "build.workers", "build.batch_size", "build.max_rows")
    for key in numbers:
        section, _, name = key.partition(".")
        if getattr(getattr(model, section), name) < 1:
            raise BadModelFile(f"{where}: {key} must be at least 1")


def _words(model: ModelFile) -> dict[str, str | None]:
    """What goes into a pipeline's command or image as it is, by key."""
    return {
        "train.image": model.train.image,
        "build.image": model.build.image,
        "rollout.image": model.rollout.image,
        "train.config": model.train.config,
        "code.git_sub_dir": model.code.git_sub_dir,
        "build.handler": model.build.handler,
        "rollout.service_account": model.rollout.service_account,
        "rollout.runtime": model.rollout.runtime,
        **{f"build.extra_files[{i}]": name for i, name in enumerate(model.build.extra_files)},
        **{f"rollout.{key}": text for key in ("requests", "limits", "tolerations") for text in _pairs(model, key)},
    }


def _pairs(model: ModelFile, key: str) -> list[str]:
    return [text for pair in getattr(model.rollout, key).items() for text in pair]


def _read_into(kind: type[T], document: Any, where: str, prefix: str) -> T:
    """Make a dataclass of a mapping, key by key, each of the type of its default."""
    if not isinstance(document, Mapping):
        raise BadModelFile(f"{where}: {prefix or 'the file'} must hold keys and values, not {_kind(document)}")
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    values = {}
    for key, value in document.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise BadModelFile(f"{where}: unknown key {prefix + str(key)!r}{hint}")
        if value is not None:
            values[key] = _convert(known[key], value, where, prefix + key)
    if "name" in known and "name" not in values:
        raise BadModelFile(f"{where}: name is missing: how the model is called")
    return kind(**values)


def _convert(entry: "dataclasses.Field[Any]", value: Any, where: str, key: str) -> Any:
    default = entry.default_factory() if entry.default_factory is not dataclasses.MISSING else entry.default
    if dataclasses.is_dataclass(default):
        return _read_into(type(default), value, where, f"{key}.")
    if isinstance(default, Mapping):
        if not isinstance(value, Mapping):
            raise BadModelFile(f"{where}: {key} must be keys and values, such as {{cpu: 1}}, not {_kind(value)}")
        return {str(name): str(item) for name, item in value.items()}
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadModelFile(f"{where}: {key} must be a list of file names, not {_kind(value)}")
        return tuple(value)
    wanted: type = str if default is None or default is dataclasses.MISSING else type(default)
    if type(value) is not wanted:
        raise BadModelFile(f"{where}: {key} must be {_WORDS[wanted]}, not {value!r}")
    return value


_WORDS = {str: "a text", bool: "true or false", int: "a whole number"}


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
