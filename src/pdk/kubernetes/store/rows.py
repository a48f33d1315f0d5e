"""The tables behind the object store: objects, owners, the resourceVersion counter and the watch history.

Used by `objects.py` and `deletion.py` only, always inside a transaction or a read snapshot of theirs. Objects are JSON
text; the history keeps the last `HISTORY_ROWS` changes, as etcd keeps revisions until they are compacted.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pdk.db.database import Migration

JsonObject = dict[str, Any]

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
        CREATE TABLE revision (one INTEGER PRIMARY KEY CHECK (one = 1), head INTEGER NOT NULL, compacted INTEGER NOT NULL);
        INSERT INTO revision VALUES (1, 0, 0);
        """,
    ),
)


@dataclass(frozen=True)
class WatchEvent:
    """One change: `type` is ADDED, MODIFIED or DELETED, `revision` its resourceVersion."""

    type: str
    revision: int
    resource: str
    namespace: str
    object: JsonObject
    previous: JsonObject | None
    """The object before a MODIFIED, so that a selector can tell that it left or entered the selection."""


def dumps(obj: JsonObject) -> str:
    """Return compact JSON text."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False)


def head(conn: sqlite3.Connection) -> int:
    """Return the latest resourceVersion given."""
    return int(conn.execute("SELECT head FROM revision").fetchone()["head"])


def compacted(conn: sqlite3.Connection) -> int:
    """Return the highest resourceVersion no longer in the history."""
    return int(conn.execute("SELECT compacted FROM revision").fetchone()["compacted"])


def next_revision(conn: sqlite3.Connection) -> int:
    """Take the next resourceVersion."""
    return int(conn.execute("UPDATE revision SET head = head + 1 RETURNING head").fetchone()["head"])


def select(conn: sqlite3.Connection, resource: str, namespace: str, name: str) -> JsonObject | None:
    """Return one object, None when there is none."""
    row = conn.execute(
        "SELECT body FROM objects WHERE resource = ? AND namespace = ? AND name = ?", (resource, namespace, name)
    ).fetchone()
    return None if row is None else _load(row["body"])


def select_all(conn: sqlite3.Connection, resource: str, namespace: str | None) -> Iterator[JsonObject]:
    """Yield the objects of a resource (in one namespace, None = in all) by namespace and name."""
    where, values = ("", ()) if namespace is None else (" AND namespace = ?", (namespace,))
    query = f"SELECT body FROM objects WHERE resource = ?{where} ORDER BY namespace, name"
    for row in conn.execute(query, (resource, *values)):
        yield _load(row["body"])


def upsert(conn: sqlite3.Connection, resource: str, obj: JsonObject, revision: int) -> None:
    """Write an object and the owners it names."""
    metadata = obj["metadata"]
    uid = metadata["uid"]
    conn.execute(
        "INSERT INTO objects (resource, namespace, name, uid, revision, body) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (resource, namespace, name) DO UPDATE SET revision = excluded.revision, body = excluded.body",
        (resource, metadata.get("namespace", ""), metadata["name"], uid, revision, dumps(obj)),
    )
    conn.execute("DELETE FROM owners WHERE uid = ?", (uid,))
    owners = {str(reference.get("uid")) for reference in metadata.get("ownerReferences", [])}
    conn.executemany("INSERT INTO owners VALUES (?, ?)", [(owner, uid) for owner in owners])


def remove(conn: sqlite3.Connection, uid: str) -> None:
    """Forget an object."""
    conn.execute("DELETE FROM objects WHERE uid = ?", (uid,))


def select_uids(conn: sqlite3.Connection, uids: list[str]) -> Iterator[tuple[str, JsonObject]]:
    """Yield (resource, object) of those of `uids` that exist, each read when it is its turn.

    Deleting one object of a list may change or delete another one of it, so nothing may be read ahead.
    """
    for uid in uids:
        row = conn.execute("SELECT resource, body FROM objects WHERE uid = ?", (uid,)).fetchone()
        if row is not None:
            yield row["resource"], _load(row["body"])


def dependents_of(conn: sqlite3.Connection, owner_uid: str) -> list[str]:
    """Return the uids of everything that names `owner_uid` in its ownerReferences."""
    query = "SELECT uid FROM owners JOIN objects USING (uid) WHERE owner_uid = ? ORDER BY resource, namespace, name"
    return [row["uid"] for row in conn.execute(query, (owner_uid,))]


def ownerless(conn: sqlite3.Connection) -> list[str]:
    """Return the uids of everything that names at least one owner that is gone."""
    query = "SELECT DISTINCT uid FROM owners WHERE owner_uid NOT IN (SELECT uid FROM objects) ORDER BY uid"
    return [row["uid"] for row in conn.execute(query)]


def finalized_by(conn: sqlite3.Connection, finalizer: str) -> list[str]:
    """Return the uids of everything whose text has the name of a finalizer in it."""
    query = "SELECT uid FROM objects WHERE instr(body, ?) > 0"
    return [row["uid"] for row in conn.execute(query, (json.dumps(finalizer),))]


def namespace_content(conn: sqlite3.Connection, namespace: str) -> list[str]:
    """Return the uids of everything inside a namespace."""
    query = "SELECT uid FROM objects WHERE namespace = ? ORDER BY resource, name"
    return [row["uid"] for row in conn.execute(query, (namespace,))]


def uid_exists(conn: sqlite3.Connection, uid: str) -> bool:
    """Tell whether an object with this uid is there."""
    return conn.execute("SELECT 1 FROM objects WHERE uid = ?", (uid,)).fetchone() is not None


class Journal:
    """Writes objects: each write takes the next resourceVersion and is kept in the history for watches."""

    def __init__(self, keep: int) -> None:
        """Keep the last `keep` revisions."""
        self._keep = keep

    def put(self, conn: sqlite3.Connection, resource: str, obj: JsonObject, previous: JsonObject | None) -> JsonObject:
        """Write an object over `previous` (None: it is new) and return it with its resourceVersion."""
        revision = next_revision(conn)
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(revision)}}
        upsert(conn, resource, obj, revision)
        self._record(conn, "ADDED" if previous is None else "MODIFIED", revision, resource, obj, previous)
        return obj

    def erase(self, conn: sqlite3.Connection, resource: str, obj: JsonObject) -> JsonObject:
        """Forget an object; return it as watches see it last, under the resourceVersion of its deletion."""
        revision = next_revision(conn)
        remove(conn, obj["metadata"]["uid"])
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(revision)}}
        self._record(conn, "DELETED", revision, resource, obj, None)
        return obj

    def _record(
        self,
        conn: sqlite3.Connection,
        event_type: str,
        revision: int,
        resource: str,
        obj: JsonObject,
        previous: JsonObject | None,
    ) -> None:
        metadata = obj["metadata"]
        conn.execute(
            "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                revision,
                event_type,
                resource,
                metadata.get("namespace", ""),
                metadata["name"],
                dumps(obj),
                None if previous is None else dumps(previous),
            ),
        )
        floor = revision - self._keep
        if conn.execute("DELETE FROM history WHERE revision <= ?", (floor,)).rowcount:
            conn.execute("UPDATE revision SET compacted = ?", (floor,))


def select_history(
    conn: sqlite3.Connection, after: int, resource: str | None, namespace: str | None, limit: int
) -> list[WatchEvent]:
    """Return up to `limit` changes after a revision, oldest first."""
    rows = conn.execute(
        "SELECT * FROM history WHERE revision > ?1 AND (?2 IS NULL OR resource = ?2) AND (?3 IS NULL OR namespace = ?3) "
        "ORDER BY revision LIMIT ?4",
        (after, resource, namespace, limit),
    )
    return [
        WatchEvent(
            row["type"],
            row["revision"],
            row["resource"],
            row["namespace"],
            _load(row["body"]),
            None if row["previous"] is None else _load(row["previous"]),
        )
        for row in rows
    ]


def _load(body: str) -> JsonObject:
    obj: JsonObject = json.loads(body)
    return obj
