"""`spec.predictor` of an InferenceService: what of it this server serves, and a clear refusal of the rest.

Parsed from the live object when a revision is made, and from the revision's row whenever it is started again. Mirrors
the choice of the `kserve-torchserve` ClusterServingRuntime: model format pytorch version 1, protocol v1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdk.kserve.kinds.names import FRAMEWORKS, TORCHSERVE
from pdk.kserve.predictor.credentials import decoded_data
from pdk.kserve.predictor.failures import FailureReason, InvalidPredictorSpec, ModelLoadFailed, NoSupportingRuntime
from pdk.kserve.predictor.storage_uri import parse_storage_uri
from pdk.kubernetes.store.objects import ObjectStore


class RuntimeNotRecognized(NoSupportingRuntime):
    """`model.runtime` names a runtime that does not exist here."""

    reason = FailureReason.RUNTIME_NOT_RECOGNIZED


@dataclass(frozen=True)
class EnvironmentEntry:
    """One `env` entry; `source` is (kind, object name, key) for a value that stands in a Secret or ConfigMap."""

    name: str
    value: str = ""
    source: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class ModelSpec:
    """What is served of a predictor. `timeout` in seconds, None = TorchServe's own; `concurrency` 0 = no limit."""

    storage_uri: str
    environment: tuple[EnvironmentEntry, ...] = ()
    service_account: str = "default"
    concurrency: int = 0
    timeout: float | None = None
    cpus: int = 1


def parse_model_spec(predictor: Mapping[str, Any]) -> ModelSpec:
    """Parse `spec.predictor`; raise InvalidPredictorSpec or NoSupportingRuntime with what to change."""
    model = _model(predictor)
    storage_uri = model.get("storageUri")
    if not isinstance(storage_uri, str) or not storage_uri:
        more = "; model.storage is not supported" if model.get("storage") else ""
        raise InvalidPredictorSpec(f"spec.predictor.model.storageUri is required{more}")
    parse_storage_uri(storage_uri)
    environment = model.get("env") or []
    if not isinstance(environment, list):
        raise InvalidPredictorSpec("spec.predictor.model.env must be a list")
    return ModelSpec(
        storage_uri=storage_uri,
        environment=tuple(_entry(entry) for entry in environment),
        service_account=str(predictor.get("serviceAccountName") or "default"),
        concurrency=int(_number(predictor, "containerConcurrency", 0)),
        timeout=_number(predictor, "timeout", 0) or None,
        cpus=_cpus(model),
    )


def _model(predictor: Mapping[str, Any]) -> Mapping[str, Any]:
    model = predictor.get("model")
    if model is None and isinstance(predictor.get("pytorch"), Mapping):
        # The API rewrites this form on admission; an object written around it may still have it.
        model = {"modelFormat": {"name": "pytorch"}, **predictor["pytorch"]}
    if not isinstance(model, Mapping):
        frameworks = [name for name in FRAMEWORKS if name in predictor and name != "pytorch"]
        if frameworks:
            raise NoSupportingRuntime(f"No runtime found to support predictor with model type {frameworks[0]}")
        raise InvalidPredictorSpec(
            "spec.predictor.model is required: custom containers and other predictors are not supported"
        )
    found = model.get("modelFormat")
    model_format: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    name, version = model_format.get("name"), model_format.get("version")
    unsupported = f"No runtime found to support predictor with model type {name}{f':{version}' if version else ''}"
    if name != "pytorch" or str(version or "1").partition(".")[0] != "1":
        raise NoSupportingRuntime(unsupported)
    if model.get("runtime") not in (None, "", TORCHSERVE):
        raise RuntimeNotRecognized(
            f"Waiting for runtime {model['runtime']} to become available: only {TORCHSERVE} exists"
        )
    if model.get("protocolVersion") not in (None, "", "v1"):
        raise NoSupportingRuntime(f"{unsupported} and protocol {model['protocolVersion']}: only v1 is served")
    return model


def _entry(entry: object) -> EnvironmentEntry:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise InvalidPredictorSpec("spec.predictor.model.env: every entry needs a name")
    name, source = entry["name"], entry.get("valueFrom")
    if source is None:
        return EnvironmentEntry(name, str(entry.get("value") or ""))
    for field, kind in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        reference = source.get(field) if isinstance(source, Mapping) else None
        if isinstance(reference, Mapping):
            return EnvironmentEntry(name, source=(kind, str(reference.get("name")), str(reference.get("key"))))
    raise InvalidPredictorSpec(f"env {name}: valueFrom must be a secretKeyRef or a configMapKeyRef")


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise InvalidPredictorSpec(f"spec.predictor.{name} must be a number that is not negative")
    return value


def _cpus(model: Mapping[str, Any]) -> int:
    """Return the whole cores of `resources.limits.cpu`, at least 1: the workers' OMP_NUM_THREADS."""
    resources = model.get("resources")
    limits = resources.get("limits") if isinstance(resources, Mapping) else None
    text = str(limits.get("cpu", "1") if isinstance(limits, Mapping) else "1")
    try:
        return max(1, int(float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)))
    except (ValueError, OverflowError) as error:
        raise InvalidPredictorSpec(f"resources.limits.cpu {text!r} is not a quantity") from error


def resolve_environment(store: ObjectStore, namespace: str, spec: ModelSpec) -> dict[str, str]:
    """Return the variables by name; raise ModelLoadFailed for a Secret, ConfigMap or key that is missing."""
    return {entry.name: _value(store, namespace, entry) for entry in spec.environment}


def _value(store: ObjectStore, namespace: str, entry: EnvironmentEntry) -> str:
    if entry.source is None:
        return entry.value
    kind, name, key = entry.source
    obj = store.find(kind, namespace, name)
    if obj is None:
        raise ModelLoadFailed(f'env {entry.name}: {kind} "{name}" not found in namespace {namespace}')
    data = decoded_data(obj) if kind == "secrets" else obj.get("data") or {}
    if key not in data:
        raise ModelLoadFailed(f"env {entry.name}: couldn't find key {key} in {kind} {namespace}/{name}")
    return str(data[key])
