"""List, drop and squash commit sets; mirrors `InspectCommitSet`, `DropCommitSet` and `SquashCommitSet` of pachd."""

import sqlite3
from typing import TYPE_CHECKING

from pdk.pachyderm.errors import CommitInUse, CommitSetNotFound
from pdk.pachyderm.pfs import commits
from pdk.pachyderm.pfs.infos import commit_of
from pdk.pachyderm.pfs.types import SPEC, OriginKind
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store.commits import CommitRow

if TYPE_CHECKING:
    from pdk.pachyderm.pfs.transaction import PfsTransaction


def list_with_provenance(conn: sqlite3.Connection, set_id: str) -> list[CommitRow]:
    """Return the commits of a set and the older ones they come from, inputs first. Raises CommitSetNotFound."""
    found: dict[int, CommitRow] = {}
    for row in _list(conn, set_id):
        found[row.id] = row
        found.update((upstream.id, upstream) for upstream in commit_rows.provenance(conn, row.id))
    depth = {commit_id: len(commit_rows.provenance(conn, commit_id)) for commit_id in found}
    return sorted(found.values(), key=lambda row: (depth[row.id], row.id))


def drop_commit_set(tx: "PfsTransaction", set_id: str) -> None:
    """See `PfsTransaction.drop_commit_set`."""
    rows = _list(tx.conn, set_id)
    for row in rows:
        if commit_rows.children(tx.conn, row.id):
            raise CommitInUse(f"cannot drop a commit that has children: {commit_of(row)}")
        _check_subvenance(tx.conn, row, "drop")
    for row in reversed(rows):
        commits.remove(tx, row, row.parent_id)


def squash_commit_set(tx: "PfsTransaction", set_id: str) -> None:
    """See `PfsTransaction.squash_commit_set`."""
    rows = _list(tx.conn, set_id)
    for row in rows:
        _check_squash(tx.conn, row)
    for row in reversed(rows):
        commits.remove(tx, row, row.parent_id)


def _check_squash(conn: sqlite3.Connection, row: CommitRow) -> None:
    commit = commit_of(row)
    if row.type == SPEC and row.origin == OriginKind.USER.value:
        raise CommitInUse(f"cannot squash commit {commit} because it updated a pipeline")
    children = commit_rows.children(conn, row.id)
    if not children:
        raise CommitInUse(
            f"cannot squash a commit that has no children as that would cause data loss, use the drop operation instead: {commit}"
        )
    for child in children:
        if child.finished is None:
            raise CommitInUse(f"cannot squash until child commit {commit_of(child)} is finished")
    _check_subvenance(conn, row, "squash")


def _check_subvenance(conn: sqlite3.Connection, row: CommitRow, verb: str) -> None:
    others = [other for other in commit_rows.subvenance(conn, row.id) if other.set_id != row.set_id]
    if others:
        names = ", ".join(str(commit_of(other)) for other in others)
        raise CommitInUse(f"cannot {verb} commit {commit_of(row)}: commits of other commit sets come from it: {names}")


def _list(conn: sqlite3.Connection, set_id: str) -> list[CommitRow]:
    rows = commit_rows.list_of_set(conn, set_id)
    if not rows:
        raise CommitSetNotFound(set_id)
    return rows
