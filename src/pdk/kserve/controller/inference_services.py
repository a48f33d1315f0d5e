"""Reconciles one InferenceService: revisions made, loaded, given traffic, retired, and all of it reported.

Called by the work loop of `controller.py` with `namespace/name`. Order as in KServe: fetch, finalizer, runtime, components,
ingress, status. Each pass reads what is there, takes what steps are due and says when to look again; no step waits, so
one service that loads for minutes holds up no other.
"""

import dataclasses
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pdk.kserve.controller import status as statuses
from pdk.kserve.controller import workloads
from pdk.kserve.controller.deployment_mode import Addresses, deployment_mode
from pdk.kserve.controller.events import NORMAL, WARNING, EventRecorder
from pdk.kserve.controller.revision_digest import (
    STOP_ANNOTATION,
    digest,
    pod_name,
    predictor_template,
    propagated_annotations,
)
from pdk.kserve.controller.view import View
from pdk.kserve.predictor.failures import InvalidPredictorSpec, ModelFailure
from pdk.kserve.predictor.lifecycle import Lifecycle
from pdk.kserve.predictor.model_spec import parse_model_spec
from pdk.kserve.predictor.revisions import RETIRED, Revision, Revisions, RevisionState, ServiceRow
from pdk.kserve.predictor.routes import Backend, Route, Routes
from pdk.kubernetes.errors import ObjectConflict, ObjectNotFound
from pdk.kubernetes.store.objects import JsonObject, ObjectStore

logger = logging.getLogger(__name__)

INFERENCE_SERVICES = "inferenceservices.serving.kserve.io"
FINALIZER = "inferenceservice.finalizers"
BUSY_SECONDS = 0.1


