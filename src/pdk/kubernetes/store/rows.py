"""The tables behind the object store: objects, owners, the resourceVersion counter and the watch history.

Used by `objects.py` and `deletion.py` only, always inside a transaction or a read snapshot of theirs. Objects are JSON
text; the history keeps the last `HISTORY_ROWS` changes, as etcd keeps revisions until they are compacted.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pdk.db.database import Migration
from pdk.db.rows import fetch, fetch_one, insert, to_json, upsert
from pdk.kubernetes.kinds.json_object import JsonObject, Uid

OBJECT_MIGRATIONS: tuple[Migration, ...] = (
    (
        "kubernetes objects",
        """
        CREATE TABLE objects (
            resource TEXT NOT NULL,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            uid TEXT NOT NULL UNIQUE,
            revision INTEGER NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (resource, namespace, name)
        );
        CREATE TABLE owners (
            owner_uid TEXT NOT NULL,
            uid TEXT NOT NULL REFERENCES objects (uid) ON DELETE CASCADE,
            PRIMARY KEY (owner_uid, uid)
        );
        CREATE TABLE history (
            revision INTEGER PRIMARY KEY,
            type TEXT NOT NULL,
            resource TEXT NOT NULL,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            body TEXT NOT NULL,
            previous TEXT
        );
        CREATE TABLE revision (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            head INTEGER NOT NULL,
            compacted INTEGER NOT NULL
        );
        INSERT INTO revision VALUES (1, 0, 0);
        """,
    ),
)


class WatchEventType(StrEnum):
    """What a watch says happened; the last two only ever stand in a stream."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


@dataclass(frozen=True)
class WatchEvent:
    """One change under its resourceVersion (`revision`).

    `previous` is the object before a MODIFIED, so that a selector can tell that it left or entered the selection.
    """

    type: WatchEventType
    revision: int
    resource: str
    namespace: str
    object: JsonObject
    previous: JsonObject | None


@dataclass(frozen=True)
class _Row:
    resource: str
    body: JsonObject


def head(conn: sqlite3.Connection) -> int:
    """Return the latest resourceVersion given."""
    return int(conn.execute("SELECT head FROM revision").fetchone()["head"])


def compacted(conn: sqlite3.Connection) -> int:
    """Return the highest resourceVersion no longer in the history."""
    return int(conn.execute("SELECT compacted FROM revision").fetchone()["compacted"])


def select(conn: sqlite3.Connection, resource: str, namespace: str, name: str) -> JsonObject | None:
    """Return one object, None when there is none."""
    query = "SELECT * FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
    row = fetch_one(conn, _Row, query, resource, namespace, name)
    return None if row is None else row.body


def select_all(conn: sqlite3.Connection, resource: str, namespace: str | None) -> list[JsonObject]:
    """Return the objects of a resource (in one namespace, None = in all) by namespace and name."""
    query = "SELECT * FROM objects WHERE resource = ?1 AND (?2 IS NULL OR namespace = ?2) ORDER BY namespace, name"
    return [row.body for row in fetch(conn, _Row, query, resource, namespace)]


def select_uids(conn: sqlite3.Connection, uids: list[Uid]) -> Iterator[tuple[str, JsonObject]]:
    """Yield (resource, object) of those of `uids` that exist, each read when it is its turn.

    Deleting one object of a list may change or delete another one of it, so nothing may be read ahead.
    """
    for uid in uids:
        row = fetch_one(conn, _Row, "SELECT * FROM objects WHERE uid = ?", uid)
        if row is not None:
            yield row.resource, row.body


def dependents_of(conn: sqlite3.Connection, owner_uid: Uid) -> list[Uid]:
    """Return the uids of everything that names `owner_uid` in its ownerReferences."""
    query = "SELECT uid FROM owners JOIN objects USING (uid) WHERE owner_uid = ? ORDER BY resource, namespace, name"
    return _uids(conn, query, owner_uid)


def ownerless(conn: sqlite3.Connection) -> list[Uid]:
    """Return the uids of everything that names at least one owner that is gone."""
    query = "SELECT DISTINCT uid FROM owners WHERE owner_uid NOT IN (SELECT uid FROM objects) ORDER BY uid"
    return _uids(conn, query)


