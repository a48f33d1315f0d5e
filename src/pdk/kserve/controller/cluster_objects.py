"""What a cluster with KServe and Istio has before the first InferenceService, and clients look for.

The `kserve-torchserve` ClusterServingRuntime (deploy tools choose a runtime by discovery) and the Service of Istio's ingress
gateway (its status says where to send requests). Written when the controller starts.
"""

from typing import Any

from pdk.kserve.predictor.model_spec import RUNTIME
from pdk.kserve.store.objects import ObjectStore

RUNTIMES = "clusterservingruntimes.serving.kserve.io"
GATEWAY_NAMESPACE, GATEWAY = "istio-system", "istio-ingressgateway"


def ensure_cluster_objects(store: ObjectStore, ingress_host: str, ingress_port: int) -> None:
    """Write the runtime and, when the port is known (not 0), the gateway's Service."""
    with store.transaction():
        store.apply_owned(RUNTIMES, _runtime())
        if ingress_port:
            if store.find("namespaces", "", GATEWAY_NAMESPACE) is None:
                store.create("namespaces", {"metadata": {"name": GATEWAY_NAMESPACE}})
            store.apply_owned("services", _gateway(ingress_host, ingress_port))


def _runtime() -> dict[str, Any]:
    return {
        "metadata": {"name": RUNTIME},
        "spec": {
            "annotations": {"prometheus.kserve.io/path": "/metrics", "prometheus.kserve.io/port": "8082"},
            "supportedModelFormats": [{"name": "pytorch", "version": "1", "autoSelect": True, "priority": 2}],
            "protocolVersions": ["v1"],
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "pdk/torchserve",
                    "args": [
                        "torchserve",
                        "--start",
                        "--model-store=/mnt/models/model-store",
                        "--ts-config=/mnt/models/config/config.properties",
                    ],
                    "env": [{"name": "TS_SERVICE_ENVELOPE", "value": "kserve"}],
                }
            ],
        },
    }


def _gateway(host: str, port: int) -> dict[str, Any]:
    labels = {"app": GATEWAY, "istio": "ingressgateway"}
    return {
        "metadata": {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE, "labels": labels},
        "spec": {
            "type": "LoadBalancer",
            "selector": labels,
            "ports": [{"name": "http2", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": host}]}},
    }
