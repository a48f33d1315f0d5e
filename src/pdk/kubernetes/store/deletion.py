"""What deleting an object sets off: finalizers, garbage collection through ownerReferences, emptying of namespaces.

Called by `objects.py` inside its transactions, so a deletion and everything it causes is one change on disk. Mirrors
the garbage collector and the namespace controller of kube-controller-manager, which do the same in the background.
"""

import sqlite3
from enum import StrEnum

from pdk.kubernetes.errors import ObjectForbidden
from pdk.kubernetes.kinds.builtin import NamespacePhase
from pdk.kubernetes.kinds.json_object import JsonObject, Uid
from pdk.kubernetes.kinds.resource import Resources
from pdk.kubernetes.store.metadata import timestamp
from pdk.kubernetes.store.rows import (
    Journal,
    dependents_of,
    namespace_content,
    select,
    select_uids,
    uid_exists,
)

FOREGROUND = "foregroundDeletion"
PROTECTED_NAMESPACES = frozenset({"default", "kube-system"})


class Propagation(StrEnum):
    """What becomes of the dependents of a deleted object: deleted afterwards, before it, or left alone."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


class Deletion:
    """Deletes objects and what depends on them."""

    def __init__(self, journal: Journal, resources: Resources) -> None:
        self._journal = journal
        self._resources = resources

    def delete(self, conn: sqlite3.Connection, key: str, obj: JsonObject, propagation: Propagation) -> JsonObject:
        """Delete `obj`, or mark it and leave it to its finalizers. Return it as it is afterwards.

        Raises ObjectForbidden for a namespace that has to stay.
        """
        if obj["metadata"].get("deletionTimestamp"):
            return obj
        if key == "namespaces":
            return self._delete_namespace(conn, obj)
        if propagation is Propagation.ORPHAN:
            self._orphan_dependents(conn, obj)
        elif propagation is Propagation.FOREGROUND and dependents_of(conn, obj["metadata"]["uid"]):
            return self._delete_in_foreground(conn, key, obj)
        if obj["metadata"].get("finalizers"):
            return self._mark(conn, key, obj)
        return self._erase(conn, key, obj)

    def settle(self, conn: sqlite3.Connection, key: str, obj: JsonObject) -> JsonObject:
        """Remove a marked object that has no finalizer left; return it in any case."""
        metadata = obj["metadata"]
        if not metadata.get("deletionTimestamp") or metadata.get("finalizers") or key == "namespaces":
            return obj
        return self._erase(conn, key, obj)

    def collect(self, conn: sqlite3.Connection, key: str, dependent: JsonObject) -> None:
        """Delete a dependent whose owners are all gone; of one that has others left, drop the dead references."""
        references = dependent["metadata"].get("ownerReferences", [])
        alive = [reference for reference in references if uid_exists(conn, Uid(str(reference.get("uid"))))]
        if not alive:
            self.delete(conn, key, dependent, Propagation.BACKGROUND)
        elif len(alive) < len(references):
            metadata = dependent["metadata"] | {"ownerReferences": alive}
            self._journal.put(conn, key, dependent | {"metadata": metadata}, dependent)

    def _mark(self, conn: sqlite3.Connection, key: str, obj: JsonObject, *finalizers: str) -> JsonObject:
        metadata = obj["metadata"] | {"deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": 0}
        if finalizers:
            metadata["finalizers"] = [*metadata.get("finalizers", []), *finalizers]
        if self._resources[key].has_generation:
            metadata["generation"] = metadata.get("generation", 1) + 1
        return self._journal.put(conn, key, obj | {"metadata": metadata}, obj)

    def _erase(self, conn: sqlite3.Connection, key: str, obj: JsonObject) -> JsonObject:
        erased = self._journal.erase(conn, key, obj)
        for dependent_key, dependent in select_uids(conn, dependents_of(conn, obj["metadata"]["uid"])):
            self.collect(conn, dependent_key, dependent)
        for reference in obj["metadata"].get("ownerReferences", []):
            self._release_owner(conn, obj["metadata"].get("namespace", ""), reference)
        namespace = obj["metadata"].get("namespace")
        if namespace:
            self._settle_namespace(conn, namespace)
        return erased

    def _delete_in_foreground(self, conn: sqlite3.Connection, key: str, obj: JsonObject) -> JsonObject:
        marked = self._mark(conn, key, obj, FOREGROUND)
        for dependent_key, dependent in select_uids(conn, dependents_of(conn, obj["metadata"]["uid"])):
            self.delete(conn, dependent_key, dependent, Propagation.FOREGROUND)
        return select(conn, key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) or marked

    def release(self, conn: sqlite3.Connection, key: str, owner: JsonObject) -> None:
        """Take the foreground finalizer off an owner that waits for dependents and has none left."""
        waits = FOREGROUND in owner["metadata"].get("finalizers", [])
        if not waits or dependents_of(conn, owner["metadata"]["uid"]):
            return
        left = [finalizer for finalizer in owner["metadata"]["finalizers"] if finalizer != FOREGROUND]
        metadata = {k: v for k, v in owner["metadata"].items() if k != "finalizers"}
        if left:
            metadata["finalizers"] = left
        self.settle(conn, key, self._journal.put(conn, key, owner | {"metadata": metadata}, owner))

    def _release_owner(self, conn: sqlite3.Connection, namespace: str, reference: JsonObject) -> None:
        """Release the owner a reference names, if it still is the same object."""
        key = self._key_of(reference)
        owner = None if key is None else select(conn, key, namespace, str(reference.get("name")))
        if key is not None and owner is not None and owner["metadata"]["uid"] == reference.get("uid"):
            self.release(conn, key, owner)

    def _key_of(self, reference: JsonObject) -> str | None:
        for resource in self._resources:
            if (resource.api_version, resource.kind) == (reference.get("apiVersion"), reference.get("kind")):
                return resource.key
        return None

    def _orphan_dependents(self, conn: sqlite3.Connection, obj: JsonObject) -> None:
        uid = obj["metadata"]["uid"]
        for key, dependent in select_uids(conn, dependents_of(conn, uid)):
            left = [r for r in dependent["metadata"].get("ownerReferences", []) if r.get("uid") != uid]
            metadata = {k: v for k, v in dependent["metadata"].items() if k != "ownerReferences"}
            if left:
                metadata["ownerReferences"] = left
            self._journal.put(conn, key, dependent | {"metadata": metadata}, dependent)

    def _delete_namespace(self, conn: sqlite3.Connection, namespace: JsonObject) -> JsonObject:
        name = namespace["metadata"]["name"]
        if name in PROTECTED_NAMESPACES:
            raise ObjectForbidden("namespaces", name, "this namespace may not be deleted")
        metadata = namespace["metadata"] | {"deletionTimestamp": timestamp()}
        marked = namespace | {"metadata": metadata, "status": {"phase": NamespacePhase.TERMINATING}}
        marked = self._journal.put(conn, "namespaces", marked, namespace)
        for key, obj in select_uids(conn, namespace_content(conn, name)):
            self.delete(conn, key, obj, Propagation.BACKGROUND)
        self._settle_namespace(conn, name)
        return marked

    def _settle_namespace(self, conn: sqlite3.Connection, name: str) -> None:
        """Remove a terminating namespace once nothing is left in it."""
        namespace = select(conn, "namespaces", "", name)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp") or namespace_content(conn, name):
            return
        self._journal.erase(conn, "namespaces", namespace)
