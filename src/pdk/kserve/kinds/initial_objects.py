"""The objects a cluster with KServe has before anybody made any, and that clients look up.

Called by the composition root before the server starts, on every start: what users may change is only made when it is
missing. Namespaces, KServe's ConfigMap (the SDK's `set_credentials` reads it), the TorchServe runtime, the Service of
the Istio ingress gateway (scripts find the address of the ingress through it), the CRDs.
"""

import json
from collections.abc import Sequence

from pdk.kserve.kinds.runtimes import CLUSTER_SERVING_RUNTIME, torchserve_runtime
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.definitions import install_definitions
from pdk.kubernetes.store.objects import ObjectStore

NAMESPACES = ("default", "kube-system", "istio-system", "kserve", "models")


def install_initial_objects(
    store: ObjectStore,
    ingress_port: int,
    ingress_host: str = "127.0.0.1",
    domain: str = "example.com",
    namespaces: Sequence[str] = NAMESPACES,
) -> None:
    """Make what is missing; bring the ingress Service and the CRDs up to date.

    `domain` is the last part of InferenceServices' host names. The namespaces `kserve` and `istio-system` always exist.
    """
    with store.transaction():
        for name in dict.fromkeys([*namespaces, "kserve", "istio-system"]):
            _create_missing(store, "namespaces", {"metadata": {"name": name}})
        _create_missing(store, "configmaps", kserve_config(domain))
        _create_missing(store, CLUSTER_SERVING_RUNTIME.key, torchserve_runtime())
        store.apply_owned("services", ingress_service(ingress_host, ingress_port))
        install_definitions(store)


def _create_missing(store: ObjectStore, resource: str, obj: JsonObject) -> None:
    metadata = obj["metadata"]
    if store.find(resource, metadata.get("namespace", ""), metadata["name"]) is None:
        store.create(resource, obj)


def kserve_config(domain: str) -> JsonObject:
    """Return KServe's ConfigMap with the keys that clients and this server read."""
    credentials = {
        "gcs": {"gcsCredentialFileName": "gcloud-application-credentials.json"},
        "s3": {"s3AccessKeyIDName": "AWS_ACCESS_KEY_ID", "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY"},
    }
    ingress = {
        "ingressDomain": domain,
        "ingressService": "istio-ingressgateway.istio-system.svc.cluster.local",
        "domainTemplate": "{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
    }
    data = {
        "credentials": json.dumps(credentials, indent=2),
        "deploy": json.dumps({"defaultDeploymentMode": "Serverless"}, indent=2),
        "ingress": json.dumps(ingress, indent=2),
    }
    return {"metadata": {"name": "inferenceservice-config", "namespace": "kserve"}, "data": data}


def ingress_service(host: str, port: int) -> JsonObject:
    """Return the Service that says where the ingress listens."""
    labels = {"app": "istio-ingressgateway", "istio": "ingressgateway"}
    return {
        "metadata": {"name": "istio-ingressgateway", "namespace": "istio-system", "labels": labels},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": host,
            "clusterIPs": [host],
            "externalIPs": [host],
            "ports": [{"name": "http2", "port": port, "protocol": "TCP", "targetPort": port, "nodePort": port}],
            "selector": labels,
            "sessionAffinity": "None",
        },
        "status": {"loadBalancer": {"ingress": [{"ip": host}]}},
    }
