"""Reconciles one InferenceService: revisions made, loaded, given traffic, retired, and all of it reported.

Called by the work loop of `controller.py` with `namespace/name`. Order as in KServe: fetch, finalizer, runtime,
components, ingress, status. Each pass reads what is there, takes what steps are due and says when to look again; no
step waits, so one service that loads for minutes holds up no other.
"""

import dataclasses
import logging
import secrets
import time

from pdk.kserve.controller import workloads
from pdk.kserve.controller.deployment_mode import Addresses
from pdk.kserve.controller.desired import DesiredService, read_desired
from pdk.kserve.controller.plan import RolloutPlan, make_plan, needs_revision, wanted_numbers
from pdk.kserve.controller.publishing import INFERENCE_SERVICES, Publisher
from pdk.kserve.controller.route import build_route
from pdk.kserve.kinds.names import CONTAINER
from pdk.kserve.predictor.lifecycle import Lifecycle
from pdk.kserve.predictor.node import Node
from pdk.kserve.predictor.revisions import Revision, RevisionState, ServiceRow, ServiceUid, Stage, revision_name
from pdk.kubernetes.errors import ObjectConflict, ObjectNotFound
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.metadata import NAME_LETTERS

logger = logging.getLogger(__name__)

FINALIZER = "inferenceservice.finalizers"
# Until the next look at what is on its way down.
BUSY_SECONDS = 0.1


class InferenceServices:
    """The reconciler proper; state is in the rows, the object store, and the processes `lifecycle` watches."""

    def __init__(self, node: Node, lifecycle: Lifecycle, domain: str) -> None:
        self._store, self._revisions, self._routes = node.store, node.revisions, node.routes
        self._serving_log = lambda revision: node.log(revision, CONTAINER)
        self._lifecycle = lifecycle
        self._domain = domain
        self._publisher = Publisher(node.store)

    def list_keys(self) -> list[str]:
        """Return `namespace/name` of every service there is, or was and is not yet taken down."""
        found, _ = self._store.list(INFERENCE_SERVICES)
        present = [f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in found]
        return list(dict.fromkeys([*present, *self._revisions.keys()]))

    def reconcile(self, key: str) -> float | None:
        """Take the steps that are due; return seconds until the next look, None when nothing is going on."""
        namespace, _, name = key.partition("/")
        isvc = self._store.find(INFERENCE_SERVICES, namespace, name)
        try:
            if isvc is None or isvc["metadata"].get("deletionTimestamp"):
                return self._finalize(key, isvc)
            busy = self._take_down_others(key, isvc["metadata"]["uid"])
            delay = self._serve(key, self._set_finalizer(isvc, wanted=True))
        except (ObjectNotFound, ObjectConflict):
            # Deleted or changed while we looked: look again.
            return 0.0
        return min(delay or BUSY_SECONDS, BUSY_SECONDS) if busy else delay

    def _finalize(self, key: str, isvc: JsonObject | None) -> float | None:
        self._routes.remove(key)
        if self._take_down_others(key, None):
            return BUSY_SECONDS
        self._publisher.forget(key)
        if isvc is not None:
            self._set_finalizer(isvc, wanted=False)
        return None

    def _take_down_others(self, key: str, uid: ServiceUid | None) -> bool:
        """Take one step towards nothing left of the services of this name but `uid`; return whether there is still."""
        namespace, _, name = key.partition("/")
        rows = [row for row in self._revisions.services(namespace, name) if row.uid != uid]
        return not all([self._take_down(row) for row in rows])

    def _take_down(self, row: ServiceRow) -> bool:
        revisions = [self._lifecycle.of(each).retire() for each in self._revisions.of_service(row.uid)]
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

    def _serve(self, key: str, isvc: JsonObject) -> float | None:
        desired = read_desired(isvc)
        service = self._service_row(desired)
        revisions = self._revisions.of_service(service.uid)
        if needs_revision(desired, revisions):
            service = dataclasses.replace(service, last_number=service.last_number + 1)
            revisions.append(self._add_revision(desired, service))
        wanted = wanted_numbers(desired, service, revisions)
        moved = [self._lifecycle.of(each).advance() if each.number in wanted else each for each in revisions]
        addresses = Addresses(desired.namespace, desired.name, self._domain, desired.mode)
        plan = make_plan(desired, addresses, service, moved)
        if plan.service != service:
            self._revisions.put_service(plan.service)
        return self._apply(key, plan)

    def _apply(self, key: str, plan: RolloutPlan) -> float | None:
        self._routes.set(build_route(plan, self._serving_log))
        # Only now, with no new request on its way to them.
        kept = (each if each.number not in plan.retired else self._retire(each) for each in plan.revisions)
        present = tuple(each for each in kept if each is not None)
        self._publisher.publish(key, dataclasses.replace(plan, revisions=present))
        delays = [self._lifecycle.of(each).seconds_to_next() for each in present]
        return min((delay for delay in delays if delay is not None), default=None)

    def _retire(self, revision: Revision) -> Revision | None:
        retired = self._lifecycle.of(revision).retire()
        if retired.state is not RevisionState.STOPPED:
            return retired
        self._remove(retired)
        return None

    def _service_row(self, desired: DesiredService) -> ServiceRow:
        rows = self._revisions.services(desired.namespace, desired.name)
        row = next((each for each in rows if each.uid == desired.uid), None)
        if row is None:
            row = ServiceRow(desired.uid, desired.namespace, desired.name)
            self._revisions.put_service(row)
        return row

    def _add_revision(self, desired: DesiredService, service: ServiceRow) -> Revision:
        """Make the revision the spec asks for; its pod gets a name no pod had."""
        name = revision_name(desired.name, service.last_number)
        suffix = "".join(secrets.choice(NAME_LETTERS) for _ in range(5))
        revision = Revision(
            uid=desired.uid,
            namespace=desired.namespace,
            service=desired.name,
            number=service.last_number,
            digest=desired.digest,
            predictor=desired.template,
            annotations=desired.propagated,
            pod=f"{name}-deployment-{desired.digest}-{suffix}",
            generation=desired.generation,
            stages={Stage.CREATED: time.time()},
        )
        with self._revisions.transaction():
            self._revisions.put_service(service)
            self._revisions.put(revision)
        logger.info("%s/%s: revision %s", desired.namespace, desired.name, name)
        return revision

    def _set_finalizer(self, isvc: JsonObject, wanted: bool) -> JsonObject:
        metadata = isvc["metadata"]

        def change(obj: JsonObject) -> JsonObject:
            others = [each for each in obj["metadata"].get("finalizers", []) if each != FINALIZER]
            obj["metadata"]["finalizers"] = [*others, FINALIZER] if wanted else others
            return obj

        if (FINALIZER in metadata.get("finalizers", [])) == wanted:
            return isvc
        return self._store.edit(INFERENCE_SERVICES, metadata["namespace"], metadata["name"], change)
