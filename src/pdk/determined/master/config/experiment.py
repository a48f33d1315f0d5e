"""The experiment configuration: every setting of Determined 0.38.1 with its default and its checks.

`fill` is called when an experiment is created; the filled configuration is what answers show as `config` and what the
harness gets. Mirrors the original's schemas/expconf/v0 (settings, defaults) in the rules that matter on one machine;
settings of clusters (pod_spec, slurm, pbs, ...) are accepted and have no effect.
"""

# ruff: noqa: RUF012 - pydantic gives each model a copy of its defaults
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from pdk.determined.errors import InvalidConfig
from pdk.determined.master.config import pools, yaml_text
from pdk.determined.master.config.fields import (
    ROOT,
    Count,
    Flag,
    Positive,
    Real,
    Section,
    Text,
    check,
    choice,
    one_of,
    problems_of,
    shown,
    wrong,
)
from pdk.determined.master.config.hyperparameters import Hyperparameters, missing_counts
from pdk.determined.store.records import JSON

LEGACY_ENTRYPOINT = re.compile(r"^[\w.]+:\w+$")
UNITS = ("batches", "epochs", "records")
DEVICES = ("cpu", "cuda", "rocm")


@dataclass(frozen=True)
class Defaults:
    """What the master's own configuration contributes."""

    checkpoint_host_path: str
    resource_pool: str


class SearcherName(StrEnum):
    """The searchers the original knows."""

    SINGLE = "single"
    RANDOM = "random"
    GRID = "grid"
    ADAPTIVE_ASHA = "adaptive_asha"
    ASYNC_HALVING = "async_halving"
    CUSTOM = "custom"


class StorageType(StrEnum):
    """The kinds of checkpoint storage the original knows."""

    SHARED_FS = "shared_fs"
    DIRECTORY = "directory"
    S3 = "s3"
    GCS = "gcs"
    AZURE = "azure"


