"""What the fields of an InferenceService are: the one table behind field validation, `kubectl explain` and the CRD.

OpenAPI v3 schemas as plain dicts, written from the field names and types of KServe 0.14's API. What pdk does not look
into (probes, volumes, affinity, ...) is an object that takes any field. Read by `field_validation.py` and `openapi.py`.
"""

from typing import Any

from pdk.kubernetes.store.resources import Resource

Schema = dict[str, Any]

FRAMEWORKS = (
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)
"""The predictor's old one-framework fields; admission turns each into `model`."""


def string(description: str = "") -> Schema:
    """Return the schema of text."""
    return _described({"type": "string"}, description)


def integer(description: str = "") -> Schema:
    """Return the schema of a whole number."""
    return _described({"type": "integer"}, description)


def boolean(description: str = "") -> Schema:
    """Return the schema of true or false."""
    return _described({"type": "boolean"}, description)


def array(items: Schema, description: str = "", merge_key: str = "") -> Schema:
    """Return the schema of a list; with `merge_key`, one whose items a strategic merge patch tells apart by that field."""
    schema = _described({"type": "array", "items": items}, description)
    if merge_key:
        schema |= {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": merge_key}
    return schema


def obj(properties: dict[str, Schema], description: str = "", required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with these fields and no others."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return _described(schema, description)


def any_object(description: str = "") -> Schema:
    """Return the schema of an object that may have any field."""
    return _described({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, description)


def string_map(description: str = "") -> Schema:
    """Return the schema of a map of text to text."""
    return _described({"type": "object", "additionalProperties": {"type": "string"}}, description)


def _described(schema: Schema, description: str) -> Schema:
    return schema | {"description": description} if description else schema


def _named(kind: Schema, *names: str) -> dict[str, Schema]:
    return dict.fromkeys(names, kind)


def _quantities(description: str) -> Schema:
    value = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    return {"type": "object", "description": description, "additionalProperties": value}


def container_fields() -> dict[str, Schema]:
    """Return the fields of a container."""
    env = obj(
        {"name": string(), "value": string(), "valueFrom": any_object()},
        "One environment variable of the model server.",
        ("name",),
    )
    resources = obj(
        {
            "requests": _quantities("What the container asks for."),
            "limits": _quantities("What the container may use at most."),
            "claims": array(any_object()),
        },
        "CPU, memory and devices of the model server.",
    )
    return {
        "name": string("Name of the container; must be empty in a predictor's model."),
        "image": string("Image of the model server; the runtime's when absent."),
        "args": array(string(), "Arguments added to those of the runtime."),
        "command": array(string()),
        "env": array(env, "Environment variables of the model server."),
        "resources": resources,
        **_named(string(), "imagePullPolicy", "restartPolicy", "terminationMessagePath", "terminationMessagePolicy"),
        **_named(string(), "workingDir"),
        **_named(boolean(), "stdin", "stdinOnce", "tty"),
        **_named(any_object(), "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "securityContext"),
        **_named(array(any_object()), "envFrom", "ports", "resizePolicy", "volumeDevices", "volumeMounts"),
    }


def _pod_fields() -> dict[str, Schema]:
    container = obj(container_fields(), "One container of the pod.", ("name",))
    return {
        "serviceAccountName": string("ServiceAccount whose secrets hold the credentials of the storageUri."),
        "containers": array(container, "Containers of a custom predictor, or overrides."),
        "initContainers": array(container),
        "ephemeralContainers": array(any_object()),
        "nodeSelector": string_map(),
        "tolerations": array(any_object(), "Taints of nodes the pod may run on in spite of them."),
        "overhead": _quantities(""),
        **_named(integer(), "activeDeadlineSeconds", "priority", "terminationGracePeriodSeconds"),
        **_named(boolean(), "automountServiceAccountToken", "enableServiceLinks", "hostIPC", "hostNetwork", "hostPID"),
        **_named(boolean(), "hostUsers", "setHostnameAsFQDN", "shareProcessNamespace"),
        **_named(
            string(), "dnsPolicy", "hostname", "nodeName", "preemptionPolicy", "priorityClassName", "restartPolicy"
        ),
        **_named(string(), "runtimeClassName", "schedulerName", "serviceAccount", "subdomain"),
        **_named(any_object(), "affinity", "dnsConfig", "os", "securityContext"),
        **_named(array(any_object()), "hostAliases", "imagePullSecrets", "readinessGates", "resourceClaims"),
        **_named(array(any_object()), "schedulingGates", "topologySpreadConstraints", "volumes"),
    }


def _component_fields() -> dict[str, Schema]:
    return {
        "minReplicas": integer("Fewest replicas; 0 lets it scale to zero."),
        "maxReplicas": integer("Most replicas."),
        "canaryTrafficPercent": integer("Percent of the requests that go to the latest ready revision."),
        "containerConcurrency": integer("Requests one replica handles at a time; 0: no limit."),
        "timeout": integer("Seconds until a request is given up."),
        "scaleMetric": string("What is scaled by: cpu, memory, concurrency or rps."),
        "scaleTarget": integer("Value of the metric to aim at."),
        "labels": string_map("Labels of the pods."),
        "annotations": string_map("Annotations of the pods."),
        **_named(any_object(), "batcher", "deploymentStrategy", "logger"),
    }


def _model_fields() -> dict[str, Schema]:
    storage = obj(
        {"key": string(), "path": string(), "schemaPath": string(), "parameters": string_map()},
        "Where the model is, by a key of the secret storage-config.",
    )
    return container_fields() | {
        "storageUri": string("Where the model is read from: s3://bucket/prefix, file:///path, ..."),
        "protocolVersion": string("Inference protocol: v1 or v2."),
        "runtimeVersion": string("Tag of the runtime's image."),
        "storage": storage,
    }


def inference_service_spec() -> Schema:
    """Return the schema of an InferenceService's spec."""
    model_format = obj(
        {"name": string("Name of the format, such as pytorch."), "version": string("Version of the format.")},
        "The format the model is stored in; a runtime that supports it is chosen.",
        ("name",),
    )
    model = obj(
        _model_fields() | {"modelFormat": model_format, "runtime": string("Name of the runtime; chosen when absent.")},
        "The model and how it is served.",
    )
    framework = obj(_model_fields(), "The old way to write `model` with this format; it is turned into `model`.")
    worker = obj(
        _pod_fields() | {"pipelineParallelSize": integer(), "tensorParallelSize": integer(), "size": integer()}
    )
    component = _pod_fields() | _component_fields()
    predictor = {"model": model, "workerSpec": worker} | dict.fromkeys(FRAMEWORKS, framework) | component
    return obj(
        {
            "predictor": obj(predictor, "Serves the model. Exactly one of model, a framework or containers."),
            "transformer": obj(dict(component), "Changes requests and answers on their way to the predictor."),
            "explainer": obj({"art": any_object()} | component, "Explains predictions."),
        },
        "What is to be served.",
        ("predictor",),
    )


def _core_fields(kind: str) -> dict[str, Schema]:
    """Return the fields of the built-in kinds that kubectl computes strategic merge patches for."""
    data = string_map("The content, by key.")
    match kind:
        case "Secret":
            return {
                "data": string_map("The content, by key, as base64."),
                "stringData": string_map("The content as plain text; write only."),
                "type": string("What kind of secret it is."),
                "immutable": boolean("The content may not change any more."),
            }
        case "ConfigMap":
            return {"data": data, "binaryData": string_map("The content, as base64."), "immutable": boolean()}
        case "ServiceAccount":
            return {
                "secrets": array(any_object(), "Secrets pods of this account may use.", "name"),
                "imagePullSecrets": array(any_object(), "", "name"),
                "automountServiceAccountToken": boolean(),
            }
        case _:
            return {"spec": any_object("What is wanted."), "status": any_object("What is.")}


def metadata_schema() -> Schema:
    """Return the schema of metadata."""
    reference = obj(
        {
            **_named(string(), "apiVersion", "kind", "name", "uid"),
            **_named(boolean(), "controller", "blockOwnerDeletion"),
        },
        "An object that owns this one.",
        ("apiVersion", "kind", "name", "uid"),
    )
    finalizers = array(string(), "What has to happen before a deleted object is gone.")
    return obj(
        {
            "name": string("Name of the object, unique among its kind in its namespace."),
            "generateName": string("Prefix of a name the server completes."),
            "namespace": string("Namespace of the object."),
            "labels": string_map("What the object is selected by."),
            "annotations": string_map("Notes on the object."),
            "finalizers": finalizers | {"x-kubernetes-patch-strategy": "merge"},
            "ownerReferences": array(reference, "The object goes when all of these are gone.", "uid"),
            "managedFields": array(any_object(), "Who set which field."),
            **_named(string(), "creationTimestamp", "deletionTimestamp", "resourceVersion", "selfLink", "uid"),
            **_named(integer(), "deletionGracePeriodSeconds", "generation"),
        },
        "Name, labels and what else every object has.",
    )


def kind_schema(resource: Resource) -> Schema:
    """Return the schema of the objects of a resource."""
    if resource.kind == "InferenceService":
        fields = {"spec": inference_service_spec(), "status": any_object("What is served at the moment.")}
        description = "A model behind an address, with its revisions, traffic and conditions."
    else:
        fields, description = _core_fields(resource.kind), f"{resource.kind} objects."
    return obj(
        {
            "apiVersion": string("Group and version of the kind."),
            "kind": string("The kind of the object."),
            "metadata": metadata_schema(),
            **fields,
        },
        description,
    )
