"""The InferenceService, as KServe's CRD and webhooks describe it to the Kubernetes API."""

from collections.abc import Callable
from typing import Any

from pdk.kserve.kinds.admission import admit
from pdk.kserve.kinds.names import SERVING_GROUP
from pdk.kserve.kinds.schemas import inference_service_spec
from pdk.kubernetes.kinds.columns import CRD_AGE, NAME, Column, at
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource
from pdk.kubernetes.kinds.schemas import any_object


def _condition(obj: JsonObject, kind: str) -> Any:
    conditions = at(obj, "status", "conditions") or []
    return next((condition.get("status") for condition in conditions if condition.get("type") == kind), None)


def _traffic(field: str, matches: Callable[[JsonObject], bool]) -> Callable[[JsonObject], Any]:
    def cell(obj: JsonObject) -> Any:
        targets = at(obj, "status", "components", "predictor", "traffic") or []
        return next((target.get(field) for target in targets if matches(target)), None)

    return cell


def _is_previous(target: JsonObject) -> bool:
    return target.get("tag") == "prev"


def _is_latest(target: JsonObject) -> bool:
    return target.get("latestRevision") is True


_TRAFFIC = ".status.components.predictor.traffic"
_PREVIOUS = _TRAFFIC + "[?(@.tag=='prev')]"
_LATEST = _TRAFFIC + "[?(@.latestRevision==true)]"

INFERENCE_SERVICE = Resource(
    SERVING_GROUP,
    "v1beta1",
    "InferenceService",
    "inferenceservices",
    short_names=("isvc",),
    has_status=True,
    has_generation=True,
    is_custom=True,
    is_validated=True,
    description="A model behind an address, with its revisions, traffic and conditions.",
    fields={"spec": inference_service_spec(), "status": any_object("What is served at the moment.")},
    columns=(
        NAME,
        Column("URL", lambda obj: at(obj, "status", "url"), path=".status.url"),
        Column("Ready", lambda obj: _condition(obj, "Ready"), path=".status.conditions[?(@.type=='Ready')].status"),
        Column("Prev", _traffic("percent", _is_previous), "integer", path=f"{_PREVIOUS}.percent"),
        Column("Latest", _traffic("percent", _is_latest), "integer", path=f"{_LATEST}.percent"),
        Column("PrevRolledoutRevision", _traffic("revisionName", _is_previous), path=f"{_PREVIOUS}.revisionName"),
        Column("LatestReadyRevision", _traffic("revisionName", _is_latest), path=f"{_LATEST}.revisionName"),
        CRD_AGE,
    ),
    admit=admit,
)
