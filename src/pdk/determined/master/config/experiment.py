"""The experiment configuration: every setting of Determined 0.38.1 with its default and its checks.

`fill` is called when an experiment is created; the filled configuration is what answers show as `config` and what the
harness gets. Mirrors the original's schemas/expconf/v0 (settings, defaults) in the rules that matter on one machine;
settings of clusters (pod_spec, slurm, pbs, ...) are accepted and have no effect.
"""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pdk.determined.errors import InvalidConfig
from pdk.determined.master.config import yaml_text
from pdk.determined.master.config.fields import (
    REQUIRED,
    Anything,
    Choice,
    Flag,
    Kind,
    ListOf,
    MapOf,
    Number,
    Object,
    Problems,
    Setting,
    Text,
    shown,
)
from pdk.determined.master.config.hyperparameters import Hyperparameters, check_counts

LEGACY_ENTRYPOINT = re.compile(r"^[\w.]+:\w+$")
UNITS = ("batches", "epochs", "records")
ROOT = "<config>"
COUNT = Number(whole=True, minimum=0)
POSITIVE = Number(whole=True, minimum=1)


@dataclass(frozen=True)
class Defaults:
    """What the master's own configuration contributes."""

    checkpoint_host_path: str
    resource_pool: str
    slots: int


class Length:
    """{batches: n}, {epochs: n} or {records: n}; `positive` also takes a bare number, as max_length does."""

    def __init__(self, positive: bool = False) -> None:
        self._positive = positive

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check that there is exactly one unit with a whole number."""
        number = POSITIVE if self._positive else COUNT
        if self._positive and isinstance(value, int) and not isinstance(value, bool):
            return number.fill(value, path, problems)
        given = {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else {}
        if len(given) != 1 or next(iter(given)) not in UNITS:
            problems.append(f'{path}: a length must have one attribute named "batches", "records" or "epochs"')
            return value
        return {unit: number.fill(n, f"{path}.{unit}", problems) for unit, n in given.items()}


class Entrypoint:
    """Text (`module:Class` or a shell command) or a list of text (a command with its arguments)."""

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check the type and that it is not empty."""
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
            problems.append(f"{path}: must be text or a list of text, not {shown(value)}")
        elif not words or not words[0].strip() or any("\0" in w for w in words):
            problems.append(f"{path}: must not be empty")
        return value


class PerDevice:
    """A value for every kind of device ({cpu, cuda, rocm}), or one value for all."""

    def __init__(self, item: Kind) -> None:
        self._item = item

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Spread one value over the kinds."""
        if isinstance(value, Mapping) and not set(value) - {"cpu", "cuda", "rocm", "gpu"}:
            spread = {k: value.get(k) for k in ("cpu", "cuda", "rocm")}
        else:
            spread = dict.fromkeys(("cpu", "cuda", "rocm"), value)
        return {k: self._item.fill(v, path, problems) if v is not None else v for k, v in spread.items()}


class Variables:
    """Environment variables: a list of NAME=value, or a map."""

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Bring both forms to the list form; values are not shown in messages, they may be secret."""
        if isinstance(value, Mapping):
            value = [f"{k}={v}" for k, v in value.items()]
        if not isinstance(value, list):
            problems.append(f"{path}: must be a list of NAME=value")
            return value
        for i, each in enumerate(value):
            if not isinstance(each, str) or not re.match(r"^[A-Za-z_][A-Za-z0-9_]*(=|$)", each) or "\0" in each:
                problems.append(f"{path}[{i}]: must be NAME=value")
        return value