def finalized_by(conn: sqlite3.Connection, finalizer: str) -> list[Uid]:
    """Return the uids of everything whose text has the name of a finalizer in it."""
    return _uids(conn, "SELECT uid FROM objects WHERE instr(body, ?) > 0", to_json(finalizer))


def namespace_content(conn: sqlite3.Connection, namespace: str) -> list[Uid]:
    """Return the uids of everything inside a namespace."""
    return _uids(conn, "SELECT uid FROM objects WHERE namespace = ? ORDER BY resource, name", namespace)


def uid_exists(conn: sqlite3.Connection, uid: Uid) -> bool:
    """Tell whether an object with this uid is there."""
    return conn.execute("SELECT 1 FROM objects WHERE uid = ?", (uid,)).fetchone() is not None


def _uids(conn: sqlite3.Connection, query: str, *arguments: str) -> list[Uid]:
    return [Uid(row["uid"]) for row in conn.execute(query, arguments)]


class Journal:
    """Writes objects: each write takes the next resourceVersion and is kept in the history for watches."""

    def __init__(self, keep: int) -> None:
        """Keep the last `keep` revisions."""
        self._keep = keep

    def put(self, conn: sqlite3.Connection, resource: str, obj: JsonObject, previous: JsonObject | None) -> JsonObject:
        """Write an object and the owners it names over `previous` (None: it is new). Return it with its new version."""
        event_type = WatchEventType.ADDED if previous is None else WatchEventType.MODIFIED
        obj, revision = self._record(conn, event_type, resource, obj, previous)
        metadata = obj["metadata"]
        key = {"resource": resource, "namespace": metadata.get("namespace", ""), "name": metadata["name"]}
        upsert(conn, "objects", tuple(key), key | {"uid": metadata["uid"], "revision": revision, "body": obj})
        conn.execute("DELETE FROM owners WHERE uid = ?", (metadata["uid"],))
        for owner in {str(reference.get("uid")) for reference in metadata.get("ownerReferences", [])}:
            insert(conn, "owners", {"owner_uid": owner, "uid": metadata["uid"]})
        return obj

    def erase(self, conn: sqlite3.Connection, resource: str, obj: JsonObject) -> JsonObject:
        """Forget an object. Return it as watches see it last, under the resourceVersion of its deletion."""
        conn.execute("DELETE FROM objects WHERE uid = ?", (obj["metadata"]["uid"],))
        return self._record(conn, WatchEventType.DELETED, resource, obj, None)[0]

    def _record(
        self,
        conn: sqlite3.Connection,
        event_type: WatchEventType,
        resource: str,
        obj: JsonObject,
        previous: JsonObject | None,
    ) -> tuple[JsonObject, int]:
        """Take the next resourceVersion for a change. Return the object with it, and it."""
        revision = int(conn.execute("UPDATE revision SET head = head + 1 RETURNING head").fetchone()["head"])
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(revision)}}
        event = {
            "revision": revision,
            "type": event_type,
            "resource": resource,
            "namespace": obj["metadata"].get("namespace", ""),
            "name": obj["metadata"]["name"],
            "body": obj,
            "previous": previous,
        }
        insert(conn, "history", event)
        floor = revision - self._keep
        if conn.execute("DELETE FROM history WHERE revision <= ?", (floor,)).rowcount:
            conn.execute("UPDATE revision SET compacted = ?", (floor,))
        return obj, revision


def select_history(
    conn: sqlite3.Connection, after: int, resource: str | None, namespace: str | None, limit: int
) -> list[WatchEvent]:
    """Return up to `limit` changes after a revision, oldest first."""
    query = """
        SELECT *, body AS object FROM history
        WHERE revision > ?1 AND (?2 IS NULL OR resource = ?2) AND (?3 IS NULL OR namespace = ?3)
        ORDER BY revision LIMIT ?4
    """
    return fetch(conn, WatchEvent, query, after, resource, namespace, limit)
