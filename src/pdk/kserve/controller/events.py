"""Events on InferenceServices, as `kubectl describe` shows them.

The same event again raises the count of the first one, as client-go's recorder does.
"""

import enum
import hashlib
from collections.abc import Mapping
from typing import Any

from pdk.kubernetes.errors import ObjectForbidden, ObjectNotFound
from pdk.kubernetes.store.metadata import timestamp
from pdk.kubernetes.store.objects import ObjectStore

COMPONENT = "v1beta1Controllers"
# Characters of a message; kube-apiserver refuses longer ones.
MAX_MESSAGE = 1024


class EventType(enum.StrEnum):
    """`type` of an Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


class EventRecorder:
    """Writes Events into the namespace of the object they are about."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def record(self, about: Mapping[str, Any], kind: EventType, reason: str, message: str) -> None:
        """Write an event; quietly not, when the namespace is going away with everything in it."""
        metadata, now = about["metadata"], timestamp()
        text = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."
        digest = hashlib.sha256(f"{metadata['uid']}{kind}{reason}{text}".encode()).hexdigest()[:16]
        name = f"{metadata['name']}.{digest}"
        before = self._store.find("events", metadata["namespace"], name) or {}
        event = {
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": kind,
            "reason": reason,
            "message": text,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": before.get("firstTimestamp", now),
            "lastTimestamp": now,
            "count": before.get("count", 0) + 1,
        }
        try:
            self._store.apply_owned("events", event)
        except (ObjectForbidden, ObjectNotFound):
            # The namespace is being deleted: nobody will read it there.
            return
