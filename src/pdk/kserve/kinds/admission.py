"""KServe's admission webhooks for InferenceServices: defaults first, then the refusals, in the webhook's own texts.

Called by the object handlers on create, update and patch, before the object is stored. Mirrors
pkg/apis/serving/v1beta1/{inference_service_defaults,inference_service_validation,component}.go of KServe 0.14: the
`pytorch:` of a predictor becomes `model:` (a partial one overwrites the whole model, as there), exactly one
implementation, an empty container name, an unchangeable deployment mode.
"""

import re
from collections.abc import Iterator

from pdk.kserve.kinds.names import CONTAINER, FRAMEWORKS, MODE_ANNOTATION, OLD_MODES, DeploymentMode
from pdk.kubernetes.errors import AdmissionDenied
from pdk.kubernetes.kinds.json_object import JsonObject

VALIDATOR = "inferenceservice.kserve-webhook-server.validator"
NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
AUTOSCALER_CLASSES = ("hpa", "keda", "external")
V2_BY_DEFAULT = ("triton", "onnx", "huggingface")
KNATIVE_METRICS = ("concurrency", "rps")
HPA_METRICS = ("cpu", "memory")
LOGGER_MODES = ("all", "request", "response")
PREDICTOR_FIELDS = (
    "SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, LightGBM, Paddle, "
    "Model, WorkerSpec, PodSpec"
)


def admit(old: JsonObject | None, new: JsonObject) -> JsonObject:
    """Return `new` as the webhooks would let it through (`old` None: it is created). Raises AdmissionDenied."""
    defaulted = default_inference_service(new)
    deleting = bool((old or {}).get("metadata", {}).get("deletionTimestamp"))
    if old is not None and not deleting:
        _check_mode_unchanged(old, defaulted)
    for problem in problems(defaulted):
        raise AdmissionDenied(VALIDATOR, problem)
    return defaulted


def default_inference_service(isvc: JsonObject) -> JsonObject:
    """Return the InferenceService with its framework field, if any, rewritten to `model`."""
    spec = isvc.get("spec")
    predictor = spec.get("predictor") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(predictor, dict):
        return isvc
    framework = next((name for name in FRAMEWORKS if isinstance(predictor.get(name), dict)), None)
    if framework is not None:
        protocol = {"protocolVersion": "v2"} if framework in V2_BY_DEFAULT else {}
        model = {"modelFormat": {"name": framework}} | protocol | predictor[framework]
        predictor = {key: value for key, value in predictor.items() if key != framework} | {"model": model}
    elif isinstance(predictor.get("model"), dict):
        model = predictor["model"]
    else:
        return isvc
    # The Go structs behind the webhook always write these two.
    predictor = predictor | {"model": model | {"name": model.get("name", ""), "resources": model.get("resources", {})}}
    return isvc | {"spec": spec | {"predictor": predictor}}


def problems(isvc: JsonObject) -> Iterator[str]:
    """Yield what the validating webhook has against the InferenceService, the first being what it says."""
    metadata, spec = isvc["metadata"], isvc.get("spec") or {}
    predictor = spec.get("predictor") or {}
    name = metadata.get("name") or metadata.get("generateName", "").rstrip("-")
    if not re.fullmatch(NAME, name):
        yield (
            f'the InferenceService "{name}" is invalid: a InferenceService name must consist of lower case '
            "alphanumeric characters or '-', and must start with alphabetical character. "
            f'(e.g. "my-name" or "abc-123", regex used for validation is \'{NAME}\')'
        )
    annotations = metadata.get("annotations") or {}
    autoscaler = annotations.get(AUTOSCALER_CLASS)
    if autoscaler is not None and autoscaler not in AUTOSCALER_CLASSES:
        yield f"[{autoscaler}] is not a supported autoscaler class type"
    if (predictor.get("model") or {}).get("name"):
        yield "the 'name' field is not allowed in standard predictor"
    if len(implementations(predictor)) != 1:
        yield f"exactly one of [{PREDICTOR_FIELDS}] must be specified in PredictorSpec"
    for component in ("predictor", "transformer", "explainer"):
        if isinstance(spec.get(component), dict):
            yield from _component_problems(spec[component], annotations)
    yield from _host_problems(name, metadata.get("namespace", ""), annotations)


def implementations(predictor: JsonObject) -> list[str]:
    """Return what in a predictor says how it is served: `model`, framework names, `containers`."""
    found = [name for name in ("model", *FRAMEWORKS) if isinstance(predictor.get(name), dict)]
    containers = predictor.get("containers") or []
    custom = any(container.get("name") == CONTAINER for container in containers)
    if custom or (containers and not found):
        found.append("containers")
    return found


def deployment_mode(name: str | None) -> str | None:
    """Return a deployment mode under its present name."""
    return None if name is None else OLD_MODES.get(name, name)


def _component_problems(component: JsonObject, annotations: JsonObject) -> Iterator[str]:
    least, most = component.get("minReplicas", 1), component.get("maxReplicas", 0)
    if component.get("containerConcurrency", 0) < 0:
        yield "parallelism cannot be less than 0"
    if least < 0:
        yield "'MinReplicas' cannot be less than 0"
    if most < 0:
        yield "'MaxReplicas' cannot be less than 0"
    if most and least > most:
        yield "'MinReplicas' cannot be greater than MaxReplicas"
    mode = (component.get("logger") or {}).get("mode")
    if mode is not None and mode not in LOGGER_MODES:
        yield "invalid logger type"
    yield from _scaling_problems(component, annotations)


def _scaling_problems(component: JsonObject, annotations: JsonObject) -> Iterator[str]:
    metric = component.get("scaleMetric")
    if deployment_mode(annotations.get(MODE_ANNOTATION)) == DeploymentMode.STANDARD:
        if metric is not None and annotations.get(AUTOSCALER_CLASS) == "hpa" and metric not in HPA_METRICS:
            yield f"[{metric}] is not a supported metric"
        return
    if component.get("deploymentStrategy") is not None:
        yield "customizing deploymentStrategy is only supported for raw deployment mode"
    if metric is not None and metric not in KNATIVE_METRICS:
        yield f"[{metric}] is not a supported metric"


def _host_problems(name: str, namespace: str, annotations: JsonObject) -> Iterator[str]:
    """A host name label holds 63 characters: the original accepts longer names and then never gets an address."""
    standard = deployment_mode(annotations.get(MODE_ANNOTATION)) == DeploymentMode.STANDARD
    for label in (f"{name}-predictor", f"{name}-{namespace}" if standard else ""):
        if len(label) > 63:
            yield f"the InferenceService {name!r} is invalid: host name label {label!r} is longer than 63 characters"


def _check_mode_unchanged(old: JsonObject, new: JsonObject) -> None:
    in_force = (old.get("status") or {}).get("deploymentMode")
    wanted = (new["metadata"].get("annotations") or {}).get(MODE_ANNOTATION)
    if in_force and wanted and deployment_mode(in_force) != deployment_mode(wanted):
        why = f"update rejected: deploymentMode cannot be changed from '{in_force}' to '{wanted}'"
        raise AdmissionDenied(VALIDATOR, why)