def _one_unit(value: Any) -> Any:
    given = {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else {}
    if len(given) != 1 or next(iter(given)) not in UNITS:
        raise wrong('a length must have one attribute named "batches", "records" or "epochs"')
    return given


# {batches: n}, {epochs: n} or {records: n}.
Length = Annotated[dict[str, Count], BeforeValidator(_one_unit)]
_NUMBER: TypeAdapter[Any] = TypeAdapter(Positive)
_POSITIVE_LENGTH: TypeAdapter[Any] = TypeAdapter(Annotated[dict[str, Positive], BeforeValidator(_one_unit)])


def _max_length(value: Any) -> Any:
    """Check a length of at least 1, which may also be a bare number."""
    bare = isinstance(value, int) and not isinstance(value, bool)
    return (_NUMBER if bare else _POSITIVE_LENGTH).validate_python(value)


def _entrypoint(value: Any) -> Any:
    """Check text (`module:Class` or a shell command) or a list of text (a command with its arguments)."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
        raise wrong(f"must be text or a list of text, not {shown(value)}")
    if not words or not words[0].strip() or any("\0" in w for w in words):
        raise wrong("must not be empty")
    return value


def _per_device(item: TypeAdapter[Any]) -> Callable[[Any], JSON]:
    """Return the check of a value for each kind of device ({cpu, cuda, rocm}), or of one value for all."""

    def spread(value: Any) -> JSON:
        if isinstance(value, Mapping) and not set(value) - {*DEVICES, "gpu"}:
            given = {device: value.get(device) for device in DEVICES}
        else:
            given = dict.fromkeys(DEVICES, value)
        return {device: each if each is None else item.validate_python(each) for device, each in given.items()}

    return spread


def _assignments(value: Any) -> Any:
    """Bring both forms of environment variables to a list; values are not shown in messages, they may be secret."""
    if isinstance(value, Mapping):
        return [f"{k}={v}" for k, v in value.items()]
    if not isinstance(value, list):
        raise wrong("must be a list of NAME=value")
    return value


ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(=[^\0]*)?")
Assignment = Annotated[Any, check(lambda v: isinstance(v, str) and ASSIGNMENT.fullmatch(v), "must be NAME=value")]
Variables = Annotated[list[Assignment], BeforeValidator(_assignments)]


class Single(Section):
    """One trial, and what every searcher has."""

    name: Text
    metric: Annotated[Text, check(str.strip, "must not be empty")]
    smaller_is_better: Flag = True
    max_length: Annotated[Any, PlainValidator(_max_length)] = None
    source_trial_id: Positive | None = None
    source_checkpoint_uuid: Text | None = None


class Random(Single):
    """Trials with random hyperparameters."""

    max_trials: Positive
    max_concurrent_trials: Count = 16


class Grid(Single):
    """A trial for each point of a grid."""

    max_concurrent_trials: Count = 16


NO_SEARCH = "this searcher does not run on this master; use single, random or grid"
SEARCHERS: dict[str, type[Section] | str] = {
    **dict.fromkeys(SearcherName, NO_SEARCH),
    SearcherName.SINGLE: Single,
    SearcherName.RANDOM: Random,
    SearcherName.GRID: Grid,
}


def _is_absolute(path: str) -> bool:
    return PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


AbsolutePath = Annotated[Text, check(_is_absolute, "must be an absolute path without '..'")]
# Accepted in old configurations, without effect, and not shown when absent.
Legacy = Annotated[Text | None, Field(exclude_if=lambda value: value is None)]


class Storage(Section):
    """What every checkpoint storage has: how many checkpoints are kept."""

    type: Text
    save_experiment_best: Count = 0
    save_trial_best: Count = 1
    save_trial_latest: Count = 1


class SharedFs(Storage):
    """Checkpoints in a folder that every machine mounts."""

    host_path: AbsolutePath
    storage_path: Text | None = None
    propagation: Text = "rprivate"
    container_path: Legacy = None
    checkpoint_path: Legacy = None
    tensorboard_path: Legacy = None

    @field_validator("storage_path")
    @classmethod
    def _below(cls, text: str | None, info: ValidationInfo) -> str | None:
        inner = PurePosixPath(text or "")
        host = info.data.get("host_path")
        if ".." in inner.parts or (inner.is_absolute() and host is not None and not inner.is_relative_to(host)):
            raise wrong("must be relative or below host_path, without '..'")
        return text


class Directory(Storage):
    """Checkpoints in a folder the trial itself sees."""

    container_path: AbsolutePath


NO_STORAGE = "this checkpoint storage is not available on this master; use shared_fs or directory"
STORAGES: dict[str, type[Section] | str] = {
    StorageType.SHARED_FS: SharedFs,
    StorageType.DIRECTORY: Directory,
    **dict.fromkeys((StorageType.S3, StorageType.GCS, StorageType.AZURE), NO_STORAGE),
}


class BindMount(Section):
    """A folder of the machine the trial sees."""

    host_path: Text
    container_path: Text
    read_only: Flag = False
    propagation: Text = "rprivate"


class Environment(Section):
    """What a trial's process runs in."""

    image: Annotated[JSON, PlainValidator(_per_device(TypeAdapter(Text)))] = dict.fromkeys(DEVICES, "local")
    environment_variables: Annotated[JSON, PlainValidator(_per_device(TypeAdapter(Variables)))] = {
        device: [] for device in DEVICES
    }
    force_pull_image: Flag = False
    pod_spec: Any = None
    ports: dict[str, Count] = {}
    proxy_ports: list[Any] = []
    registry_auth: Any = None
    add_capabilities: list[Text] = []
    drop_capabilities: list[Text] = []


class Optimizations(Section):
    """Section of distributed training; a single slot uses the first and mixed_precision only."""

    aggregation_frequency: Positive = 1
    auto_tune_tensor_fusion: Flag = False
    average_aggregated_gradients: Flag = True
    average_training_metrics: Flag = True
    gradient_compression: Flag = False
    grad_updates_size_file: Text | None = None
    mixed_precision: Annotated[Text, one_of("O0", "O1", "O2", "O3")] = "O0"
    tensor_fusion_cycle_time: Count = 1
    tensor_fusion_threshold: Count = 64


class Profiling(Section):
    """When the harness profiles."""

    enabled: Flag = False
    begin_on_batch: Count = 0
    end_after_batch: Count | None = None
    sync_timings: Flag = True


class Reproducibility(Section):
    """The seed of the search; the time of the submission when absent."""

    experiment_seed: Annotated[Count | None, Field(le=2**31 - 1)] = None


class TrialResources(Section):
    """What a trial gets."""

    devices: list[Any] = []
    is_single_node: Flag | None = None
    max_slots: Count | None = None
    native_parallel: Flag = False
    priority: Annotated[Positive, Field(le=99)] = 42
    resource_pool: Text = ""
    shm_size: Any = None
    slots_per_trial: Count = 1
    weight: Annotated[Real, Field(ge=0)] = 1


LOG_POLICIES = [
    {"name": "CUDA OOM", "pattern": ".*CUDA out of memory.*", "action": None},
    {"name": "ECC Error", "pattern": ".*uncorrectable ECC error encountered.*", "action": None},
]


class ExperimentConfig(Section):
    """The whole configuration."""

    bind_mounts: list[BindMount] = []
    checkpoint_policy: Annotated[Text, one_of("best", "all", "none")] = "best"
    checkpoint_storage: Annotated[Any, PlainValidator(choice("type", STORAGES))]
    data: JSON = {}
    debug: Flag = False
    description: Text | None = None
    entrypoint: Annotated[Any, PlainValidator(_entrypoint)]
    environment: Environment = Environment()
    hyperparameters: Hyperparameters = {}
    integrations: Any = None
    labels: Annotated[list[Text], AfterValidator(lambda labels: list(dict.fromkeys(labels)))] = []
    log_policies: list[Any] = LOG_POLICIES
    max_restarts: Count = 5
    min_checkpoint_period: Length = {"batches": 0}
    min_validation_period: Length = {"batches": 0}
    name: Text = ""
    optimizations: Optimizations = Optimizations()
    pbs: JSON = {}
    perform_initial_validation: Flag = False
    preemption_timeout: Positive | None = None
    profiling: Profiling = Profiling()
    project: Text = ""
    records_per_epoch: Count = 0
    reproducibility: Reproducibility = Reproducibility()
    resources: TrialResources = TrialResources()
    retention_policy: Any = None
    scheduling_unit: Positive = 100
    searcher: Annotated[Any, PlainValidator(choice("name", SEARCHERS))]
    slurm: JSON = {}
    workspace: Text = ""


def fill(text: str, defaults: Defaults) -> JSON:
    """Parse, check and fill the configuration `text`; raises InvalidConfig with every problem found."""
    submitted = yaml_text.parse(text)
    submitted["checkpoint_storage"] = merged_storage(submitted.get("checkpoint_storage"), defaults)
    try:
        config = ExperimentConfig.model_validate(submitted).model_dump()
    except ValidationError as error:
        raise InvalidConfig(problems_of(error)) from None
    if problems := _problems_of_whole(config, defaults):
        raise InvalidConfig(problems)
    config["name"] = config["name"] or f"Experiment ({secrets.token_hex(4)})"
    pools.move_to(config, defaults.resource_pool)
    if config["reproducibility"]["experiment_seed"] is None:
        config["reproducibility"]["experiment_seed"] = int(time.time())
    return config


def merged_storage(submitted: Any, defaults: Defaults) -> Any:
    """Return the submitted checkpoint storage completed with the master's, unless it is of another type."""
    own = {"type": StorageType.SHARED_FS.value, "host_path": defaults.checkpoint_host_path}
    if submitted is None:
        return own
    if not isinstance(submitted, Mapping) or submitted.get("type") not in (None, StorageType.SHARED_FS):
        return submitted
    given = {k: v for k, v in submitted.items() if v is not None}
    return {**own, **given}


def _problems_of_whole(config: JSON, defaults: Defaults) -> list[str]:
    problems = []
    if bool(config["workspace"]) != bool(config["project"]):
        problems.append("workspace and project must both be included in config if one is provided")
    if config["searcher"]["name"] == SearcherName.GRID:
        problems += missing_counts(config["hyperparameters"])
    if is_legacy(config["entrypoint"]) and config["searcher"]["max_length"] is None:
        problems.append(
            f"{ROOT}.searcher.max_length: is required when the entrypoint is a trial class "
            f"({config['entrypoint']}), e.g. {{batches: 1000}}"
        )
    slots = config["resources"]["slots_per_trial"]
    if slots > 1:
        problems.append(
            f"{ROOT}.resources.slots_per_trial: {slots} slots were asked for, a trial gets at most 1 on this master"
        )
    return problems


def is_legacy(entrypoint: Any) -> bool:
    """Tell whether an entrypoint names a trial class (`model_def:MyTrial`)."""
    return isinstance(entrypoint, str) and LEGACY_ENTRYPOINT.match(entrypoint) is not None


def storage_folder(storage: Mapping[str, Any]) -> str:
    """Return the folder of the machine that holds the checkpoints of a filled `checkpoint_storage`."""
    if storage["type"] == StorageType.DIRECTORY:
        return str(storage["container_path"])
    return str(PurePosixPath(storage["host_path"]) / (storage["storage_path"] or ""))
