"""The object store: Kubernetes objects as JSON in SQLite, one global resourceVersion, and the history watches read.

Called by the Kubernetes API (for clients) and by controllers (for what they own). Plays the part of
kube-apiserver's registry over etcd: every write is one transaction with optimistic concurrency, no-op writes keep the
resourceVersion, deletion respects finalizers and collects what the deleted object owned.
"""

import contextlib
import copy
import datetime
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pdk.base import clock
from pdk.db.database import Database
from pdk.kubernetes.errors import (
    BadRequest,
    Expired,
    ObjectExists,
    ObjectForbidden,
    ObjectInvalid,
    ObjectNotFound,
)
from pdk.kubernetes.kinds.builtin import BUILT_IN, NAMESPACE, SERVICE_ACCOUNT
from pdk.kubernetes.kinds.json_object import JsonObject, Uid
from pdk.kubernetes.kinds.names import invalid
from pdk.kubernetes.kinds.resource import Resource, Resources
from pdk.kubernetes.store import rows
from pdk.kubernetes.store.deletion import FOREGROUND, Deletion, Propagation
from pdk.kubernetes.store.field_managers import track
from pdk.kubernetes.store.metadata import check_shape, check_version, prepare_create, prepare_update, same
from pdk.kubernetes.store.rows import Journal, WatchEvent
from pdk.kubernetes.store.selectors import compile_selectors
from pdk.reconcile.changes import Changes

# `list` is a method of the store.
Objects = list[JsonObject]
Events = list[WatchEvent]

HISTORY_ROWS = 4096
# How long Events are kept, as kube-apiserver's --event-ttl.
EVENT_LIFETIME = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Preconditions:
    """What must hold for a deletion to happen; None: anything."""

    uid: Uid | None = None
    resource_version: str | None = None


