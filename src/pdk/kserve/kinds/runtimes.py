"""ServingRuntimes, as KServe's CRDs describe them, and the one that is there from the start."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pdk.kserve.kinds.names import CONTAINER, SERVING_GROUP, TORCHSERVE, TORCHSERVE_ARGS
from pdk.kubernetes.kinds.columns import CRD_AGE, NAME, Column, at
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource


def _first_name(field: str) -> Callable[[JsonObject], Any]:
    def cell(obj: JsonObject) -> Any:
        items = at(obj, "spec", field) or []
        return next((item.get("name") for item in items if isinstance(item, dict)), None)

    return cell


CLUSTER_SERVING_RUNTIME = Resource(
    SERVING_GROUP,
    "v1alpha1",
    "ClusterServingRuntime",
    "clusterservingruntimes",
    namespaced=False,
    has_generation=True,
    is_custom=True,
    columns=(
        NAME,
        Column("Disabled", lambda obj: at(obj, "spec", "disabled"), "boolean", path=".spec.disabled"),
        Column("ModelType", _first_name("supportedModelFormats"), path=".spec.supportedModelFormats[*].name"),
        Column("Containers", _first_name("containers"), path=".spec.containers[*].name"),
        CRD_AGE,
    ),
)
SERVING_RUNTIME = replace(CLUSTER_SERVING_RUNTIME, kind="ServingRuntime", plural="servingruntimes", namespaced=True)


def torchserve_runtime() -> JsonObject:
    """Return the runtime that serves `pytorch` models."""
    container = {
        "name": CONTAINER,
        "image": "pytorch/torchserve-kfs:0.9.0",
        "args": TORCHSERVE_ARGS,
        "env": [{"name": "TS_SERVICE_ENVELOPE", "value": "{{.Labels.serviceEnvelope}}"}],
        "securityContext": {
            "runAsUser": 1000,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
    }
    return {
        "metadata": {"name": TORCHSERVE, "annotations": {"serving.kserve.io/server-type": "torchserve"}},
        "spec": {
            "annotations": {"prometheus.kserve.io/port": "8082", "prometheus.kserve.io/path": "/metrics"},
            "supportedModelFormats": [{"name": "pytorch", "version": "1", "autoSelect": True, "priority": 2}],
            # The original lists v2 and grpc-v2 as well; here only v1 is served, and who asks finds out beforehand.
            "protocolVersions": ["v1"],
            "containers": [container],
        },
    }
