"""When does an InferenceService need a new revision? When what reaches its pods differs.

Mirrors the Knative Service KServe makes: the predictor spec and the propagated annotations are the revision's template, so
a change of `pach_id` alone makes a new revision, while canary percentages only move traffic.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from pdk.kubernetes.store.metadata import NAME_LETTERS

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
TRAFFIC_ONLY = frozenset({"canaryTrafficPercent"})


def propagated_annotations(isvc: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations that reach the pods."""
    annotations = isvc["metadata"].get("annotations") or {}
    return {key: value for key, value in sorted(annotations.items()) if key not in NOT_PROPAGATED}


def predictor_template(isvc: Mapping[str, Any]) -> dict[str, Any]:
    """Return `spec.predictor` without what only steers traffic."""
    predictor = (isvc.get("spec") or {}).get("predictor") or {}
    return {key: value for key, value in predictor.items() if key not in TRAFFIC_ONLY}


def digest(isvc: Mapping[str, Any]) -> str:
    """Return 10 hex digits that change when a new revision is due."""
    template = [predictor_template(isvc), propagated_annotations(isvc)]
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def pod_name(revision: str, template_digest: str) -> str:
    """Return a name no pod had: `<revision>-deployment-<digest>-<5 letters>`."""
    suffix = "".join(secrets.choice(NAME_LETTERS) for _ in range(5))
    return f"{revision}-deployment-{template_digest}-{suffix}"