class Unsupported:
    """A searcher or storage the original knows and this master does not."""

    def __init__(self, text: str) -> None:
        self._text = text

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Refuse it, saying what to use instead."""
        problems.append(f"{path}: Unimplemented: {self._text}")
        return value


def _source(filled: dict[str, Any], path: str, problems: Problems) -> None:
    if not filled["metric"].strip():
        problems.append(f"{path}.metric: must not be empty")


def _searcher(**more: Setting) -> Object:
    settings = {
        "name": Setting(Text()),
        "metric": Setting(Text(), REQUIRED),
        "smaller_is_better": Setting(Flag(), True),
        "max_length": Setting(Length(positive=True)),
        "source_trial_id": Setting(POSITIVE),
        "source_checkpoint_uuid": Setting(Text()),
    }
    return Object({**settings, **more}, _source)


CONCURRENT = Setting(COUNT, 16)
NO_SEARCH = Unsupported("this searcher does not run on this master; use single, random or grid")
SEARCHER = Choice(
    "name",
    {
        "single": _searcher(),
        "random": _searcher(max_trials=Setting(POSITIVE, REQUIRED), max_concurrent_trials=CONCURRENT),
        "grid": _searcher(max_concurrent_trials=CONCURRENT),
        "adaptive_asha": NO_SEARCH,
        "async_halving": NO_SEARCH,
        "custom": NO_SEARCH,
    },
)


def _below(filled: dict[str, Any], path: str, problems: Problems) -> None:
    host = PurePosixPath(filled["host_path"])
    if not host.is_absolute() or ".." in host.parts:
        problems.append(f"{path}.host_path: must be an absolute path without '..'")
    inner = PurePosixPath(filled["storage_path"] or "")
    if ".." in inner.parts or (inner.is_absolute() and not inner.is_relative_to(host)):
        problems.append(f"{path}.storage_path: must be relative or below host_path, without '..'")


def _absolute(filled: dict[str, Any], path: str, problems: Problems) -> None:
    inner = PurePosixPath(filled["container_path"])
    if not inner.is_absolute() or ".." in inner.parts:
        problems.append(f"{path}.container_path: must be an absolute path without '..'")


SAVED = {
    "type": Setting(Text()),
    "save_experiment_best": Setting(COUNT, 0),
    "save_trial_best": Setting(COUNT, 1),
    "save_trial_latest": Setting(COUNT, 1),
}
# Accepted in old configurations, without effect, and not shown when absent.
LEGACY_STORAGE = ("container_path", "checkpoint_path", "tensorboard_path")
NO_STORAGE = Unsupported("this checkpoint storage is not available on this master; use shared_fs or directory")
STORAGE = Choice(
    "type",
    {
        "shared_fs": Object(
            {
                **SAVED,
                "host_path": Setting(Text(), REQUIRED),
                "storage_path": Setting(Text()),
                "propagation": Setting(Text(), "rprivate"),
                **{name: Setting(Text()) for name in LEGACY_STORAGE},
            },
            _below,
        ),
        "directory": Object({**SAVED, "container_path": Setting(Text(), REQUIRED)}, _absolute),
        "s3": NO_STORAGE,
        "gcs": NO_STORAGE,
        "azure": NO_STORAGE,
    },
)

BIND_MOUNT = Object(
    {
        "host_path": Setting(Text(), REQUIRED),
        "container_path": Setting(Text(), REQUIRED),
        "read_only": Setting(Flag(), False),
        "propagation": Setting(Text(), "rprivate"),
    }
)
ENVIRONMENT = Object(
    {
        "image": Setting(PerDevice(Text()), {"cpu": "local", "cuda": "local", "rocm": "local"}),
        "environment_variables": Setting(PerDevice(Variables()), {"cpu": [], "cuda": [], "rocm": []}),
        "force_pull_image": Setting(Flag(), False),
        "pod_spec": Setting(Anything()),
        "ports": Setting(MapOf(COUNT), {}),
        "proxy_ports": Setting(ListOf(Anything()), []),
        "registry_auth": Setting(Anything()),
        "add_capabilities": Setting(ListOf(Text()), []),
        "drop_capabilities": Setting(ListOf(Text()), []),
    }
)
OPTIMIZATIONS = Object(
    {
        "aggregation_frequency": Setting(POSITIVE, 1),
        "auto_tune_tensor_fusion": Setting(Flag(), False),
        "average_aggregated_gradients": Setting(Flag(), True),
        "average_training_metrics": Setting(Flag(), True),
        "gradient_compression": Setting(Flag(), False),
        "grad_updates_size_file": Setting(Text()),
        "mixed_precision": Setting(Text(("O0", "O1", "O2", "O3")), "O0"),
        "tensor_fusion_cycle_time": Setting(COUNT, 1),
        "tensor_fusion_threshold": Setting(COUNT, 64),
    }
)
PROFILING = Object(
    {
        "enabled": Setting(Flag(), False),
        "begin_on_batch": Setting(COUNT, 0),
        "end_after_batch": Setting(COUNT),
        "sync_timings": Setting(Flag(), True),
    }
)
RESOURCES = Object(
    {
        "devices": Setting(ListOf(Anything()), []),
        "is_single_node": Setting(Flag()),
        "max_slots": Setting(COUNT),
        "native_parallel": Setting(Flag(), False),
        "priority": Setting(Number(whole=True, minimum=1, maximum=99), 42),
        "resource_pool": Setting(Text(), ""),
        "shm_size": Setting(Anything()),
        "slots_per_trial": Setting(COUNT, 1),
        "weight": Setting(Number(minimum=0), 1),
    }
)
LOG_POLICIES = [
    {"name": "CUDA OOM", "pattern": ".*CUDA out of memory.*", "action": None},
    {"name": "ECC Error", "pattern": ".*uncorrectable ECC error encountered.*", "action": None},
]
EXPERIMENT = Object(
    {
        "bind_mounts": Setting(ListOf(BIND_MOUNT), []),
        "checkpoint_policy": Setting(Text(("best", "all", "none")), "best"),
        "checkpoint_storage": Setting(STORAGE, REQUIRED),
        "data": Setting(MapOf(Anything()), {}),
        "debug": Setting(Flag(), False),
        "description": Setting(Text()),
        "entrypoint": Setting(Entrypoint(), REQUIRED),
        "environment": Setting(ENVIRONMENT, {}),
        "hyperparameters": Setting(Hyperparameters(), {}),
        "integrations": Setting(Anything()),
        "labels": Setting(ListOf(Text(), unique=True), []),
        "log_policies": Setting(ListOf(Anything()), LOG_POLICIES),
        "max_restarts": Setting(COUNT, 5),
        "min_checkpoint_period": Setting(Length(), {"batches": 0}),
        "min_validation_period": Setting(Length(), {"batches": 0}),
        "name": Setting(Text(), ""),
        "optimizations": Setting(OPTIMIZATIONS, {}),
        "pbs": Setting(MapOf(Anything()), {}),
        "perform_initial_validation": Setting(Flag(), False),
        "preemption_timeout": Setting(POSITIVE),
        "profiling": Setting(PROFILING, {}),
        "project": Setting(Text(), ""),
        "records_per_epoch": Setting(COUNT, 0),
        "reproducibility": Setting(
            Object({"experiment_seed": Setting(Number(whole=True, minimum=0, maximum=2**31 - 1))}), {}
        ),
        "resources": Setting(RESOURCES, {}),
        "retention_policy": Setting(Anything()),
        "scheduling_unit": Setting(POSITIVE, 100),
        "searcher": Setting(SEARCHER, REQUIRED),
        "slurm": Setting(MapOf(Anything()), {}),
        "workspace": Setting(Text(), ""),
    }
)


def fill(text: str, defaults: Defaults) -> dict[str, Any]:
    """Parse, check and fill the configuration `text`; raises InvalidConfig with every problem found."""
    submitted = yaml_text.parse(text)
    submitted["checkpoint_storage"] = merged_storage(submitted.get("checkpoint_storage"), defaults)
    problems: Problems = []
    config = EXPERIMENT.fill(submitted, ROOT, problems)
    if not problems:
        _check_whole(config, defaults, problems)
    if problems:
        raise InvalidConfig(problems)
    if not config["name"]:
        config["name"] = f"Experiment ({secrets.token_hex(4)})"
    if not config["resources"]["resource_pool"]:
        config["resources"]["resource_pool"] = defaults.resource_pool
    if config["reproducibility"]["experiment_seed"] is None:
        config["reproducibility"]["experiment_seed"] = int(time.time())
    assert isinstance(config, dict)
    for name in LEGACY_STORAGE:
        if config["checkpoint_storage"].get(name) is None:
            config["checkpoint_storage"].pop(name, None)
    return config


def merged_storage(submitted: Any, defaults: Defaults) -> Any:
    """Complete the submitted checkpoint storage with the master's, unless it is of another type."""
    own = {"type": "shared_fs", "host_path": defaults.checkpoint_host_path}
    if submitted is None:
        return own
    if not isinstance(submitted, Mapping) or submitted.get("type") not in (None, "shared_fs"):
        return submitted
    given = {k: v for k, v in submitted.items() if v is not None}
    return {**own, **given}


