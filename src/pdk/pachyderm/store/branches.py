"""Rows of branches and of the provenance between them; called by `pfs`. Mirrors `pfsdb/branches.go` of pachd."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pdk.db import rows
from pdk.pachyderm.values import Branch, BranchId, CommitId, Repo, RepoId


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One branch (`branch` is its name) with its repo; `head_id` is the row of its head commit, if it has one."""

    id: BranchId
    repo_id: RepoId
    repo: Repo
    branch: str
    head_id: CommitId | None

    @property
    def handle(self) -> Branch:
        """The branch as clients name it."""
        return Branch(self.repo, self.branch)


_COLUMNS = "b.id, b.repo_id, r.project, r.name, r.type, b.name AS branch, b.head_id"
_BRANCH = f"SELECT {_COLUMNS} FROM branches b JOIN repos r ON r.id = b.repo_id"


def get(conn: sqlite3.Connection, repo_id: RepoId, name: str) -> BranchRow | None:
    """Return the branch, or None."""
    return rows.fetch_one(conn, BranchRow, f"{_BRANCH} WHERE b.repo_id = ? AND b.name = ?", repo_id, name)


def get_by_id(conn: sqlite3.Connection, branch_id: BranchId) -> BranchRow | None:
    """Return the branch with this row id, or None."""
    return rows.fetch_one(conn, BranchRow, f"{_BRANCH} WHERE b.id = ?", branch_id)


def list_of_repo(conn: sqlite3.Connection, repo_id: RepoId) -> list[BranchRow]:
    """Return the branches of a repo, newest first."""
    return rows.fetch(conn, BranchRow, f"{_BRANCH} WHERE b.repo_id = ? ORDER BY b.id DESC", repo_id)


def list_all(conn: sqlite3.Connection) -> list[BranchRow]:
    """Return every branch, newest first."""
    return rows.fetch(conn, BranchRow, f"{_BRANCH} ORDER BY b.id DESC")


def insert(conn: sqlite3.Connection, repo_id: RepoId, name: str, created: str) -> BranchId:
    """Add a branch without head and return its row id."""
    return BranchId(rows.insert(conn, "branches", {"repo_id": repo_id, "name": name, "created": created}))


def set_head(conn: sqlite3.Connection, branch_id: BranchId, head_id: CommitId | None) -> None:
    """Move the branch to a commit row."""
    rows.update(conn, "branches", ("id", branch_id), {"head_id": head_id})


def with_head(conn: sqlite3.Connection, commit_id: CommitId) -> list[BranchRow]:
    """Return the branches whose head is this commit row."""
    return rows.fetch(conn, BranchRow, f"{_BRANCH} WHERE b.head_id = ? ORDER BY b.id", commit_id)


def delete(conn: sqlite3.Connection, branch_id: BranchId) -> None:
    """Remove a branch and its provenance in both directions."""
    conn.execute("DELETE FROM branches WHERE id = ?", (branch_id,))


def direct_provenance(conn: sqlite3.Connection, branch_id: BranchId) -> list[BranchRow]:
    """Return the branches this one directly comes from, in the order they were given."""
    joined = f"{_BRANCH} JOIN branch_provenance p ON p.upstream_id = b.id"
    return rows.fetch(conn, BranchRow, f"{joined} WHERE p.branch_id = ? ORDER BY p.position", branch_id)


def set_direct_provenance(conn: sqlite3.Connection, branch_id: BranchId, upstream_ids: Sequence[BranchId]) -> None:
    """Replace the direct provenance of a branch."""
    conn.execute("DELETE FROM branch_provenance WHERE branch_id = ?", (branch_id,))
    conn.executemany(
        "INSERT INTO branch_provenance (branch_id, upstream_id, position) VALUES (?, ?, ?)",
        [(branch_id, upstream_id, position) for position, upstream_id in enumerate(upstream_ids)],
    )


def provenance(conn: sqlite3.Connection, branch_id: BranchId) -> list[BranchRow]:
    """Return every branch this one comes from, directly or not, itself excluded."""
    return _reachable(conn, branch_id, "upstream_id", "branch_id")


def subvenance(conn: sqlite3.Connection, branch_id: BranchId) -> list[BranchRow]:
    """Return every branch that comes from this one, directly or not, itself excluded."""
    return _reachable(conn, branch_id, "branch_id", "upstream_id")


def _reachable(conn: sqlite3.Connection, branch_id: BranchId, to: str, via: str) -> list[BranchRow]:
    query = f"""WITH RECURSIVE reached (id) AS (
            SELECT {to} FROM branch_provenance WHERE {via} = ?
            UNION SELECT p.{to} FROM branch_provenance p JOIN reached ON p.{via} = reached.id
        ) {_BRANCH} WHERE b.id IN (SELECT id FROM reached) ORDER BY b.id"""
    return rows.fetch(conn, BranchRow, query, branch_id)
