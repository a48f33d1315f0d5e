"""The objects a cluster with KServe has before anybody made any, and that clients look up.

Called by the composition root before the server starts, on every start: what users may change is only made when it is
missing. Namespaces, KServe's ConfigMap (the SDK's `set_credentials` reads it), the TorchServe runtime, the Service of the
Istio ingress gateway (scripts find the address of the ingress through it), the CRDs.
"""

import json
from collections.abc import Sequence
from typing import Any

from pdk.kubernetes.api.columns import columns_of
from pdk.kubernetes.store.metadata import timestamp
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.resources import Resource

JsonObject = dict[str, Any]

NAMESPACES = ("default", "kube-system", "istio-system", "kserve", "models")
TORCHSERVE = "kserve-torchserve"


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
        _create_missing(store, "clusterservingruntimes.serving.kserve.io", torchserve_runtime())
        store.apply_owned("services", ingress_service(ingress_host, ingress_port))
        for resource in store.resources:
            if resource.is_custom:
                definition = custom_resource_definition(resource)
                known = store.find("customresourcedefinitions.apiextensions.k8s.io", "", definition["metadata"]["name"])
                if known is None or known["spec"] != definition["spec"]:
                    store.apply_owned("customresourcedefinitions.apiextensions.k8s.io", definition)


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


def torchserve_runtime() -> JsonObject:
    """Return the runtime that serves `pytorch` models."""
    container = {
        "name": "kserve-container",
        "image": "pytorch/torchserve-kfs:0.9.0",
        "args": [
            "torchserve",
            "--start",
            "--model-store=/mnt/models/model-store",
            "--ts-config=/mnt/models/config/config.properties",
        ],
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


def custom_resource_definition(resource: Resource) -> JsonObject:
    """Return the CRD of one of KServe's kinds; its schema is the minimal one that KServe ships as well."""
    names = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)  # type: ignore[assignment]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    columns = [
        {"name": column.name, "type": column.type, "jsonPath": column.path} for column in columns_of(resource.kind)[1:]
    ]
    version: JsonObject = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": columns,
    }
    if resource.has_status:
        version["subresources"] = {"status": {}}
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": timestamp()}
        for kind, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    return {
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "conversion": {"strategy": "None"},
            "versions": [version],
        },
        "status": {"acceptedNames": names, "conditions": conditions, "storedVersions": [resource.version]},
    }
