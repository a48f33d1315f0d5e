"""The kinds of Kubernetes itself that a server of this house keeps, in the order of discovery."""

from enum import StrEnum

from pdk.kubernetes.kinds.columns import AGE, NAME, Column, at, count
from pdk.kubernetes.kinds.data import CONFIG_MAP, SECRET
from pdk.kubernetes.kinds.events import EVENT, EVENT_V1
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import label_problem
from pdk.kubernetes.kinds.pods import POD
from pdk.kubernetes.kinds.resource import READ_ONLY, Resource
from pdk.kubernetes.kinds.schemas import any_object, boolean, merged_list
from pdk.kubernetes.kinds.workloads import DEPLOYMENT, SERVICE


class NamespacePhase(StrEnum):
    """Whether new content may be made in a namespace."""

    ACTIVE = "Active"
    TERMINATING = "Terminating"


def _settle_namespace(namespace: JsonObject) -> None:
    labels = namespace["metadata"].setdefault("labels", {})
    labels.setdefault("kubernetes.io/metadata.name", namespace["metadata"].get("name", ""))
    namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    namespace.setdefault("status", {}).setdefault("phase", NamespacePhase.ACTIVE)


NAMESPACE = Resource(
    "",
    "v1",
    "Namespace",
    "namespaces",
    namespaced=False,
    short_names=("ns",),
    has_status=True,
    returns_deleted=True,
    columns=(NAME, Column("Status", lambda obj: at(obj, "status", "phase")), AGE),
    selectable=frozenset({"status.phase"}),
    name_problem=label_problem,
    settle=_settle_namespace,
)
SERVICE_ACCOUNT = Resource(
    "",
    "v1",
    "ServiceAccount",
    "serviceaccounts",
    short_names=("sa",),
    returns_deleted=True,
    fields={
        **merged_list("secrets", any_object(), "Secrets pods of this account may use."),
        **merged_list("imagePullSecrets", any_object()),
        "automountServiceAccountToken": boolean(),
    },
    columns=(NAME, Column("Secrets", count("secrets"), "integer"), AGE),
)
CUSTOM_RESOURCE_DEFINITION = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
    short_names=("crd", "crds"),
    verbs=READ_ONLY,
    categories=("api-extensions",),
    has_status=True,
    has_generation=True,
    refusal="the kinds this server keeps are built in",
    columns=(NAME, Column("Created At", lambda obj: obj["metadata"].get("creationTimestamp"), "date")),
)
BUILT_IN = (
    CONFIG_MAP,
    EVENT,
    NAMESPACE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    EVENT_V1,
)
