"""Rows of branches and of the provenance between them; called by `pfs`. Mirrors `pfsdb/branches.go` of pachd."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One branch with its repo's name; `head_id` is the row id of its head commit, None when it has none."""

    id: int
    repo_id: int
    project: str
    repo: str
    type: str
    name: str
    head_id: int | None


_COLUMNS = "b.id, b.repo_id, r.project, r.name, r.type, b.name, b.head_id"
_BRANCH = f"SELECT {_COLUMNS} FROM branches b JOIN repos r ON r.id = b.repo_id"


def get(conn: sqlite3.Connection, repo_id: int, name: str) -> BranchRow | None:
    """Return the branch, or None."""
    row = conn.execute(f"{_BRANCH} WHERE b.repo_id = ? AND b.name = ?", (repo_id, name)).fetchone()
    return BranchRow(*row) if row else None


def get_by_id(conn: sqlite3.Connection, branch_id: int) -> BranchRow:
    """Return the branch with this row id, which must exist."""
    return BranchRow(*conn.execute(f"{_BRANCH} WHERE b.id = ?", (branch_id,)).fetchone())


def exists(conn: sqlite3.Connection, branch_id: int) -> bool:
    """Tell whether there is still a branch with this row id."""
    return conn.execute("SELECT 1 FROM branches WHERE id = ?", (branch_id,)).fetchone() is not None


def list_of_repo(conn: sqlite3.Connection, repo_id: int) -> list[BranchRow]:
    """Return the branches of a repo, newest first."""
    rows = conn.execute(f"{_BRANCH} WHERE b.repo_id = ? ORDER BY b.id DESC", (repo_id,))
    return [BranchRow(*row) for row in rows]


def list_all(conn: sqlite3.Connection) -> list[BranchRow]:
    """Return every branch, newest first."""
    return [BranchRow(*row) for row in conn.execute(f"{_BRANCH} ORDER BY b.id DESC")]


def insert(conn: sqlite3.Connection, repo_id: int, name: str, created: str) -> int:
    """Add a branch without head and return its row id."""
    cursor = conn.execute("INSERT INTO branches (repo_id, name, created) VALUES (?, ?, ?)", (repo_id, name, created))
    return int(cursor.lastrowid or 0)


def set_head(conn: sqlite3.Connection, branch_id: int, head_id: int | None) -> None:
    """Move the branch to a commit row."""
    conn.execute("UPDATE branches SET head_id = ? WHERE id = ?", (head_id, branch_id))


def with_head(conn: sqlite3.Connection, commit_id: int) -> list[BranchRow]:
    """Return the branches whose head is this commit row."""
    return [BranchRow(*row) for row in conn.execute(f"{_BRANCH} WHERE b.head_id = ? ORDER BY b.id", (commit_id,))]


def delete(conn: sqlite3.Connection, branch_id: int) -> None:
    """Remove a branch and its provenance in both directions."""
    conn.execute("DELETE FROM branches WHERE id = ?", (branch_id,))


def direct_provenance(conn: sqlite3.Connection, branch_id: int) -> list[BranchRow]:
    """Return the branches this one directly comes from, in the order they were given."""
    rows = conn.execute(
        f"{_BRANCH} JOIN branch_provenance p ON p.upstream_id = b.id WHERE p.branch_id = ? ORDER BY p.position",
        (branch_id,),
    )
    return [BranchRow(*row) for row in rows]


def set_direct_provenance(conn: sqlite3.Connection, branch_id: int, upstream_ids: Sequence[int]) -> None:
    """Replace the direct provenance of a branch."""
    conn.execute("DELETE FROM branch_provenance WHERE branch_id = ?", (branch_id,))
    conn.executemany(
        "INSERT INTO branch_provenance (branch_id, upstream_id, position) VALUES (?, ?, ?)",
        [(branch_id, upstream_id, position) for position, upstream_id in enumerate(upstream_ids)],
    )


def provenance(conn: sqlite3.Connection, branch_id: int) -> list[BranchRow]:
    """Return every branch this one comes from, directly or not, itself excluded."""
    return _reachable(conn, branch_id, "upstream_id", "branch_id")


def subvenance(conn: sqlite3.Connection, branch_id: int) -> list[BranchRow]:
    """Return every branch that comes from this one, directly or not, itself excluded."""
    return _reachable(conn, branch_id, "branch_id", "upstream_id")


def _reachable(conn: sqlite3.Connection, branch_id: int, to: str, via: str) -> list[BranchRow]:
    rows = conn.execute(
        f"""WITH RECURSIVE reached (id) AS (
            SELECT {to} FROM branch_provenance WHERE {via} = ?
            UNION SELECT p.{to} FROM branch_provenance p JOIN reached ON p.{via} = reached.id
        ) {_BRANCH} WHERE b.id IN (SELECT id FROM reached) ORDER BY b.id""",
        (branch_id,),
    )
    return [BranchRow(*row) for row in rows]