class InferenceServices:
    """The reconciler proper; state is in the rows, the object store, and the processes `lifecycle` watches."""

    def __init__(
        self, store: ObjectStore, revisions: Revisions, lifecycle: Lifecycle, routes: Routes, domain: str
    ) -> None:
        self._store = store
        self._revisions = revisions
        self._lifecycle = lifecycle
        self._routes = routes
        self._domain = domain
        self._events = EventRecorder(store)
        self._published: dict[str, object] = {}

    def list_keys(self) -> list[str]:
        """Return every service there is, or was and is not yet taken down."""
        found, _ = self._store.list(INFERENCE_SERVICES)
        present = [f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in found]
        return list(dict.fromkeys([*present, *self._revisions.keys()]))

    def reconcile(self, key: str) -> float | None:
        """Take the steps that are due; return seconds until the next look, None when nothing is going on."""
        namespace, _, name = key.partition("/")
        isvc = self._store.find(INFERENCE_SERVICES, namespace, name)
        uid = isvc["metadata"]["uid"] if isvc is not None else None
        leftovers = [row for row in self._revisions.services(namespace, name) if row.uid != uid]
        busy = [row for row in leftovers if not self._take_down(row)]
        if isvc is None:
            self._routes.remove(key)
            self._published.pop(key, None)
            return BUSY_SECONDS if busy else None
        if isvc["metadata"].get("deletionTimestamp"):
            return self._finalize(key, isvc)
        try:
            delay = self._serve(key, self._with_finalizer(isvc))
        except (ObjectNotFound, ObjectConflict):
            # Deleted or changed while we looked: look again.
            return 0.0
        return min(delay or BUSY_SECONDS, BUSY_SECONDS) if busy else delay

    # ---------------------------------------------------------------- going

    def _finalize(self, key: str, isvc: JsonObject) -> float | None:
        self._routes.remove(key)
        namespace, name = isvc["metadata"]["namespace"], isvc["metadata"]["name"]
        rows = [row for row in self._revisions.services(namespace, name) if row.uid == isvc["metadata"]["uid"]]
        if not all([self._take_down(row) for row in rows]):
            return BUSY_SECONDS
        self._published.pop(key, None)

        def drop(obj: JsonObject) -> JsonObject:
            left = [each for each in obj["metadata"].get("finalizers", []) if each != FINALIZER]
            obj["metadata"]["finalizers"] = left
            return obj

        try:
            self._store.edit(INFERENCE_SERVICES, namespace, name, drop)
        except ObjectNotFound:
            logger.info("%s was gone before its finalizer was dropped", key)
        return None

    def _take_down(self, row: ServiceRow) -> bool:
        """Take one step towards nothing left of a service; True when there is."""
        revisions = [self._lifecycle.retire(each) for each in self._revisions.of_service(row.uid)]
        if any(each.state is not RevisionState.STOPPED for each in revisions):
            return False
        for revision in revisions:
            self._remove(revision)
        self._revisions.delete_service(row.uid)
        return True

    def _remove(self, revision: Revision) -> None:
        for resource, name in (
            (workloads.PODS, revision.pod),
            (workloads.DEPLOYMENTS, workloads.deployment_name(revision)),
        ):
            if self._store.find(resource, revision.namespace, name) is not None:
                self._store.delete(resource, revision.namespace, name)
        self._lifecycle.forget(revision)

    # ---------------------------------------------------------------- serving

    def _with_finalizer(self, isvc: JsonObject) -> JsonObject:
        if FINALIZER in isvc["metadata"].get("finalizers", []):
            return isvc

        def add(obj: JsonObject) -> JsonObject:
            obj["metadata"]["finalizers"] = [*obj["metadata"].get("finalizers", []), FINALIZER]
            return obj

        return self._store.edit(INFERENCE_SERVICES, isvc["metadata"]["namespace"], isvc["metadata"]["name"], add)

    def _serve(self, key: str, isvc: JsonObject) -> float | None:
        problem = _problem(isvc)
        stopped = (isvc["metadata"].get("annotations") or {}).get(STOP_ANNOTATION) == "true"
        service = self._service_row(isvc)
        revisions = self._revisions.of_service(service.uid)
        if problem is None and not stopped:
            service, revisions = self._with_latest(isvc, service, revisions)
        latest = _latest(revisions) if problem is None and not stopped else None
        wanted = set() if stopped else {latest.number if latest else None, service.rolled_out}
        moved = [self._lifecycle.advance(each) if each.number in wanted else each for each in revisions]
        latest = next((each for each in moved if latest is not None and each.number == latest.number), None)
        canary = _canary(isvc) if problem is None else None
        stable = _numbered(moved, service.rolled_out)
        traffic = () if stopped else _traffic(latest, stable, canary)
        service = self._promote(service, latest, traffic)
        canary_waits = latest is not None and latest.state is RevisionState.READY
        self._routes.set(self._route(isvc, stable if canary_waits else latest, moved, traffic))
        # Only now, with no new request on its way to them.
        keep = set() if stopped else {each.number for each, _ in traffic}
        keep |= {latest.number} if latest is not None else set()
        keep |= {service.rolled_out} if service.rolled_out is not None and not stopped else set()
        kept = [each if each.number in keep else self._retire(each) for each in moved]
        present = tuple(each for each in kept if each is not None)
        addresses = self._addresses(isvc)
        view = View(isvc, addresses, service, latest, present, traffic, problem, stopped)
        self._publish(key, view)
        delays = [self._lifecycle.seconds_to_next(each) for each in present]
        return min((delay for delay in delays if delay is not None), default=None)

    def _service_row(self, isvc: JsonObject) -> ServiceRow:
        metadata = isvc["metadata"]
        rows = self._revisions.services(metadata["namespace"], metadata["name"])
        row = next((each for each in rows if each.uid == metadata["uid"]), None)
        if row is None:
            row = ServiceRow(metadata["uid"], metadata["namespace"], metadata["name"])
            self._revisions.put_service(row)
        return row

    def _with_latest(
        self, isvc: JsonObject, service: ServiceRow, revisions: list[Revision]
    ) -> tuple[ServiceRow, list[Revision]]:
        """Make the revision the spec asks for, unless the newest one is it."""
        wanted, latest = digest(isvc), _latest(revisions)
        if latest is not None and latest.digest == wanted:
            return service, revisions
        number = service.last_number + 1
        service = dataclasses.replace(service, last_number=number)
        name = f"{service.name}-predictor-{number:05d}"
        revision = Revision(
            uid=service.uid,
            namespace=service.namespace,
            service=service.name,
            number=number,
            digest=wanted,
            predictor=predictor_template(isvc),
            annotations=propagated_annotations(isvc),
            pod=pod_name(name, wanted),
            generation=isvc["metadata"].get("generation", 1),
            stages={"created": time.time()},
        )
        with self._revisions.transaction():
            self._revisions.put_service(service)
            self._revisions.put(revision)
        logger.info("%s/%s: revision %s", service.namespace, service.name, name)
        return service, [*revisions, revision]

    def _promote(
        self, service: ServiceRow, latest: Revision | None, traffic: Iterable[tuple[Revision, int]]
    ) -> ServiceRow:
        """Remember that the latest revision has all the traffic, before it has."""
        whole = next((each for each, percent in traffic if percent == 100), None)
        if latest is None or whole is None or whole.number != latest.number or service.rolled_out == latest.number:
            return service
        service = dataclasses.replace(service, rolled_out=latest.number, previous_rolled_out=service.rolled_out)
        self._revisions.put_service(service)
        return service

    def _retire(self, revision: Revision) -> Revision | None:
        retired = self._lifecycle.retire(revision)
        if retired.state is not RevisionState.STOPPED:
            return retired
        self._remove(retired)
        return None

    def _route(
        self,
        isvc: JsonObject,
        missing: Revision | None,
        revisions: Iterable[Revision],
        traffic: Iterable[tuple[Revision, int]],
    ) -> Route:
        """Make the routing entry; `missing` is the revision to blame for traffic that nobody gets."""
        targets: list[tuple[Backend, int]] = []
        for revision, percent in traffic:
            spec = parse_model_spec(revision.predictor)
            backend = self._lifecycle.backend(revision, spec.concurrency, spec.timeout)
            if backend is not None and percent:
                targets.append((backend, percent))
        models = {model for each in revisions if each.process is not None for model in each.process.models}
        addresses = self._addresses(isvc)
        return Route(
            namespace=addresses.namespace,
            name=addresses.name,
            hosts=addresses.hosts,
            targets=tuple(targets),
            models=tuple(sorted(models)),
            reason=_why_not_ready(missing),
        )

    def _addresses(self, isvc: JsonObject) -> Addresses:
        metadata = isvc["metadata"]
        return Addresses(metadata["namespace"], metadata["name"], self._domain, deployment_mode(isvc))

    # ---------------------------------------------------------------- reporting

    def _publish(self, key: str, view: View) -> None:
        """Write status, workloads and events, all in one transaction, if anything of it changed."""
        status = statuses.build_status(view)
        seen = (view.isvc["metadata"]["resourceVersion"], status, view.revisions)
        if self._published.get(key) == seen:
            return
        before = view.isvc.get("status") or {}
        with self._store.transaction():
            self._store.apply_owned(workloads.SERVICES, workloads.build_service(view))
            for revision in view.revisions:
                deployment = workloads.build_deployment(view, revision)
                stored = self._store.apply_owned(workloads.DEPLOYMENTS, deployment)
                self._store.apply_owned(workloads.PODS, workloads.build_pod(revision, stored))
            self._record_events(view, before, status)
            if before != status:
                wanted = {**view.isvc, "status": status}
                written = self._store.update_status(INFERENCE_SERVICES, wanted)
                seen = (written["metadata"]["resourceVersion"], status, view.revisions)
        self._published[key] = seen

    def _record_events(self, view: View, before: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        old, new = statuses.condition(before, "Ready"), statuses.condition(status, "Ready")
        if old.get("status") != new.get("status") and new.get("status") == statuses.TRUE:
            self._events.record(view.isvc, NORMAL, "InferenceServiceReady", f"InferenceService [{view.name}] is Ready")
        elif old.get("status") == statuses.TRUE:
            text = f"InferenceService [{view.name}] is no longer Ready: {new.get('message', '')}"
            if new.get("status") != statuses.TRUE:
                self._events.record(view.isvc, WARNING, "InferenceServiceNotReady", text)
        failure = status["modelStatus"].get("lastFailureInfo")
        if failure and failure != (before.get("modelStatus") or {}).get("lastFailureInfo"):
            self._events.record(view.isvc, WARNING, failure["reason"], failure["message"])
        latest = view.latest
        rolled = (status["components"]["predictor"]).get("latestRolledoutRevision")
        was = ((before.get("components") or {}).get("predictor") or {}).get("latestRolledoutRevision")
        if latest is not None and rolled != was and rolled == latest.name:
            text = f"Revision {latest.name} answers and has all the traffic{_stage_times(latest)}"
            self._events.record(view.isvc, NORMAL, "RevisionReady", text)


def _problem(isvc: Mapping[str, Any]) -> ModelFailure | None:
    predictor = (isvc.get("spec") or {}).get("predictor")
    try:
        if not isinstance(predictor, Mapping):
            raise InvalidPredictorSpec("spec.predictor is required")
        for component in ("transformer", "explainer"):
            if (isvc.get("spec") or {}).get(component):
                raise InvalidPredictorSpec(f"spec.{component} is not supported: put its work into the handler")
        _canary(isvc)
        parse_model_spec(predictor)
    except ModelFailure as failure:
        return failure
    return None


def _canary(isvc: Mapping[str, Any]) -> int | None:
    percent = isvc["spec"]["predictor"].get("canaryTrafficPercent")
    if percent is None:
        return None
    if not isinstance(percent, int) or isinstance(percent, bool) or not 0 <= percent <= 100:
        raise InvalidPredictorSpec("spec.predictor.canaryTrafficPercent must be a whole number from 0 to 100")
    return percent


def _latest(revisions: Iterable[Revision]) -> Revision | None:
    alive = [each for each in revisions if each.state not in RETIRED]
    return max(alive, key=lambda each: each.number, default=None)


def _numbered(revisions: Iterable[Revision], number: int | None) -> Revision | None:
    return next((each for each in revisions if each.number == number), None)


def _traffic(
    latest: Revision | None, rolled_out: Revision | None, canary: int | None
) -> tuple[tuple[Revision, int], ...]:
    """Share the traffic among the newest revision and the one that had all of it, as far as they are ready.

    A canary never gets more than its share: while the stable revision is restarted, its share has nobody.
    """
    old = rolled_out if rolled_out is not None and rolled_out.state is RevisionState.READY else None
    if latest is None or latest.state is not RevisionState.READY:
        return ((old, 100),) if old is not None else ()
    stable = rolled_out is not None and rolled_out.state not in RETIRED and rolled_out.number != latest.number
    if canary is None or canary == 100 or not stable:
        return ((latest, 100),)
    if old is not None:
        return ((latest, canary), (old, 100 - canary))
    return ((latest, canary),) if canary else ()


def _why_not_ready(missing: Revision | None) -> str:
    if missing is None:
        return "there is no revision; see its status"
    if missing.failure is not None:
        return f"revision {missing.name} failed: {missing.failure.message.splitlines()[0]}"
    return missing.waiting or f"revision {missing.name} {statuses.STEPS.get(missing.state, 'is going')}"


def _stage_times(revision: Revision) -> str:
    """Return how long the stages took; nothing for a stage that was skipped."""
    stages = revision.stages
    spans = [("fetch", "fetch", "fetched"), ("load", "start", "ready"), ("in all", "created", "ready")]
    known = [
        f"{label} {stages[end] - stages[start]:.2f} s" for label, start, end in spans if {start, end} <= set(stages)
    ]
    return f" ({', '.join(known)})" if known else ""
