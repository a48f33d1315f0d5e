"""Deployments and Services: what the API knows of them, and their columns."""

from collections.abc import Callable

from pdk.kubernetes.kinds.columns import AGE, NAME, Column, at, number, or_none, selector
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import label_1035_problem
from pdk.kubernetes.kinds.resource import NO_CREATE, Resource


def _external_ip(service: JsonObject) -> str:
    ingress = at(service, "status", "loadBalancer", "ingress") or []
    if at(service, "spec", "type") == "LoadBalancer":
        return ",".join(str(entry.get("ip") or entry.get("hostname")) for entry in ingress) or "<pending>"
    return str(at(service, "spec", "externalName") or "<none>")


def _service_ports(service: JsonObject) -> str:
    shown = []
    for port in at(service, "spec", "ports") or []:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _template(field: str) -> Callable[[JsonObject], str]:
    def cell(obj: JsonObject) -> str:
        containers = at(obj, "spec", "template", "spec", "containers") or []
        return ",".join(str(container.get(field, "")) for container in containers)

    return cell


def _deployment_ready(deployment: JsonObject) -> str:
    wanted = at(deployment, "spec", "replicas")
    return f"{at(deployment, 'status', 'readyReplicas') or 0}/{1 if wanted is None else wanted}"


DEPLOYMENT = Resource(
    "apps",
    "v1",
    "Deployment",
    "deployments",
    short_names=("deploy",),
    verbs=NO_CREATE,
    categories=("all",),
    has_status=True,
    has_generation=True,
    columns=(
        NAME,
        Column("Ready", _deployment_ready),
        Column("Up-to-date", number("status", "updatedReplicas"), "integer"),
        Column("Available", number("status", "availableReplicas"), "integer"),
        AGE,
        Column("Containers", _template("name"), wide=True),
        Column("Images", _template("image"), wide=True),
        Column("Selector", selector("spec", "selector", "matchLabels"), wide=True),
    ),
)
SERVICE = Resource(
    "",
    "v1",
    "Service",
    "services",
    short_names=("svc",),
    verbs=NO_CREATE,
    categories=("all",),
    has_status=True,
    returns_deleted=True,
    name_problem=label_1035_problem,
    columns=(
        NAME,
        Column("Type", lambda obj: at(obj, "spec", "type") or "ClusterIP"),
        Column("Cluster-IP", or_none("spec", "clusterIP")),
        Column("External-IP", _external_ip),
        Column("Port(s)", _service_ports),
        AGE,
        Column("Selector", selector("spec", "selector"), wide=True),
    ),
)
