"""The Deployments, Pods and Services a cluster would have for an InferenceService, derived from its revisions.

Nothing runs because of them: they are what `kubectl get pods`, `describe` and `logs` look at. Called by the reconciler
after each pass.
"""

import datetime
from collections.abc import Iterator

from pdk.kserve.controller.desired import DesiredService
from pdk.kserve.kinds.names import CONTAINER, TORCHSERVE_ARGS
from pdk.kserve.predictor.node import INITIALIZER
from pdk.kserve.predictor.revisions import Revision, RevisionState, Stage
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.metadata import timestamp

DEPLOYMENTS, PODS, SERVICES = "deployments.apps", "pods", "services"
SERVING_IMAGE, INITIALIZER_IMAGE = "pdk/torchserve", "pdk/storage-initializer"
STARTED = frozenset({RevisionState.STARTING, RevisionState.READY, RevisionState.DRAINING, RevisionState.STOPPING})


def labels(revision: Revision) -> dict[str, str]:
    """Return the labels of everything that belongs to a revision."""
    return {
        "app": revision.name,
        "component": "predictor",
        "serving.kserve.io/inferenceservice": revision.service,
        "serving.knative.dev/configuration": f"{revision.service}-predictor",
        "serving.knative.dev/revision": revision.name,
        "serving.knative.dev/service": f"{revision.service}-predictor",
    }


def deployment_name(revision: Revision) -> str:
    """Return `<revision>-deployment`."""
    return f"{revision.name}-deployment"


def build_service(desired: DesiredService) -> JsonObject:
    """Return the predictor's Service."""
    selector = {"serving.kserve.io/inferenceservice": desired.name, "component": "predictor"}
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "metadata": _metadata(f"{desired.name}-predictor", desired.obj, dict(selector)),
        "spec": {"type": "ClusterIP", "clusterIP": "None", "selector": selector, "ports": ports},
        "status": {"loadBalancer": {}},
    }


