"""Pods: what the API knows of them, and how `kubectl get pods` sums their state up.

Mirrors printPod of kube-apiserver (pkg/printers/internalversion).
"""

from pdk.kubernetes.kinds.columns import AGE, NAME, Column, at, or_none
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import NO_CREATE, Resource


def _containers(pod: JsonObject, field: str) -> list[JsonObject]:
    return [status for status in at(pod, "status", field) or [] if isinstance(status, dict)]


def _pod_ready(pod: JsonObject) -> str:
    ready = sum(bool(status.get("ready")) for status in _containers(pod, "containerStatuses"))
    return f"{ready}/{len(at(pod, 'spec', 'containers') or [])}"


def _pod_restarts(pod: JsonObject) -> str:
    return str(sum(int(status.get("restartCount", 0)) for status in _containers(pod, "containerStatuses")))


def _pod_status(pod: JsonObject) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return _init_status(pod) or _container_status(pod) or str(at(pod, "status", "reason") or _phase(pod))


def _phase(pod: JsonObject) -> str:
    return str(at(pod, "status", "phase") or "Pending")


def _init_status(pod: JsonObject) -> str:
    """Return `Init:...` while an init container has not ended well."""
    statuses = _containers(pod, "initContainerStatuses")
    for index, status in enumerate(statuses):
        state = status.get("state") or {}
        terminated = state.get("terminated")
        if terminated and not terminated.get("exitCode"):
            continue
        if terminated:
            return f"Init:{terminated.get('reason') or 'ExitCode:' + str(terminated.get('exitCode'))}"
        waiting = at(state, "waiting", "reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(at(pod, 'spec', 'initContainers') or statuses)}"
    return ""


def _container_status(pod: JsonObject) -> str:
    for status in reversed(_containers(pod, "containerStatuses")):
        state = status.get("state") or {}
        if at(state, "waiting", "reason"):
            return str(state["waiting"]["reason"])
        if "terminated" in state and _phase(pod) != "Succeeded":
            terminated = state["terminated"]
            return str(terminated.get("reason") or f"ExitCode:{terminated.get('exitCode')}")
    return "Completed" if _phase(pod) == "Succeeded" else ""


POD = Resource(
    "",
    "v1",
    "Pod",
    "pods",
    short_names=("po",),
    verbs=NO_CREATE,
    categories=("all",),
    has_status=True,
    has_log=True,
    returns_deleted=True,
    selectable=frozenset(
        {"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"}
    ),
    columns=(
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", or_none("status", "podIP"), wide=True),
        Column("Node", or_none("spec", "nodeName"), wide=True),
        Column("Nominated Node", or_none("status", "nominatedNodeName"), wide=True),
        Column("Readiness Gates", lambda obj: "<none>", wide=True),
    ),
)
