"""The columns `kubectl get` shows for each kind, and the cells of one object under them.

Read by `tables.py`. Mirrors the printers of kube-apiserver (pkg/printers/internalversion) for the built-in kinds and the
`additionalPrinterColumns` of KServe's CRDs for its own.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pdk.base import clock

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: its title, how to get the cell, its type, and whether only `-o wide` shows it."""

    name: str
    cell: Callable[[JsonObject], Any]
    type: str = "string"
    wide: bool = False
    format: str = ""
    path: str = ""
    """JSONPath, for the CRD objects."""


def columns_of(kind: str) -> tuple[Column, ...]:
    """Return the columns of a kind, NAME first."""
    name = Column("Name", lambda obj: obj["metadata"]["name"], format="name")
    if kind == "Event":
        return EVENT_COLUMNS
    return (name, *COLUMNS.get(kind, (AGE,)))


def human_duration(seconds: float) -> str:
    """Return a duration as kubectl shows it: 119s, 9m5s, 3h10m, 5d2h, 2y10d."""
    total = int(seconds)
    if total < 0:
        return "0s" if total >= -1 else "<invalid>"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    for limit, unit, big, rest_unit, rest in (
        (120, "s", total, "", 0),
        (600, "m", minutes, "s", total % 60),
        (3 * 3600, "m", minutes, "", 0),
        (8 * 3600, "h", hours, "m", minutes % 60),
        (48 * 3600, "h", hours, "", 0),
        (8 * 86400, "d", days, "h", hours % 24),
        (2 * 365 * 86400, "d", days, "", 0),
        (8 * 365 * 86400, "y", days // 365, "d", days % 365),
    ):
        if total < limit:
            return f"{big}{unit}" + (f"{rest}{rest_unit}" if rest else "")
    return f"{days // 365}y"


def age(timestamp: str | None) -> str:
    """Return how long ago an RFC 3339 time was, in kubectl's form."""
    if not timestamp:
        return "<unknown>"
    try:
        moment = clock.from_rfc3339(timestamp)
    except ValueError:
        return "<unknown>"
    return human_duration((clock.now() - moment) / datetime.timedelta(seconds=1))


def _age_of(obj: JsonObject) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


AGE = Column("Age", _age_of, path=".metadata.creationTimestamp")
CRD_AGE = Column("Age", _age_of, type="date", path=".metadata.creationTimestamp")


def _at(obj: Any, *steps: str) -> Any:
    for step in steps:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


# ---------------------------------------------------------------- KServe


def _condition(obj: JsonObject, kind: str) -> Any:
    conditions = _at(obj, "status", "conditions") or []
    return next((condition.get("status") for condition in conditions if condition.get("type") == kind), None)


def _traffic(field: str, matches: Callable[[JsonObject], bool]) -> Callable[[JsonObject], Any]:
    def cell(obj: JsonObject) -> Any:
        targets = _at(obj, "status", "components", "predictor", "traffic") or []
        return next((target.get(field) for target in targets if matches(target)), None)

    return cell


def _is_previous(target: JsonObject) -> bool:
    return target.get("tag") == "prev"


def _is_latest(target: JsonObject) -> bool:
    return target.get("latestRevision") is True


_TRAFFIC = ".status.components.predictor.traffic"
_PREVIOUS = _TRAFFIC + "[?(@.tag=='prev')]"
_LATEST = _TRAFFIC + "[?(@.latestRevision==true)]"

INFERENCE_SERVICE = (
    Column("URL", lambda obj: _at(obj, "status", "url"), path=".status.url"),
    Column("Ready", lambda obj: _condition(obj, "Ready"), path=".status.conditions[?(@.type=='Ready')].status"),
    Column("Prev", _traffic("percent", _is_previous), "integer", path=f"{_PREVIOUS}.percent"),
    Column("Latest", _traffic("percent", _is_latest), "integer", path=f"{_LATEST}.percent"),
    Column("PrevRolledoutRevision", _traffic("revisionName", _is_previous), path=f"{_PREVIOUS}.revisionName"),
    Column("LatestReadyRevision", _traffic("revisionName", _is_latest), path=f"{_LATEST}.revisionName"),
    CRD_AGE,
)


def _first_name(field: str) -> Callable[[JsonObject], Any]:
    def cell(obj: JsonObject) -> Any:
        items = _at(obj, "spec", field) or []
        return next((item.get("name") for item in items if isinstance(item, dict)), None)

    return cell


RUNTIME = (
    Column("Disabled", lambda obj: _at(obj, "spec", "disabled"), "boolean", path=".spec.disabled"),
    Column("ModelType", _first_name("supportedModelFormats"), path=".spec.supportedModelFormats[*].name"),
    Column("Containers", _first_name("containers"), path=".spec.containers[*].name"),
    CRD_AGE,
)


# ---------------------------------------------------------------- built-in kinds


def _containers(pod: JsonObject, field: str) -> list[JsonObject]:
    return [status for status in _at(pod, "status", field) or [] if isinstance(status, dict)]


def _pod_ready(pod: JsonObject) -> str:
    ready = sum(bool(status.get("ready")) for status in _containers(pod, "containerStatuses"))
    return f"{ready}/{len(_at(pod, 'spec', 'containers') or [])}"


def _pod_restarts(pod: JsonObject) -> str:
    return str(sum(int(status.get("restartCount", 0)) for status in _containers(pod, "containerStatuses")))


def _pod_status(pod: JsonObject) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return _init_status(pod) or _container_status(pod) or str(_at(pod, "status", "reason") or _phase(pod))


def _phase(pod: JsonObject) -> str:
    return str(_at(pod, "status", "phase") or "Pending")


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
        waiting = _at(state, "waiting", "reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(_at(pod, 'spec', 'initContainers') or statuses)}"
    return ""


def _container_status(pod: JsonObject) -> str:
    for status in reversed(_containers(pod, "containerStatuses")):
        state = status.get("state") or {}
        if _at(state, "waiting", "reason"):
            return str(state["waiting"]["reason"])
        if "terminated" in state and _phase(pod) != "Succeeded":
            terminated = state["terminated"]
            return str(terminated.get("reason") or f"ExitCode:{terminated.get('exitCode')}")
    return "Completed" if _phase(pod) == "Succeeded" else ""


def _or_none(*steps: str) -> Callable[[JsonObject], Any]:
    return lambda obj: _at(obj, *steps) or "<none>"


def _selector(*steps: str) -> Callable[[JsonObject], str]:
    def cell(obj: JsonObject) -> str:
        labels = _at(obj, *steps) or {}
        return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or "<none>"

    return cell


def _template(field: str) -> Callable[[JsonObject], str]:
    def cell(obj: JsonObject) -> str:
        containers = _at(obj, "spec", "template", "spec", "containers") or []
        return ",".join(str(container.get(field, "")) for container in containers)

    return cell


def _count(*fields: str) -> Callable[[JsonObject], int]:
    return lambda obj: sum(len(obj.get(field) or ()) for field in fields)


def _external_ip(service: JsonObject) -> str:
    ingress = _at(service, "status", "loadBalancer", "ingress") or []
    if _at(service, "spec", "type") == "LoadBalancer":
        return ",".join(str(entry.get("ip") or entry.get("hostname")) for entry in ingress) or "<pending>"
    return str(_at(service, "spec", "externalName") or "<none>")


def _service_ports(service: JsonObject) -> str:
    shown = []
    for port in _at(service, "spec", "ports") or []:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _number(*steps: str) -> Callable[[JsonObject], int]:
    return lambda obj: int(_at(obj, *steps) or 0)


def _deployment_ready(deployment: JsonObject) -> str:
    wanted = _at(deployment, "spec", "replicas")
    return f"{_at(deployment, 'status', 'readyReplicas') or 0}/{1 if wanted is None else wanted}"


COLUMNS: dict[str, tuple[Column, ...]] = {
    "InferenceService": INFERENCE_SERVICE,
    "ClusterServingRuntime": RUNTIME,
    "ServingRuntime": RUNTIME,
    "ConfigMap": (Column("Data", _count("data", "binaryData"), "integer"), AGE),
    "CustomResourceDefinition": (Column("Created At", lambda obj: obj["metadata"].get("creationTimestamp"), "date"),),
    "Deployment": (
        Column("Ready", _deployment_ready),
        Column("Up-to-date", _number("status", "updatedReplicas"), "integer"),
        Column("Available", _number("status", "availableReplicas"), "integer"),
        AGE,
        Column("Containers", _template("name"), wide=True),
        Column("Images", _template("image"), wide=True),
        Column("Selector", _selector("spec", "selector", "matchLabels"), wide=True),
    ),
    "Namespace": (Column("Status", lambda obj: _at(obj, "status", "phase")), AGE),
    "Pod": (
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", _or_none("status", "podIP"), wide=True),
        Column("Node", _or_none("spec", "nodeName"), wide=True),
        Column("Nominated Node", _or_none("status", "nominatedNodeName"), wide=True),
        Column("Readiness Gates", lambda obj: "<none>", wide=True),
    ),
    "Secret": (Column("Type", lambda obj: obj.get("type")), Column("Data", _count("data"), "integer"), AGE),
    "Service": (
        Column("Type", lambda obj: _at(obj, "spec", "type") or "ClusterIP"),
        Column("Cluster-IP", _or_none("spec", "clusterIP")),
        Column("External-IP", _external_ip),
        Column("Port(s)", _service_ports),
        AGE,
        Column("Selector", _selector("spec", "selector"), wide=True),
    ),
    "ServiceAccount": (Column("Secrets", _count("secrets"), "integer"), AGE),
}


def _last_seen(event: JsonObject) -> str:
    return age(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))


def _event_object(event: JsonObject) -> str:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _event_source(event: JsonObject) -> str:
    source = event.get("source") or {}
    parts = (source.get("component") or event.get("reportingComponent"), source.get("host"))
    return ", ".join(part for part in parts if part)


EVENT_COLUMNS = (
    Column("Last Seen", _last_seen),
    Column("Type", lambda event: event.get("type")),
    Column("Reason", lambda event: event.get("reason")),
    Column("Object", _event_object),
    Column("Subobject", lambda event: _at(event, "involvedObject", "fieldPath") or "", wide=True),
    Column("Source", _event_source, wide=True),
    Column("Message", lambda event: str(event.get("message") or event.get("note") or "").strip()),
    Column("First Seen", lambda event: age(event.get("firstTimestamp") or event.get("eventTime")), wide=True),
    Column("Count", lambda event: int(event.get("count") or 1), "integer", wide=True),
    Column("Name", lambda event: event["metadata"]["name"], format="name", wide=True),
)
