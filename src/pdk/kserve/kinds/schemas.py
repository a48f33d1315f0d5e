"""What the fields of an InferenceService are, for field validation and `kubectl explain`.

Written from the field names and types of KServe 0.14's API. What pdk does not look into (probes, volumes, affinity)
is an object that takes any field.
"""

from pdk.kserve.kinds.names import FRAMEWORKS
from pdk.kubernetes.kinds.schemas import (
    Schema,
    any_object,
    array,
    boolean,
    integer,
    named,
    obj,
    quantities,
    string,
    string_map,
)


def container_fields() -> dict[str, Schema]:
    """Return the fields of a container."""
    env = obj(
        {"name": string(), "value": string(), "valueFrom": any_object()},
        "One environment variable of the model server.",
        ("name",),
    )
    resources = obj(
        {
            "requests": quantities("What the container asks for."),
            "limits": quantities("What the container may use at most."),
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
        **named(string(), "imagePullPolicy", "restartPolicy", "terminationMessagePath", "terminationMessagePolicy"),
        **named(string(), "workingDir"),
        **named(boolean(), "stdin", "stdinOnce", "tty"),
        **named(any_object(), "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "securityContext"),
        **named(array(any_object()), "envFrom", "ports", "resizePolicy", "volumeDevices", "volumeMounts"),
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
        "overhead": quantities(""),
        **named(integer(), "activeDeadlineSeconds", "priority", "terminationGracePeriodSeconds"),
        **named(boolean(), "automountServiceAccountToken", "enableServiceLinks", "hostIPC", "hostNetwork", "hostPID"),
        **named(boolean(), "hostUsers", "setHostnameAsFQDN", "shareProcessNamespace"),
        **named(
            string(), "dnsPolicy", "hostname", "nodeName", "preemptionPolicy", "priorityClassName", "restartPolicy"
        ),
        **named(string(), "runtimeClassName", "schedulerName", "serviceAccount", "subdomain"),
        **named(any_object(), "affinity", "dnsConfig", "os", "securityContext"),
        **named(array(any_object()), "hostAliases", "imagePullSecrets", "readinessGates", "resourceClaims"),
        **named(array(any_object()), "schedulingGates", "topologySpreadConstraints", "volumes"),
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
        **named(any_object(), "batcher", "deploymentStrategy", "logger"),
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
