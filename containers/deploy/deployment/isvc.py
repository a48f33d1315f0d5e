"""The InferenceService, built with the kserve SDK's objects. Called by `rollout.py`.

`predictor.model` with `modelFormat: pytorch` rather than `predictor.pytorch`: KServe's admission rewrites the second
into the first, and a later partial update of `pytorch` would replace the whole model. The whole spec is sent each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kserve import (
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1ModelFormat,
    V1beta1ModelSpec,
    V1beta1PredictorSpec,
)
from kubernetes.client import V1EnvVar, V1ObjectMeta, V1ResourceRequirements, V1Toleration

from deployment.errors import InputError

GROUP = "serving.kserve.io"
VERSION = "v1beta1"
PLURAL = "inferenceservices"

# Annotations; KServe copies them into the pods, so a change of any of them makes a new revision.
JOB = "pach_id"
MODEL_VERSION = "pdk/model-version"
DATA_COMMIT = "pdk/data-commit"
CODE_COMMIT = "pdk/code-commit"
BUILD_COMMIT = "pdk/build-commit"
# What this write replaced, see `rollback.py`.
PREVIOUS = "pdk/previous"
ISTIO_INJECT = "sidecar.istio.io/inject"


@dataclass(frozen=True)
class Desired:
    """The InferenceService as this rollout wants it.

    `job` is the id of the rollout's job; `build_commit` the commit its input was read from. `envelope` false takes
    TorchServe's service envelope off (see `handler.py`); `runtime` names a serving runtime, None leaves it to KServe.
    """

    name: str
    namespace: str
    storage_uri: str
    job: str
    model_version: int
    data_commit: str
    code_commit: str
    build_commit: str
    envelope: bool = True
    runtime: str | None = None
    service_account: str | None = None
    tolerations: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)

    @property
    def annotations(self) -> dict[str, str]:
        """Give the annotations that tie the service to the data, the code and the job it comes from."""
        values = {
            ISTIO_INJECT: "false",
            JOB: self.job,
            MODEL_VERSION: str(self.model_version),
            DATA_COMMIT: self.data_commit,
            CODE_COMMIT: self.code_commit,
            BUILD_COMMIT: self.build_commit,
        }
        return {key: value for key, value in values.items() if value}


def build(desired: Desired, resource_version: str | None, previous: str) -> V1beta1InferenceService:
    """Give the SDK's object; with `resource_version` the API refuses to replace anything but that state.

    `previous` is the record of what it replaces.
    """
    model = V1beta1ModelSpec(
        model_format=V1beta1ModelFormat(name="pytorch"),
        protocol_version="v1",
        storage_uri=desired.storage_uri,
        resources=V1ResourceRequirements(requests=dict(desired.requests), limits=dict(desired.limits)),
        env=None if desired.envelope else [V1EnvVar(name="TS_SERVICE_ENVELOPE", value="")],
        runtime=desired.runtime,
    )
    tolerations = [
        V1Toleration(effect="NoSchedule", key=key, operator="Equal", value=value)
        for key, value in desired.tolerations.items()
    ]
    predictor = V1beta1PredictorSpec(
        model=model, service_account_name=desired.service_account, tolerations=tolerations or None
    )
    metadata = V1ObjectMeta(
        name=desired.name,
        namespace=desired.namespace,
        annotations={**desired.annotations, PREVIOUS: previous},
        resource_version=resource_version,
    )
    return V1beta1InferenceService(
        api_version=f"{GROUP}/{VERSION}",
        kind="InferenceService",
        metadata=metadata,
        spec=V1beta1InferenceServiceSpec(predictor=predictor),
    )


def carries(live: Mapping[str, Any], desired: Desired) -> bool:
    """Tell whether the live object is already what this very job wrote, as after a crash between write and wait."""
    annotations = live["metadata"].get("annotations") or {}
    same = all(annotations.get(key) == value for key, value in desired.annotations.items())
    predictor = live.get("spec", {}).get("predictor", {})
    model = predictor.get("model") or predictor.get("pytorch") or {}
    return same and model.get("storageUri") == desired.storage_uri


def live_version(live: Mapping[str, Any]) -> int | None:
    """Give the model version number the live object names, if it was made by this container."""
    text = (live["metadata"].get("annotations") or {}).get(MODEL_VERSION)
    if text is None:
        return None
    if not text.isdecimal():
        raise InputError(
            f"annotation {MODEL_VERSION} of the live InferenceService is {text!r}, not a number: "
            "correct it, or use --force"
        )
    return int(text)
