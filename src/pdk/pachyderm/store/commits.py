"""Rows of commits and of the provenance between them; called by `pfs`. Mirrors `pfsdb/commits.go` of pachd."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pdk.db import rows
from pdk.pachyderm.store.branches import BranchRow
from pdk.pachyderm.values import Commit, CommitId, CommitSetId, OriginKind, Repo, RepoId
from pdk.storage.pages import TreeRoot


@dataclass(frozen=True, slots=True)
class CommitRow:
    """One commit with its repo; `branch` is the name of the one it was made on.

    Times are RFC 3339 text. `tree` is the root of the commit's file tree (`b""` = no files); None as long as an open
    commit has nothing written of its own, which means: the tree of its base.
    """

    id: CommitId
    repo_id: RepoId
    repo: Repo
    set_id: CommitSetId
    branch: str
    origin: OriginKind
    parent_id: CommitId | None
    description: str
    error: str
    started: str
    finishing: str | None
    finished: str | None
    tree: TreeRoot | None
    size_bytes: int

    @property
    def handle(self) -> Commit:
        """The commit as clients name it."""
        return Commit(self.repo, self.set_id)


_FROM = "FROM commits c JOIN repos r ON r.id = c.repo_id"
_COMMIT = f"""SELECT c.id, c.repo_id, r.project, r.name, r.type, c.set_id, c.branch, c.origin, c.parent_id,
    c.description, c.error, c.started, c.finishing, c.finished, c.tree, c.size_bytes {_FROM}"""


def get(conn: sqlite3.Connection, repo_id: RepoId, set_id: CommitSetId) -> CommitRow | None:
    """Return the commit of a repo in a commit set, or None."""
    return rows.fetch_one(conn, CommitRow, f"{_COMMIT} WHERE c.repo_id = ? AND c.set_id = ?", repo_id, set_id)


def get_by_id(conn: sqlite3.Connection, commit_id: CommitId) -> CommitRow:
    """Return the commit with this row id, which must exist."""
    (row,) = _list(conn, f"{_COMMIT} WHERE c.id = ?", commit_id)
    return row


def insert(
    conn: sqlite3.Connection,
    branch: BranchRow,
    set_id: CommitSetId,
    origin: OriginKind,
    parent_id: CommitId | None,
    description: str,
    started: str,
) -> CommitId:
    """Add an open commit made on a branch."""
    values = {"repo_id": branch.repo_id, "set_id": set_id, "branch": branch.branch, "origin": origin}
    values |= {"parent_id": parent_id, "description": description, "started": started}
    return CommitId(rows.insert(conn, "commits", values))


def set_tree(conn: sqlite3.Connection, commit_id: CommitId, tree: TreeRoot | None, size_bytes: int) -> None:
    """Set the file tree of an open commit and its size in bytes."""
    rows.update(conn, "commits", ("id", commit_id), {"tree": tree, "size_bytes": size_bytes})


def set_finishing(conn: sqlite3.Connection, commit_id: CommitId, when: str, error: str, description: str) -> None:
    """Record that the commit was closed for writing; an empty description keeps the present one."""
    described = {"description": description} if description else {}
    rows.update(conn, "commits", ("id", commit_id), {"finishing": when, "error": error, **described})


def set_finished(conn: sqlite3.Connection, commit_id: CommitId, when: str, error: str) -> None:
    """Record the end of a commit."""
    rows.update(conn, "commits", ("id", commit_id), {"finished": when, "error": error})


def set_parent(conn: sqlite3.Connection, commit_id: CommitId, parent_id: CommitId | None) -> None:
    """Hang the commit below another one."""
    rows.update(conn, "commits", ("id", commit_id), {"parent_id": parent_id})


def delete(conn: sqlite3.Connection, commit_id: CommitId) -> None:
    """Remove a commit that is no one's parent and no branch's head."""
    conn.execute("DELETE FROM commits WHERE id = ?", (commit_id,))


def children(conn: sqlite3.Connection, commit_id: CommitId) -> list[CommitRow]:
    """Return the commits whose parent this is, oldest first."""
    return _list(conn, f"{_COMMIT} WHERE c.parent_id = ? ORDER BY c.id", commit_id)


def list_of_set(conn: sqlite3.Connection, set_id: CommitSetId) -> list[CommitRow]:
    """Return the commits of a set, oldest first."""
    return _list(conn, f"{_COMMIT} WHERE c.set_id = ? ORDER BY c.id", set_id)


def list_of_repo(conn: sqlite3.Connection, repo_id: RepoId) -> list[CommitRow]:
    """Return the commits of a repo, newest first."""
    return _list(conn, f"{_COMMIT} WHERE c.repo_id = ? ORDER BY c.id DESC", repo_id)


def list_all(conn: sqlite3.Connection) -> list[CommitRow]:
    """Return every commit, newest first."""
    return _list(conn, f"{_COMMIT} ORDER BY c.id DESC")


def list_newer(conn: sqlite3.Connection, repo_id: RepoId, commit_id: CommitId) -> list[CommitRow]:
    """Return the commits of a repo made after a commit row (0 = all), oldest first."""
    return _list(conn, f"{_COMMIT} WHERE c.repo_id = ? AND c.id > ? ORDER BY c.id", repo_id, commit_id)


def list_set_ids(conn: sqlite3.Connection, project: str = "") -> list[CommitSetId]:
    """Return the ids of commit sets, newest first; an empty project means every one."""
    query = f"SELECT c.set_id {_FROM} WHERE ? = '' OR r.project = ? GROUP BY c.set_id ORDER BY max(c.id) DESC"
    return [row["set_id"] for row in conn.execute(query, (project, project))]


def add_provenance(conn: sqlite3.Connection, commit_id: CommitId, upstream_ids: Sequence[CommitId]) -> None:
    """Record the commits this one directly comes from."""
    conn.executemany(
        "INSERT INTO commit_provenance (commit_id, upstream_id, position) VALUES (?, ?, ?)",
        [(commit_id, upstream_id, position) for position, upstream_id in enumerate(upstream_ids)],
    )


def set_provenance(conn: sqlite3.Connection, commit_id: CommitId, upstream_ids: Sequence[CommitId]) -> None:
    """Replace the commits this one directly comes from."""
    conn.execute("DELETE FROM commit_provenance WHERE commit_id = ?", (commit_id,))
    add_provenance(conn, commit_id, upstream_ids)


def direct_provenance(conn: sqlite3.Connection, commit_id: CommitId) -> list[CommitRow]:
    """Return the commits this one directly comes from, in the order they were given."""
    return _list(
        conn,
        f"{_COMMIT} JOIN commit_provenance p ON p.upstream_id = c.id WHERE p.commit_id = ? ORDER BY p.position",
        commit_id,
    )


def direct_subvenance(conn: sqlite3.Connection, commit_id: CommitId) -> list[CommitRow]:
    """Return the commits that directly come from this one."""
    return _list(
        conn,
        f"{_COMMIT} JOIN commit_provenance p ON p.commit_id = c.id WHERE p.upstream_id = ? ORDER BY c.id",
        commit_id,
    )


def provenance(conn: sqlite3.Connection, commit_id: CommitId) -> list[CommitRow]:
    """Return every commit this one comes from, directly or not, oldest first, itself excluded."""
    return _reachable(conn, commit_id, "upstream_id", "commit_id")


def subvenance(conn: sqlite3.Connection, commit_id: CommitId) -> list[CommitRow]:
    """Return every commit that comes from this one, directly or not, oldest first, itself excluded."""
    return _reachable(conn, commit_id, "commit_id", "upstream_id")


def provenance_of_set(conn: sqlite3.Connection, set_id: CommitSetId, repo_id: RepoId) -> CommitRow | None:
    """Return the newest commit of a repo among the transitive provenance of a set's commits, or None."""
    found = _list(
        conn,
        f"""WITH RECURSIVE reached (id) AS (
            SELECT id FROM commits WHERE set_id = ?
            UNION SELECT p.upstream_id FROM commit_provenance p JOIN reached ON p.commit_id = reached.id
        ) {_COMMIT} WHERE c.repo_id = ? AND c.id IN (SELECT id FROM reached) ORDER BY c.id DESC LIMIT 1""",
        set_id,
        repo_id,
    )
    return found[0] if found else None


def trees(conn: sqlite3.Connection) -> list[TreeRoot]:
    """Return the distinct roots of all file trees that commits hold."""
    query = "SELECT DISTINCT tree FROM commits WHERE tree IS NOT NULL AND tree != x''"
    return [row["tree"] for row in conn.execute(query)]


def _reachable(conn: sqlite3.Connection, commit_id: CommitId, to: str, via: str) -> list[CommitRow]:
    return _list(
        conn,
        f"""WITH RECURSIVE reached (id) AS (
            SELECT {to} FROM commit_provenance WHERE {via} = ?
            UNION SELECT p.{to} FROM commit_provenance p JOIN reached ON p.{via} = reached.id
        ) {_COMMIT} WHERE c.id IN (SELECT id FROM reached) ORDER BY c.id""",
        commit_id,
    )


def _list(conn: sqlite3.Connection, query: str, *parameters: object) -> list[CommitRow]:
    return rows.fetch(conn, CommitRow, query, *parameters)
