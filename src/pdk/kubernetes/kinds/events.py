"""Events, core and events.k8s.io/v1: the newer API is a read-only view of the same objects under other field names.

kubectl reads core Events; some dashboards and clients read the newer ones.
"""

from dataclasses import replace

from pdk.kubernetes.kinds.columns import Column, age, at
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import READ_ONLY, Resource

_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _as_events_v1(event: JsonObject) -> JsonObject:
    """Return a core Event in the form of events.k8s.io/v1."""
    renamed = {_RENAMED.get(key, key): value for key, value in event.items()}
    source = event.get("source") or {}
    renamed.setdefault("reportingController", event.get("reportingComponent") or source.get("component", ""))
    return renamed | {"apiVersion": EVENT_V1.api_version, "kind": EVENT_V1.kind}


def _last_seen(event: JsonObject) -> str:
    return age(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))


def _event_object(event: JsonObject) -> str:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _event_source(event: JsonObject) -> str:
    source = event.get("source") or {}
    parts = (source.get("component") or event.get("reportingComponent"), source.get("host"))
    return ", ".join(part for part in parts if part)


EVENT = Resource(
    "",
    "v1",
    "Event",
    "events",
    short_names=("ev",),
    selectable=frozenset(
        {"reason", "reportingComponent", "source", "type"} | {f"involvedObject.{name}" for name in _INVOLVED}
    ),
    columns=(
        Column("Last Seen", _last_seen),
        Column("Type", lambda event: event.get("type")),
        Column("Reason", lambda event: event.get("reason")),
        Column("Object", _event_object),
        Column("Subobject", lambda event: at(event, "involvedObject", "fieldPath") or "", wide=True),
        Column("Source", _event_source, wide=True),
        Column("Message", lambda event: str(event.get("message") or event.get("note") or "").strip()),
        Column("First Seen", lambda event: age(event.get("firstTimestamp") or event.get("eventTime")), wide=True),
        Column("Count", lambda event: int(event.get("count") or 1), "integer", wide=True),
        Column("Name", lambda event: event["metadata"]["name"], format="name", wide=True),
    ),
)
EVENT_V1 = replace(EVENT, group="events.k8s.io", verbs=READ_ONLY, view_of=EVENT.key, view=_as_events_v1)
