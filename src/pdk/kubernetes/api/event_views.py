"""The newer Events API (events.k8s.io/v1): a read-only view of the core Events, under its other field names.

Used by discovery, the router and the object handlers. kubectl reads core Events; some dashboards and clients read these.
"""

from typing import Any

from pdk.kubernetes.store.resources import READ_ONLY, Resource

EVENTS_V1 = Resource("events.k8s.io", "v1", "Event", "events", short_names=("ev",), verbs=READ_ONLY)
STORED_EVENTS = "events"

_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}


def as_events_v1(event: dict[str, Any]) -> dict[str, Any]:
    """Return a core Event in the form of events.k8s.io/v1."""
    renamed = {_RENAMED.get(key, key): value for key, value in event.items()}
    source = event.get("source") or {}
    renamed.setdefault("reportingController", event.get("reportingComponent") or source.get("component", ""))
    return renamed | {"apiVersion": EVENTS_V1.api_version, "kind": EVENTS_V1.kind}
