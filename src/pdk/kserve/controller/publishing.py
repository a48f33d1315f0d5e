"""Tells clients what became of an InferenceService: its status, the workloads a cluster would have, Events.

Called by the reconciler at the end of a pass. An event that is told again raises the count of the first one, as
client-go's recorder does.
"""

import enum
import functools
import hashlib

from pdk.kserve.controller import workloads
from pdk.kserve.controller.plan import RolloutPlan
from pdk.kserve.controller.status import build_status, condition
from pdk.kserve.controller.wire import ConditionType, Holds, ServiceStatus
from pdk.kserve.kinds.inference_service import INFERENCE_SERVICE
from pdk.kserve.predictor.revisions import Revision, Stage
from pdk.kubernetes.errors import ObjectForbidden, ObjectNotFound
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.metadata import timestamp
from pdk.kubernetes.store.objects import ObjectStore

INFERENCE_SERVICES = INFERENCE_SERVICE.key
COMPONENT = "v1beta1Controllers"
# Characters of an event's message; kube-apiserver refuses longer ones.
MAX_MESSAGE = 1024


class EventType(enum.StrEnum):
    """`type` of an Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Publisher:
    """Writes what changed since it was written last, so that a pass in which nothing happens writes nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._published: dict[str, object] = {}

    def forget(self, key: str) -> None:
        """Forget what was written of `namespace/name`."""
        self._published.pop(key, None)

    def publish(self, key: str, plan: RolloutPlan) -> None:
        """Write status, workloads and events, all in one transaction, if anything of it changed."""
        obj, status = plan.desired.obj, build_status(plan)
        seen = (obj["metadata"]["resourceVersion"], status, plan.revisions)
        if self._published.get(key) == seen:
            return
        with self._store.transaction():
            self._store.apply_owned(workloads.SERVICES, workloads.build_service(plan.desired))
            for revision in plan.revisions:
                deployment = workloads.build_deployment(plan.desired, revision)
                stored = self._store.apply_owned(workloads.DEPLOYMENTS, deployment)
                self._store.apply_owned(workloads.PODS, workloads.build_pod(revision, stored))
            self._record_events(plan, status)
            if plan.desired.status != status:
                written = self._store.update_status(INFERENCE_SERVICES, {**obj, "status": status})
                seen = (written["metadata"]["resourceVersion"], status, plan.revisions)
        self._published[key] = seen

    def _record_events(self, plan: RolloutPlan, status: ServiceStatus) -> None:
        record = functools.partial(record_event, self._store, plan.desired.obj)
        before, about = plan.desired.status, f"InferenceService [{plan.desired.name}]"
        was_ready = condition(before, ConditionType.READY).get("status") == Holds.TRUE
        ready = condition(status, ConditionType.READY)
        if not was_ready and ready["status"] is Holds.TRUE:
            record(EventType.NORMAL, "InferenceServiceReady", f"{about} is Ready")
        elif was_ready and ready["status"] is not Holds.TRUE:
            text = f"{about} is no longer Ready: {ready.get('message', '')}"
            record(EventType.WARNING, "InferenceServiceNotReady", text)
        failure = status["modelStatus"].get("lastFailureInfo")
        if failure and failure != (before.get("modelStatus") or {}).get("lastFailureInfo"):
            record(EventType.WARNING, failure["reason"], failure["message"])
        rolled = status["components"]["predictor"].get("latestRolledoutRevision")
        was = ((before.get("components") or {}).get("predictor") or {}).get("latestRolledoutRevision")
        if plan.latest is not None and was != rolled == plan.latest.name:
            text = f"Revision {rolled} answers and has all the traffic{_stage_times(plan.latest)}"
            record(EventType.NORMAL, "RevisionReady", text)


def record_event(store: ObjectStore, about: JsonObject, kind: EventType, reason: str, message: str) -> None:
    """Write an event; quietly not, when the namespace is going away with everything in it."""
    metadata, now = about["metadata"], timestamp()
    text = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."
    digest = hashlib.sha256(f"{metadata['uid']}{kind}{reason}{text}".encode()).hexdigest()[:16]
    name = f"{metadata['name']}.{digest}"
    before = store.find("events", metadata["namespace"], name) or {}
    event = {
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "involvedObject": {
            **{key: about[key] for key in ("apiVersion", "kind")},
            **{key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")},
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
        store.apply_owned("events", event)
    except (ObjectForbidden, ObjectNotFound):
        # The namespace is being deleted: nobody will read it there.
        return


def _stage_times(revision: Revision) -> str:
    """Return how long the stages took, in seconds; nothing for a stage that was skipped."""
    stages = revision.stages
    spans = [
        ("fetch", Stage.FETCH, Stage.FETCHED),
        ("load", Stage.START, Stage.READY),
        ("in all", Stage.CREATED, Stage.READY),
    ]
    known = [
        f"{label} {stages[end] - stages[start]:.2f} s" for label, start, end in spans if {start, end} <= set(stages)
    ]
    return f" ({', '.join(known)})" if known else ""