class ObjectStore:
    """Objects by resource (`pods`, `deployments.apps`), namespace ("" for cluster kinds) and name.

    Objects go in and come out as plain JSON dicts which the caller may change freely. Every method raises PathNotFound
    for a resource that is not served. Errors are those of `pdk.kubernetes.errors`, with the texts of kube-apiserver.
    """

    def __init__(
        self,
        db: Database,
        changes: Changes,
        resources: Resources | None = None,
        history_rows: int = HISTORY_ROWS,
    ) -> None:
        """Use a database opened with OBJECT_MIGRATIONS; `changes` is notified after every commit."""
        self._db = db
        self.changes = changes
        self.resources = resources or Resources(BUILT_IN)
        self._journal = Journal(history_rows)
        self._deletion = Deletion(self._journal, self.resources)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make several writes one change on disk; watchers see them once it commits."""
        with self._db.transaction() as conn:
            yield conn
            self._db.after_commit(self.changes.notify)

    # ---------------------------------------------------------------- reading

    def get(self, resource: str, namespace: str, name: str) -> JsonObject:
        """Return one object. Raises ObjectNotFound."""
        known = self.resources[resource]
        with self._db.read() as conn:
            return self._get(conn, known, namespace, name)

    def find(self, resource: str, namespace: str, name: str) -> JsonObject | None:
        """Return one object, None when it does not exist."""
        known = self.resources[resource]
        with self._db.read() as conn:
            return rows.select(conn, known.key, namespace if known.namespaced else "", name)

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> tuple[Objects, int]:
        """Return the objects (of one namespace, None = all), sorted by namespace and name, and their resourceVersion.

        The resourceVersion is where a watch continues. Raises BadRequest for a selector that cannot be read.
        """
        matches = compile_selectors(self.resources[resource], label_selector, field_selector)
        with self._db.read() as conn:
            found = rows.select_all(conn, resource, namespace or None)
            return [obj for obj in found if matches is None or matches(obj)], rows.head(conn)

    def revision(self) -> int:
        """Return the latest resourceVersion."""
        with self._db.read() as conn:
            return rows.head(conn)

    def changes_since(
        self, revision: int, resource: str | None = None, namespace: str | None = None, limit: int = 1000
    ) -> Events:
        """Return up to `limit` changes after `revision`, oldest first (None: of all resources, of all namespaces).

        Raises Expired when the history does not reach back that far, or has not come that far (another database).
        """
        with self._db.read() as conn:
            compacted = rows.compacted(conn)
            if revision < compacted or revision > rows.head(conn):
                raise Expired(revision, compacted + 1)
            return rows.select_history(conn, revision, resource, namespace or None, limit)

    # ---------------------------------------------------------------- writing

    def create(
        self, resource: str, obj: JsonObject, dry_run: bool = False, keep_status: bool = False, manager: str = ""
    ) -> JsonObject:
        """Create an object in the namespace its metadata names. Return it as stored.

        `status` is dropped where the resource has a status subresource, unless `keep_status`. `manager`, when given, is
        recorded as the owner of the fields.

        Raises ObjectExists, ObjectNotFound for a missing namespace, ObjectForbidden for one that is being deleted,
        ObjectInvalid, BadRequest.
        """
        known = self.resources[resource]
        created = prepare_create(known, obj, keep_status)
        if manager:
            created = track({}, created, manager)
        with self.transaction() as conn:
            self._check_namespace(conn, known, created)
            metadata = created["metadata"]
            if rows.select(conn, known.key, metadata.get("namespace", ""), metadata["name"]) is not None:
                raise ObjectExists(known.key, metadata["name"])
            if dry_run:
                return created
            created = self._journal.put(conn, known.key, created, None)
            if known.key == NAMESPACE.key:
                self._add_default_service_account(conn, metadata["name"])
            return created

    def edit(
        self,
        resource: str,
        namespace: str,
        name: str,
        change: Callable[[JsonObject], JsonObject],
        status: bool = False,
        dry_run: bool = False,
        manager: str = "",
    ) -> JsonObject:
        """Read, let `change` return the new object, write, all in one transaction. Return it as stored.

        `change` gets a copy it may alter. With `status` only the status is written, otherwise all but the status where
        that is a subresource. A change of nothing keeps the resourceVersion. `manager`, when given, is recorded as the
        owner of the fields.

        Raises ObjectNotFound, ObjectConflict when the new object's resourceVersion is not the stored one, ObjectInvalid
        (also when a custom resource comes without a resourceVersion), BadRequest, and whatever `change` raises.
        """
        known = self.resources[resource]
        with self.transaction() as conn:
            old = self._get(conn, known, namespace, name)
            changed = change(copy.deepcopy(old))
            check_shape(known, changed)
            new = self._new_status(known, old, changed) if status else self._new_main(known, old, changed, manager)
            return new if dry_run else self._store(conn, known, old, new)

    def update_status(self, resource: str, obj: JsonObject) -> JsonObject:
        """Replace the status of an object and nothing else. Return it as stored. Raises as `edit`."""
        metadata = obj["metadata"]
        return self.edit(resource, metadata.get("namespace", ""), metadata["name"], lambda _old: obj, status=True)

    def apply_owned(self, resource: str, obj: JsonObject) -> JsonObject:
        """Create an object the caller owns, or make the stored one equal to it, status included; return it as stored.

        Labels, annotations, ownerReferences and every top-level field are replaced; uid, times, finalizers and, when
        `obj` has none, the status stay. A change of nothing keeps the resourceVersion. An object being deleted is left.
        """
        known = self.resources[resource]
        check_shape(known, obj)
        metadata = obj["metadata"]
        with self.transaction() as conn:
            old = rows.select(conn, known.key, metadata.get("namespace", ""), metadata.get("name", ""))
            if old is None:
                return self.create(resource, obj, keep_status=True)
            if old["metadata"].get("deletionTimestamp"):
                return old
            wanted = copy.deepcopy(obj)
            if "finalizers" in old["metadata"]:
                wanted["metadata"].setdefault("finalizers", old["metadata"]["finalizers"])
            wanted["metadata"].pop("resourceVersion", None)
            if "status" in old:
                wanted.setdefault("status", old["status"])
            return self._store(conn, known, old, prepare_update(known, old, wanted))

    def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        preconditions: Preconditions | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
        dry_run: bool = False,
    ) -> JsonObject:
        """Delete an object and what it owns; return it as it was last seen.

        It is gone unless the returned metadata has finalizers: then it is marked with a deletionTimestamp and goes when
        the last finalizer is taken off.

        Raises ObjectNotFound, ObjectConflict for a precondition, ObjectForbidden for a protected namespace.
        """
        known = self.resources[resource]
        wanted = preconditions or Preconditions()
        with self.transaction() as conn:
            obj = self._get(conn, known, namespace, name)
            check_version(known, obj, {"uid": wanted.uid, "resourceVersion": wanted.resource_version})
            return obj if dry_run else self._deletion.delete(conn, known.key, obj, propagation)

    def sweep(self) -> int:
        """Collect dependents whose owners are gone and Events past their lifetime; return how many were looked at.

        Repairs what a deletion cannot see: an object created with an owner that had just been deleted, an owner whose
        last dependent was given away while it waited for it.
        """
        oldest = clock.now() - EVENT_LIFETIME
        with self.transaction() as conn:
            dependents = rows.ownerless(conn)
            for key, dependent in rows.select_uids(conn, dependents):
                self._deletion.collect(conn, key, dependent)
            for key, owner in rows.select_uids(conn, rows.finalized_by(conn, FOREGROUND)):
                self._deletion.release(conn, key, owner)
            stale = [event for event in rows.select_all(conn, "events", None) if _last_seen(event) < oldest]
            for event in stale:
                self._journal.erase(conn, "events", event)
        return len(dependents) + len(stale)

    # ---------------------------------------------------------------- parts

    def _get(self, conn: sqlite3.Connection, known: Resource, namespace: str, name: str) -> JsonObject:
        obj = rows.select(conn, known.key, namespace if known.namespaced else "", name)
        if obj is None:
            raise ObjectNotFound(known.key, name)
        return obj

    def _store(self, conn: sqlite3.Connection, known: Resource, old: JsonObject, new: JsonObject) -> JsonObject:
        if same(old, new):
            return old
        return self._deletion.settle(conn, known.key, self._journal.put(conn, known.key, new, old))

    def _new_main(self, known: Resource, old: JsonObject, obj: JsonObject, manager: str) -> JsonObject:
        if known.is_custom and not obj["metadata"].get("resourceVersion"):
            cause = invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise ObjectInvalid(known.qualified_kind, old["metadata"]["name"], [cause])
        if known.has_status:
            obj = {key: value for key, value in obj.items() if key != "status"}
            if "status" in old:
                obj["status"] = old["status"]
        new = prepare_update(known, old, obj)
        return track(old, new, manager) if manager else new

    def _new_status(self, known: Resource, old: JsonObject, obj: JsonObject) -> JsonObject:
        check_version(known, old, obj["metadata"])
        new = {key: value for key, value in old.items() if key != "status"}
        if obj.get("status") is not None:
            if not isinstance(obj["status"], dict):
                raise BadRequest(f"{known.kind}.status: must be an object")
            new["status"] = copy.deepcopy(obj["status"])
        return new

    def _check_namespace(self, conn: sqlite3.Connection, known: Resource, obj: JsonObject) -> None:
        if not known.namespaced:
            return
        name = obj["metadata"].get("namespace", "")
        namespace = rows.select(conn, "namespaces", "", name)
        if namespace is None:
            raise ObjectNotFound("namespaces", name)
        if namespace["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {name} because it is being terminated"
            raise ObjectForbidden(known.key, obj["metadata"]["name"], why)

    def _add_default_service_account(self, conn: sqlite3.Connection, namespace: str) -> None:
        account = {"metadata": {"name": "default", "namespace": namespace}}
        prepared = prepare_create(SERVICE_ACCOUNT, account, keep_status=False)
        self._journal.put(conn, SERVICE_ACCOUNT.key, prepared, None)


def _last_seen(event: JsonObject) -> datetime.datetime:
    """Return when an Event happened last; the creation time when it does not say, or not in a readable way."""
    for text in (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"]["creationTimestamp"]):
        with contextlib.suppress(ValueError):
            if isinstance(text, str):
                return clock.from_rfc3339(text)
    return clock.now()