def _check_whole(config: dict[str, Any], defaults: Defaults, problems: Problems) -> None:
    if bool(config["workspace"]) != bool(config["project"]):
        problems.append("workspace and project must both be included in config if one is provided")
    if config["searcher"]["name"] == "grid":
        check_counts(config["hyperparameters"], problems)
    if is_legacy(config["entrypoint"]) and config["searcher"]["max_length"] is None:
        problems.append(
            f"{ROOT}.searcher.max_length: is required when the entrypoint is a trial class "
            f"({config['entrypoint']}), e.g. {{batches: 1000}}"
        )
    _check_resources(config["resources"], defaults, problems)


def _check_resources(resources: dict[str, Any], defaults: Defaults, problems: Problems) -> None:
    if resources["slots_per_trial"] > 1:
        problems.append(
            f"{ROOT}.resources.slots_per_trial: {resources['slots_per_trial']} slots were asked for, "
            "a trial gets at most 1 on this master"
        )
    if resources["resource_pool"] not in ("", defaults.resource_pool):
        problems.append(
            f"{ROOT}.resources.resource_pool: resource pool {shown(resources['resource_pool'])} does not exist; "
            f"use {defaults.resource_pool!r} or leave it out"
        )


def is_legacy(entrypoint: Any) -> bool:
    """Tell whether an entrypoint names a trial class (`model_def:MyTrial`)."""
    return isinstance(entrypoint, str) and LEGACY_ENTRYPOINT.match(entrypoint) is not None


def storage_folder(storage: Mapping[str, Any]) -> str:
    """Return the folder of the machine that holds the checkpoints of a filled `checkpoint_storage`."""
    if storage["type"] == "directory":
        return str(storage["container_path"])
    return str(PurePosixPath(storage["host_path"]) / (storage["storage_path"] or ""))