def build_deployment(desired: DesiredService, revision: Revision) -> JsonObject:
    """Return the Deployment of a revision."""
    ready = 1 if revision.state is RevisionState.READY else 0
    created = _stamp(revision, Stage.CREATED)
    available: JsonObject = {
        "type": "Available",
        "status": "True" if ready else "False",
        "reason": "MinimumReplicasAvailable" if ready else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if ready else 'does not have'} minimum availability.",
        "lastUpdateTime": created,
        "lastTransitionTime": created,
    }
    metadata = _metadata(deployment_name(revision), desired.obj, labels(revision))
    return {
        "metadata": metadata | {"annotations": {"deployment.kubernetes.io/revision": "1"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": revision.name}},
            "template": {"metadata": {"labels": labels(revision)}, "spec": _pod_spec(revision)},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": 1 - ready,
            "conditions": [available],
        },
    }


def build_pod(revision: Revision, deployment: JsonObject) -> JsonObject:
    """Return the Pod of a revision; `deployment` is the stored object that owns it."""
    annotations = {**revision.annotations, "kubectl.kubernetes.io/default-container": CONTAINER}
    return {
        "metadata": _metadata(revision.pod, deployment, labels(revision)) | {"annotations": annotations},
        "spec": _pod_spec(revision),
        "status": _pod_status(revision),
    }


def _metadata(name: str, owner: JsonObject, labels: dict[str, str]) -> JsonObject:
    """Return the metadata of an object beside its stored `owner`."""
    reference = {
        **{key: owner[key] for key in ("apiVersion", "kind")},
        **{key: owner["metadata"][key] for key in ("name", "uid")},
        "controller": True,
        "blockOwnerDeletion": True,
    }
    namespace = owner["metadata"]["namespace"]
    return {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [reference]}


def _pod_spec(revision: Revision) -> JsonObject:
    model = revision.predictor.get("model") or revision.predictor.get("pytorch") or {}
    container: JsonObject = {
        "name": CONTAINER,
        "image": SERVING_IMAGE,
        "args": TORCHSERVE_ARGS,
        "ports": [{"name": "user-port", "containerPort": 8080, "protocol": "TCP"}],
        "volumeMounts": [{"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True}],
    }
    container |= {key: model[key] for key in ("env", "resources") if model.get(key)}
    initializer = {
        "name": INITIALIZER,
        "image": INITIALIZER_IMAGE,
        "args": [model.get("storageUri", ""), "/mnt/models"],
        "volumeMounts": [{"name": "kserve-provision-location", "mountPath": "/mnt/models"}],
    }
    spec: JsonObject = {
        "containers": [container],
        "initContainers": [initializer],
        "volumes": [{"name": "kserve-provision-location", "emptyDir": {}}],
        "serviceAccountName": revision.predictor.get("serviceAccountName") or "default",
        "nodeName": "localhost",
        "restartPolicy": "Always",
    }
    return spec | {
        key: revision.predictor[key] for key in ("tolerations", "nodeSelector") if revision.predictor.get(key)
    }


def _pod_status(revision: Revision) -> JsonObject:
    ready = revision.state is RevisionState.READY
    fetched = Stage.FETCHED in revision.stages
    began = _stamp(revision, Stage.CREATED)
    return {
        "phase": "Running" if fetched and (revision.state in STARTED or revision.restarts) else "Pending",
        "startTime": began,
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "qosClass": "BestEffort",
        "conditions": list(_pod_conditions(revision, fetched, ready)),
        "initContainerStatuses": [_initializer_status(revision, fetched)],
        "containerStatuses": [_container_status(revision, ready)],
    }


def _pod_conditions(revision: Revision, fetched: bool, ready: bool) -> Iterator[JsonObject]:
    states = {"PodScheduled": True, "Initialized": fetched, "ContainersReady": ready, "Ready": ready}
    since = {
        "PodScheduled": Stage.CREATED,
        "Initialized": Stage.FETCHED,
        "ContainersReady": Stage.READY,
        "Ready": Stage.READY,
    }
    for kind, holds in states.items():
        time = _stamp(revision, since[kind], Stage.CREATED)
        yield {"type": kind, "status": "True" if holds else "False", "lastTransitionTime": time}


def _initializer_status(revision: Revision, fetched: bool) -> JsonObject:
    if fetched:
        begun, ended = _stamp(revision, Stage.FETCH, Stage.FETCHED), _stamp(revision, Stage.FETCHED)
        done = {"exitCode": 0, "reason": "Completed", "startedAt": begun, "finishedAt": ended}
        state: JsonObject = {"terminated": done}
    elif revision.state is RevisionState.FETCHING:
        state = {"running": {"startedAt": _stamp(revision, Stage.FETCH)}}
    else:
        state = {"waiting": _waiting(revision)}
    return _status(INITIALIZER, INITIALIZER_IMAGE, fetched, revision.fetch_restarts, state)


def _container_status(revision: Revision, ready: bool) -> JsonObject:
    if revision.state in STARTED:
        state: JsonObject = {"running": {"startedAt": _stamp(revision, Stage.START)}}
    else:
        fetched = Stage.FETCHED in revision.stages
        state = {"waiting": _waiting(revision) if fetched else {"reason": "PodInitializing"}}
    status = _status(CONTAINER, SERVING_IMAGE, ready, revision.restarts, state) | {"started": ready}
    failure = revision.failure
    if failure is not None and revision.restarts:
        ended = {"exitCode": failure.exit_code if failure.exit_code is not None else 1, "reason": "Error"}
        status["lastState"] = {"terminated": ended | {"message": failure.message, "finishedAt": failure.time}}
    return status


def _status(name: str, image: str, ready: bool, restarts: int, state: JsonObject) -> JsonObject:
    return {"name": name, "image": image, "imageID": "", "ready": ready, "restartCount": restarts, "state": state}


def _waiting(revision: Revision) -> JsonObject:
    message = revision.waiting or (revision.failure.message if revision.failure is not None else "")
    if not message:
        return {"reason": "PodInitializing"}
    return {"reason": "CrashLoopBackOff", "message": message}


def _stamp(revision: Revision, *stages: Stage) -> str:
    """Return when a revision was in the first of the stages that it has been in, RFC 3339."""
    moment = next((revision.stages[stage] for stage in stages if stage in revision.stages), 0.0)
    return timestamp(datetime.datetime.fromtimestamp(moment, datetime.UTC))
