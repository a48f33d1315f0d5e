"""Rows of commits and of the provenance between them; called by `pfs`. Mirrors `pfsdb/commits.go` of pachd."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitRow:
    """One commit with its repo's name.

    Times are RFC 3339 text. `tree` is the root of the commit's file tree (`b""` = no files); None as long as an open
    commit has nothing written of its own, which means: the tree of its base.
    """

    id: int
    repo_id: int
    project: str
    repo: str
    type: str
    set_id: str
    branch: str
    origin: int
    parent_id: int | None
    description: str
    error: str
    started: str
    finishing: str | None
    finished: str | None
    tree: bytes | None
    size_bytes: int


_FROM = "FROM commits c JOIN repos r ON r.id = c.repo_id"
_COMMIT = f"""SELECT c.id, c.repo_id, r.project, r.name, r.type, c.set_id, c.branch, c.origin, c.parent_id,
    c.description, c.error, c.started, c.finishing, c.finished, c.tree, c.size_bytes {_FROM}"""


def get(conn: sqlite3.Connection, repo_id: int, set_id: str) -> CommitRow | None:
    """Return the commit of a repo in a commit set, or None."""
    row = conn.execute(f"{_COMMIT} WHERE c.repo_id = ? AND c.set_id = ?", (repo_id, set_id)).fetchone()
    return CommitRow(*row) if row else None


def get_by_id(conn: sqlite3.Connection, commit_id: int) -> CommitRow:
    """Return the commit with this row id, which must exist."""
    return CommitRow(*conn.execute(f"{_COMMIT} WHERE c.id = ?", (commit_id,)).fetchone())


def insert(conn: sqlite3.Connection, row: CommitRow) -> int:
    """Add a commit (`row.id` and the repo's names are ignored) and return its row id."""
    cursor = conn.execute(
        """INSERT INTO commits (repo_id, set_id, branch, origin, parent_id, description, error, started, finishing,
        finished, tree, size_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            row.repo_id, row.set_id, row.branch, row.origin, row.parent_id, row.description, row.error, row.started,
            row.finishing, row.finished, row.tree, row.size_bytes,
        ),
    )  # fmt: skip
    return int(cursor.lastrowid or 0)


def set_tree(conn: sqlite3.Connection, commit_id: int, tree: bytes | None, size_bytes: int) -> None:
    """Set the file tree of an open commit and its size in bytes."""
    conn.execute("UPDATE commits SET tree = ?, size_bytes = ? WHERE id = ?", (tree, size_bytes, commit_id))


def set_finishing(conn: sqlite3.Connection, commit_id: int, when: str, error: str, description: str) -> None:
    """Record that the commit was closed for writing; an empty description keeps the present one."""
    conn.execute(
        """UPDATE commits SET finishing = ?, error = ?,
        description = CASE WHEN ? = '' THEN description ELSE ? END WHERE id = ?""",
        (when, error, description, description, commit_id),
    )


def set_finished(conn: sqlite3.Connection, commit_id: int, when: str, error: str) -> None:
    """Record the end of a commit."""
    conn.execute("UPDATE commits SET finished = ?, error = ? WHERE id = ?", (when, error, commit_id))


def set_parent(conn: sqlite3.Connection, commit_id: int, parent_id: int | None) -> None:
    """Hang the commit below another one."""
    conn.execute("UPDATE commits SET parent_id = ? WHERE id = ?", (parent_id, commit_id))


def delete(conn: sqlite3.Connection, commit_id: int) -> None:
    """Remove a commit that is no one's parent and no branch's head."""
    conn.execute("DELETE FROM commits WHERE id = ?", (commit_id,))


def children(conn: sqlite3.Connection, commit_id: int) -> list[CommitRow]:
    """Return the commits whose parent this is, oldest first."""
    return _list(conn, f"{_COMMIT} WHERE c.parent_id = ? ORDER BY c.id", commit_id)


def list_of_set(conn: sqlite3.Connection, set_id: str) -> list[CommitRow]:
    """Return the commits of a set, oldest first."""
    return _list(conn, f"{_COMMIT} WHERE c.set_id = ? ORDER BY c.id", set_id)


def list_of_repo(conn: sqlite3.Connection, repo_id: int) -> list[CommitRow]:
    """Return the commits of a repo, newest first."""
    return _list(conn, f"{_COMMIT} WHERE c.repo_id = ? ORDER BY c.id DESC", repo_id)


def list_all(conn: sqlite3.Connection) -> list[CommitRow]:
    """Return every commit, newest first."""
    return _list(conn, f"{_COMMIT} ORDER BY c.id DESC")


def list_newer(conn: sqlite3.Connection, repo_id: int, commit_id: int) -> list[CommitRow]:
    """Return the commits of a repo made after a commit row (0 = all), oldest first."""
    return _list(conn, f"{_COMMIT} WHERE c.repo_id = ? AND c.id > ? ORDER BY c.id", repo_id, commit_id)


def list_set_ids(conn: sqlite3.Connection, project: str = "") -> list[str]:
    """Return the ids of commit sets, newest first; an empty project means every one."""
    rows = conn.execute(
        f"SELECT c.set_id, max(c.id) AS newest {_FROM} WHERE ? = '' OR r.project = ? GROUP BY c.set_id ORDER BY newest DESC",
        (project, project),
    )
    return [row["set_id"] for row in rows]


def add_provenance(conn: sqlite3.Connection, commit_id: int, upstream_ids: Sequence[int]) -> None:
    """Record the commits this one directly comes from."""
    conn.executemany(
        "INSERT INTO commit_provenance (commit_id, upstream_id, position) VALUES (?, ?, ?)",
        [(commit_id, upstream_id, position) for position, upstream_id in enumerate(upstream_ids)],
    )


def set_provenance(conn: sqlite3.Connection, commit_id: int, upstream_ids: Sequence[int]) -> None:
    """Replace the commits this one directly comes from."""
    conn.execute("DELETE FROM commit_provenance WHERE commit_id = ?", (commit_id,))
    add_provenance(conn, commit_id, upstream_ids)


def direct_provenance(conn: sqlite3.Connection, commit_id: int) -> list[CommitRow]:
    """Return the commits this one directly comes from, in the order they were given."""
    return _list(
        conn,
        f"{_COMMIT} JOIN commit_provenance p ON p.upstream_id = c.id WHERE p.commit_id = ? ORDER BY p.position",
        commit_id,
    )


def direct_subvenance(conn: sqlite3.Connection, commit_id: int) -> list[CommitRow]:
    """Return the commits that directly come from this one."""
    return _list(
        conn,
        f"{_COMMIT} JOIN commit_provenance p ON p.commit_id = c.id WHERE p.upstream_id = ? ORDER BY c.id",
        commit_id,
    )


def provenance(conn: sqlite3.Connection, commit_id: int) -> list[CommitRow]:
    """Return every commit this one comes from, directly or not, oldest first, itself excluded."""
    return _reachable(conn, commit_id, "upstream_id", "commit_id")


def subvenance(conn: sqlite3.Connection, commit_id: int) -> list[CommitRow]:
    """Return every commit that comes from this one, directly or not, oldest first, itself excluded."""
    return _reachable(conn, commit_id, "commit_id", "upstream_id")


def provenance_of_set(conn: sqlite3.Connection, set_id: str, repo_id: int) -> CommitRow | None:
    """Return the newest commit of a repo among the transitive provenance of a set's commits, or None."""
    rows = _list(
        conn,
        f"""WITH RECURSIVE reached (id) AS (
            SELECT id FROM commits WHERE set_id = ?
            UNION SELECT p.upstream_id FROM commit_provenance p JOIN reached ON p.commit_id = reached.id
        ) {_COMMIT} WHERE c.repo_id = ? AND c.id IN (SELECT id FROM reached) ORDER BY c.id DESC LIMIT 1""",
        set_id,
        repo_id,
    )
    return rows[0] if rows else None


def trees(conn: sqlite3.Connection) -> list[bytes]:
    """Return the distinct roots of all file trees that commits hold."""
    rows = conn.execute("SELECT DISTINCT tree FROM commits WHERE tree IS NOT NULL AND tree != x''")
    return [row["tree"] for row in rows]


def _reachable(conn: sqlite3.Connection, commit_id: int, to: str, via: str) -> list[CommitRow]:
    return _list(
        conn,
        f"""WITH RECURSIVE reached (id) AS (
            SELECT {to} FROM commit_provenance WHERE {via} = ?
            UNION SELECT p.{to} FROM commit_provenance p JOIN reached ON p.{via} = reached.id
        ) {_COMMIT} WHERE c.id IN (SELECT id FROM reached) ORDER BY c.id""",
        commit_id,
    )


def _list(conn: sqlite3.Connection, query: str, *parameters: object) -> list[CommitRow]:
    return [CommitRow(*row) for row in conn.execute(query, parameters)]
