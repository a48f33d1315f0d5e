"""Tells clients what became of an InferenceService: its status, the workloads a cluster would have, Events.

Called by the reconciler at the end of a pass.
"""

import functools

from pdk.kserve.controller import workloads
from pdk.kserve.controller.events import EventRecorder, EventType
from pdk.kserve.controller.plan import RolloutPlan
from pdk.kserve.controller.status import build_status, condition
from pdk.kserve.controller.wire import ConditionStatus, ConditionType, ServiceStatus
from pdk.kserve.predictor.revisions import Revision, Stage
from pdk.kubernetes.store.objects import ObjectStore

INFERENCE_SERVICES = "inferenceservices.serving.kserve.io"


class Publisher:
    """Writes what changed since it was written last, so that a pass in which nothing happens writes nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._events = EventRecorder(store)
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
        record = functools.partial(self._events.record, plan.desired.obj)
        before, about = plan.desired.status, f"InferenceService [{plan.desired.name}]"
        was_ready = condition(before, ConditionType.READY).get("status") == ConditionStatus.TRUE
        ready = condition(status, ConditionType.READY)
        if not was_ready and ready["status"] is ConditionStatus.TRUE:
            record(EventType.NORMAL, "InferenceServiceReady", f"{about} is Ready")
        elif was_ready and ready["status"] is not ConditionStatus.TRUE:
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
