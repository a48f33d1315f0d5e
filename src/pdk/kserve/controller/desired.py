"""What an InferenceService asks for, read once from its object, and when that needs a new revision.

A new revision is due when what reaches its pods differs. Mirrors the Knative Service that KServe makes: the predictor
spec and the propagated annotations are the revision's template, so a change of `pach_id` alone makes a new revision,
while canary percentages only move traffic.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdk.kserve.controller.deployment_mode import deployment_mode
from pdk.kserve.controller.wire import ServiceStatus
from pdk.kserve.kinds.names import DeploymentMode
from pdk.kserve.predictor.failures import InvalidPredictorSpec, ModelFailure
from pdk.kserve.predictor.model_spec import parse_model_spec
from pdk.kserve.predictor.revisions import ServiceUid
from pdk.kubernetes.kinds.json_object import JsonObject

STOP_ANNOTATION = "serving.kserve.io/stop"
NOT_PROPAGATED = frozenset(
    {
        "autoscaling.knative.dev/min-scale",
        "autoscaling.knative.dev/max-scale",
        "internal.serving.kserve.io/storage-initializer-sourceuri",
        "kubectl.kubernetes.io/last-applied-configuration",
        "modelFormat",
        STOP_ANNOTATION,
    }
)
# The field of `spec.predictor` that only moves traffic.
CANARY = "canaryTrafficPercent"


@dataclass(frozen=True)
class DesiredService:
    """An InferenceService: `obj` is the whole of it, `status` the one it has.

    `template` is `spec.predictor`, and `propagated` are the annotations, as far as they reach the pods; `canary` is the
    percentage for the latest revision, None for all traffic; `problem` is why the spec cannot be served.
    """

    obj: JsonObject
    namespace: str
    name: str
    uid: ServiceUid
    generation: int
    mode: DeploymentMode
    status: ServiceStatus
    template: Mapping[str, Any]
    propagated: Mapping[str, str]
    stopped: bool = False
    canary: int | None = None
    problem: ModelFailure | None = None

    @property
    def serves(self) -> bool:
        """Whether the latest spec can be, and is to be, served."""
        return self.problem is None and not self.stopped

    @property
    def digest(self) -> str:
        """10 hex digits that change when a new revision is due."""
        text = json.dumps([self.template, self.propagated], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]


def read_desired(obj: JsonObject) -> DesiredService:
    """Return what an InferenceService asks for; a spec that cannot be served is a `problem`, not an error."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    status: ServiceStatus = obj.get("status") or {}
    annotations = metadata.get("annotations") or {}
    predictor = spec["predictor"] if isinstance(spec.get("predictor"), Mapping) else {}
    canary, problem = None, None
    try:
        canary = _check(spec)
    except ModelFailure as failure:
        problem = failure
    return DesiredService(
        obj=obj,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        mode=deployment_mode(status.get("deploymentMode"), annotations),
        status=status,
        template={key: value for key, value in predictor.items() if key != CANARY},
        propagated={key: value for key, value in sorted(annotations.items()) if key not in NOT_PROPAGATED},
        stopped=annotations.get(STOP_ANNOTATION) == "true",
        canary=canary,
        problem=problem,
    )


def _check(spec: Mapping[str, Any]) -> int | None:
    """Return the canary percentage of a spec; raise ModelFailure when it cannot be served."""
    predictor = spec.get("predictor")
    if not isinstance(predictor, Mapping):
        raise InvalidPredictorSpec("spec.predictor is required")
    for component in ("transformer", "explainer"):
        if spec.get(component):
            raise InvalidPredictorSpec(f"spec.{component} is not supported: put its work into the handler")
    percent = predictor.get(CANARY)
    if percent is not None and (not isinstance(percent, int) or isinstance(percent, bool) or not 0 <= percent <= 100):
        raise InvalidPredictorSpec(f"spec.predictor.{CANARY} must be a whole number from 0 to 100")
    parse_model_spec(predictor)
    return percent
