"""TorchServe's `config.properties`: the user's is read, never run; ours is written.

The user's file may open ports, the management API or token files, so only what describes models and queues is taken
from it; everything else is listed as ignored and the pod log says so. Ours binds 127.0.0.1 on free ports.
Called by `launch`. Mirrors what `ConfigManager` of TorchServe 0.12.0 reads, and `java.util.Properties` for the syntax.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pdk.kserve.predictor.failures import ModelLoadFailed

MAX_CONFIG_BYTES = 1 << 20
KSERVE_ENVELOPE = "kserve"

# Kept from the user's file: name -> (lowest, highest) for numbers, None for true/false.
OPTIONS: Mapping[str, tuple[int, int] | None] = {
    "job_queue_size": (1, 100_000),
    "max_request_size": (1024, 1 << 30),
    "max_response_size": (1024, 1 << 30),
    "default_response_timeout": (1, 86_400),
    "default_startup_timeout": (1, 86_400),
    "number_of_netty_threads": (1, 256),
    "netty_client_threads": (1, 256),
    "limit_max_image_pixels": None,
    "decode_input_request": None,
}
# What pdk always sets itself; a user's value says nothing wrong, so it is no warning.
OWN = frozenset(
    {
        "inference_address", "management_address", "metrics_address", "grpc_inference_address", "grpc_inference_port",
        "grpc_management_address", "grpc_management_port", "enable_envvars_config", "disable_token_authorization",
        "enable_model_api", "enable_metrics_api", "metrics_mode", "metrics_format", "model_store", "load_models",
        "install_py_dep_per_model", "service_envelope", "model_snapshot", "models",
    }
)  # fmt: skip
# Kept of a model in the snapshot: name -> (lowest, highest, default); delays in milliseconds, time-outs in seconds.
MODEL_NUMBERS: Mapping[str, tuple[int, int, int]] = {
    "minWorkers": (1, 64, 1),
    "maxWorkers": (1, 64, 1),
    "batchSize": (1, 1024, 1),
    "maxBatchDelay": (0, 60_000, 100),
    "responseTimeout": (1, 86_400, 120),
}
DEFAULT_MAX_REQUEST_BYTES = 6_553_500
# TorchServe takes more, but a name is part of URLs and of file names.
MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.~-]{0,127}")


@dataclass(frozen=True)
class ServedModel:
    """One entry of the snapshot, with its MODEL_NUMBERS; the served `name` is the map's key, not the archive's own."""

    name: str
    version: str
    archive: str
    numbers: Mapping[str, int] = field(default_factory=lambda: {key: each[2] for key, each in MODEL_NUMBERS.items()})


@dataclass(frozen=True)
class ServingConfig:
    """What is taken from the user's file; `notes` are lines for the pod log."""

    models: tuple[ServedModel, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def max_request_bytes(self) -> int:
        """The largest request body TorchServe will take."""
        return int(self.options.get("max_request_size", DEFAULT_MAX_REQUEST_BYTES))

    @property
    def response_timeout(self) -> int:
        """Seconds after which TorchServe gives up on a worker, the longest of all models."""
        return max(model.numbers["responseTimeout"] for model in self.models)


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one TorchServe."""

    inference: int
    management: int
    metrics: int
    grpc_inference: int
    grpc_management: int


def parse_properties(text: str) -> dict[str, str]:
    """Return the values of `key=value` lines; the last of equal keys wins.

    `#` and `!` begin comments, a trailing backslash continues a line.
    """
    properties: dict[str, str] = {}
    for line in _logical_lines(text):
        match = re.match(r"([^=:\s]+)\s*[=:\s]\s*(.*)", line)
        properties[match[1] if match else line] = match[2].strip() if match else ""
    return properties


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    pending = ""
    for raw in text.splitlines():
        line = pending + raw.strip() if pending else raw.lstrip()
        pending = ""
        if not line or line[0] in "#!":
            continue
        stripped = line.rstrip("\\")
        if (len(line) - len(stripped)) % 2:
            pending = line[:-1]
            continue
        lines.append(line.rstrip())
    return [*lines, pending] if pending else lines


def read_config(path: Path, archives: list[str], envelope: str) -> ServingConfig:
    """Return what is taken from the user's file, or defaults for a single archive when there is none.

    `archives` are the .mar names in the model store. Raises ModelLoadFailed naming the file, the key and the fix.
    """
    if not path.is_file():
        return _without_file(archives)
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ModelLoadFailed(f"config/{path.name} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        properties = parse_properties(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ModelLoadFailed(f"config/{path.name} is not UTF-8 text: {error}") from error
    notes = [f"config.properties: {key} is ignored" for key in properties if key not in OPTIONS and key not in OWN]
    options = {key: _option(key, value) for key, value in properties.items() if key in OPTIONS}
    snapshot = properties.get("model_snapshot", "")
    models = _snapshot_models(snapshot, notes) if snapshot else _loaded_models(properties, archives, notes)
    return ServingConfig(tuple(_fit(model, archives, envelope, notes) for model in models), options, tuple(notes))


def _without_file(archives: list[str]) -> ServingConfig:
    if len(archives) != 1:
        raise ModelLoadFailed(
            f"there is no config/config.properties, and model-store holds {len(archives)} archives "
            f"({', '.join(archives) or 'none'}): write one with model_snapshot"
        )
    model = ServedModel(archives[0].removesuffix(".mar"), "1.0", archives[0])
    return ServingConfig((model,), {}, (f"no config/config.properties: serving {model.archive} as {model.name!r}",))


def _option(key: str, value: str) -> str:
    bounds = OPTIONS[key]
    if bounds is None:
        if value.lower() not in ("true", "false"):
            raise ModelLoadFailed(f"config.properties: {key}={value!r} must be true or false")
        return value.lower()
    return str(_number("config.properties: " + key, value, bounds))


def _number(where: str, value: object, bounds: tuple[int, int]) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = bounds[0] - 1
    if isinstance(value, bool) or not bounds[0] <= number <= bounds[1]:
        raise ModelLoadFailed(f"{where}={value!r} must be a whole number from {bounds[0]} to {bounds[1]}")
    return number


def _snapshot_models(text: str, notes: list[str]) -> list[ServedModel]:
    try:
        snapshot = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelLoadFailed(f"config.properties: model_snapshot is not JSON: {error}") from error
    models = snapshot.get("models") if isinstance(snapshot, dict) else None
    if not isinstance(models, dict) or not models:
        raise ModelLoadFailed('config.properties: model_snapshot has no "models": {name: {version: {...}}}')
    return [_snapshot_model(name, versions, notes) for name, versions in models.items()]


def _snapshot_model(name: str, versions: Any, notes: list[str]) -> ServedModel:
    where = f"config.properties: model_snapshot.models.{name}"
    if not MODEL_NAME.fullmatch(name):
        raise ModelLoadFailed(f"{where}: the name may hold letters, digits, '.', '_', '-' only")
    if not isinstance(versions, dict) or not versions or not all(isinstance(v, dict) for v in versions.values()):
        raise ModelLoadFailed(f"{where} must be {{version: {{...}}}}")
    chosen = [version for version, entry in versions.items() if entry.get("defaultVersion") is True] or list(versions)
    if len(versions) > 1:
        notes.append(f"{where}: only version {chosen[0]} is served; a revision serves one version of a model")
    entry = versions[chosen[0]]
    if not isinstance(entry.get("marName"), str):
        raise ModelLoadFailed(f"{where}.{chosen[0]}.marName is missing")
    known = {"defaultVersion", "marName", *MODEL_NUMBERS}
    notes.extend(f"{where}.{chosen[0]}.{key} is ignored" for key in entry if key not in known)
    numbers = {
        key: _number(f"{where}.{chosen[0]}.{key}", entry.get(key, default), (lowest, highest))
        for key, (lowest, highest, default) in MODEL_NUMBERS.items()
    }
    numbers["maxWorkers"] = max(numbers["minWorkers"], numbers["maxWorkers"])
    return ServedModel(name, chosen[0], str(entry["marName"]), numbers)


def _loaded_models(properties: Mapping[str, str], archives: list[str], notes: list[str]) -> list[ServedModel]:
    """Return the models by `load_models` (`all`, or `[name=]file.mar, ...`); without it, the only archive."""
    wanted = properties.get("load_models", "")
    if wanted.lower() == "all":
        names = [(archive.removesuffix(".mar"), archive) for archive in archives]
    elif wanted and wanted.lower() != "none":
        pairs = [part.strip().rpartition("=") for part in wanted.split(",") if part.strip()]
        names = [(name.strip() or file.strip().removesuffix(".mar"), file.strip()) for name, _, file in pairs]
    else:
        only = _without_file(archives)
        notes.extend(note.replace("no config/config.properties", "no model_snapshot") for note in only.notes)
        return list(only.models)
    if not names:
        raise ModelLoadFailed("config.properties: load_models=all, but model-store holds no .mar")
    return [ServedModel(name, "1.0", archive) for name, archive in names]


def _fit(model: ServedModel, archives: list[str], envelope: str, notes: list[str]) -> ServedModel:
    if not MODEL_NAME.fullmatch(model.name):
        raise ModelLoadFailed(f"model name {model.name!r} may hold letters, digits, '.', '_', '-' only")
    if model.archive not in archives:
        raise ModelLoadFailed(
            f"config.properties names {model.archive!r} for model {model.name!r}, but model-store holds "
            f"{', '.join(archives) or 'no .mar'}"
        )
    batch_size = model.numbers["batchSize"]
    if batch_size == 1 or envelope != KSERVE_ENVELOPE:
        return model
    # The envelope parses the first request of a batch only: every other one would be a 503 (pytorch/serve#2158).
    notes.append(
        f"model {model.name}: batchSize {batch_size} is served as 1, because the kserve service envelope cannot "
        "answer batches; set env TS_SERVICE_ENVELOPE to an empty value if the handler parses whole requests itself"
    )
    return replace(model, numbers={**model.numbers, "batchSize": 1})


def render_config(config: ServingConfig, ports: Ports, model_store: Path, envelope: str) -> str:
    """Return the text of the file TorchServe is started with."""
    host = "127.0.0.1"
    snapshot = {
        "name": "startup.cfg",
        "modelCount": len(config.models),
        "models": {
            model.name: {model.version: {"defaultVersion": True, "marName": model.archive, **model.numbers}}
            for model in config.models
        },
    }
    properties = {
        **config.options,
        "inference_address": f"http://{host}:{ports.inference}",
        "management_address": f"http://{host}:{ports.management}",
        "metrics_address": f"http://{host}:{ports.metrics}",
        "grpc_inference_address": host,
        "grpc_inference_port": ports.grpc_inference,
        "grpc_management_address": host,
        "grpc_management_port": ports.grpc_management,
        # Off: any TS_* variable would override this file. The envelope is named here instead.
        "enable_envvars_config": "false",
        "disable_token_authorization": "true",
        "enable_model_api": "false",
        "enable_metrics_api": "true",
        "metrics_mode": "prometheus",
        # The collector is one more Python process a minute.
        "disable_system_metrics": "true",
        "install_py_dep_per_model": "false",
        # Nothing to load from outside the model store.
        "allowed_urls": "file://.*\\.mar",
        "model_store": str(model_store),
        "model_snapshot": json.dumps(snapshot, separators=(",", ":")),
    }
    if envelope:
        properties["service_envelope"] = envelope
    escaped = {key: str(value).replace("\\", "\\\\") for key, value in properties.items()}
    return "".join(f"{key}={value}\n" for key, value in escaped.items())
