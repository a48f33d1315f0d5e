"""List, drop and squash commit sets; mirrors `InspectCommitSet`, `DropCommitSet` and `SquashCommitSet` of pachd."""

import sqlite3

from pdk.pachyderm.errors import CommitInUse, CommitSetNotFound
from pdk.pachyderm.pfs import commits
from pdk.pachyderm.pfs.infos import find_commit
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store.commits import CommitRow
from pdk.pachyderm.values import Commit, CommitId, CommitSetId, OriginKind, RepoType


def list_with_provenance(conn: sqlite3.Connection, set_id: CommitSetId) -> list[CommitRow]:
    """Return the commits of a set and the older ones they come from, inputs first. Raises CommitSetNotFound."""
    found: dict[CommitId, CommitRow] = {}
    for row in _list(conn, set_id):
        found[row.id] = row
        found.update((upstream.id, upstream) for upstream in commit_rows.provenance(conn, row.id))
    depth = {commit_id: len(commit_rows.provenance(conn, commit_id)) for commit_id in found}
    return sorted(found.values(), key=lambda row: (depth[row.id], row.id))


def drop_commit_set(tx: PfsTransaction, set_id: CommitSetId) -> None:
    """Remove the commits of a set and what they added. Raises CommitSetNotFound, CommitInUse."""
    rows = _list(tx.conn, set_id)
    for row in rows:
        if commit_rows.children(tx.conn, row.id):
            raise CommitInUse(f"cannot drop a commit that has children: {row.handle}")
        _check_subvenance(tx.conn, row, "drop")
    for row in reversed(rows):
        commits.remove(tx, row)


def squash_commit_set(tx: PfsTransaction, set_id: CommitSetId) -> None:
    """Remove the commits of a set; what they added stays in their children. Raises CommitSetNotFound, CommitInUse."""
    rows = _list(tx.conn, set_id)
    for row in rows:
        _check_squash(tx.conn, row)
    for row in reversed(rows):
        commits.remove(tx, row)


def drop_commit(tx: PfsTransaction, commit: Commit, recursive: bool = False) -> None:
    """Remove a commit and what it added; `recursive`: and all that builds on or comes from it. Raises CommitInUse."""
    row = find_commit(tx.conn, commit)
    dependent = _dependent(tx.conn, row, with_children=True)
    if dependent and not recursive:
        names = ", ".join(str(other.handle) for other in dependent)
        raise CommitInUse(
            f"cannot drop a commit that has children or subvenance without recursive: {commit} has {names}"
        )
    for each in (*reversed(dependent), row):
        commits.remove(tx, each)


def squash_commit(tx: PfsTransaction, commit: Commit, recursive: bool = False) -> None:
    """Remove a commit, its data stays in its children; `recursive`: and all that comes from it. Raises CommitInUse."""
    row = find_commit(tx.conn, commit)
    dependent = _dependent(tx.conn, row, with_children=False)
    if dependent and not recursive:
        names = ", ".join(str(other.handle) for other in dependent)
        raise CommitInUse(f"cannot squash a commit that has subvenance without recursive: {commit} has {names}")
    for each in (row, *dependent):
        _check_children(tx.conn, each)
    for each in (*reversed(dependent), row):
        commits.remove(tx, each)


def _dependent(conn: sqlite3.Connection, row: CommitRow, with_children: bool) -> list[CommitRow]:
    """Return what comes from a commit, and what builds on it or on those, oldest first."""
    found: dict[CommitId, CommitRow] = {}
    queue = [row]
    while queue:
        each = queue.pop()
        related = commit_rows.direct_subvenance(conn, each.id)
        related += commit_rows.children(conn, each.id) if with_children else []
        queue += [other for other in related if other.id not in found]
        found.update((other.id, other) for other in related)
    return [found[commit_id] for commit_id in sorted(found)]


def _check_squash(conn: sqlite3.Connection, row: CommitRow) -> None:
    commit = row.handle
    if row.repo.type == RepoType.SPEC and row.origin is OriginKind.USER:
        raise CommitInUse(f"cannot squash commit {commit} because it updated a pipeline")
    _check_children(conn, row)
    _check_subvenance(conn, row, "squash")


def _check_children(conn: sqlite3.Connection, row: CommitRow) -> None:
    """Raise CommitInUse unless what a commit added lives on in finished children."""
    children = commit_rows.children(conn, row.id)
    if not children:
        raise CommitInUse(
            "cannot squash a commit that has no children as that would cause data loss, "
            f"use the drop operation instead: {row.handle}"
        )
    for child in children:
        if child.finished is None:
            raise CommitInUse(f"cannot squash until child commit {child.handle} is finished")


def _check_subvenance(conn: sqlite3.Connection, row: CommitRow, verb: str) -> None:
    others = [other for other in commit_rows.subvenance(conn, row.id) if other.set_id != row.set_id]
    if others:
        names = ", ".join(str(other.handle) for other in others)
        raise CommitInUse(f"cannot {verb} commit {row.handle}: commits of other commit sets come from it: {names}")


def _list(conn: sqlite3.Connection, set_id: CommitSetId) -> list[CommitRow]:
    rows = commit_rows.list_of_set(conn, set_id)
    if not rows:
        raise CommitSetNotFound(set_id)
    return rows
