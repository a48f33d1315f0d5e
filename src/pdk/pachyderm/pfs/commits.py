"""Start, finish, clear and list commits; what a commit's files are; mirrors `server_commit.go` of pachd."""

import sqlite3
from collections.abc import Iterator, Sequence

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.errors import (
    BaseNotFinished,
    CommitExists,
    CommitFinished,
    OutputBranch,
    OutputCommit,
    ParentNotFinished,
)
from pdk.pachyderm.pfs.infos import find_commit, find_repo, is_pipeline_repo
from pdk.pachyderm.pfs.names import check_name
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.pfs.types import CommitState
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store.branches import BranchRow
from pdk.pachyderm.store.commits import CommitRow
from pdk.pachyderm.values import Branch, Commit, CommitId, OriginKind, Repo
from pdk.storage.pages import TreeRoot
from pdk.storage.tree import EMPTY
from pdk.storage.writer import FileSetWriter


def ensure_branch(tx: PfsTransaction, branch: Branch) -> BranchRow:
    """Return the branch's row, made without a head when it is missing. Raises RepoNotFound, InvalidName."""
    repo = find_repo(tx.conn, branch.repo)
    row = branch_rows.get(tx.conn, repo.id, branch.name)
    if row is None:
        check_name(branch.name)
        row = BranchRow(
            branch_rows.insert(tx.conn, repo.id, branch.name, tx.now), repo.id, repo.repo, branch.name, None
        )
    return row


def start_commit(
    tx: PfsTransaction,
    branch: Branch,
    parent: Commit | None = None,
    description: str = "",
    origin: OriginKind = OriginKind.USER,
    direct_provenance: Sequence[Commit] = (),
) -> Commit:
    """Open a commit on a branch (made when missing), child of `parent` or else of the branch's head, and return it.

    Raises RepoNotFound, CommitNotFound (parent), ParentNotFinished, CommitExists (this set has one in the repo),
    OutputBranch (origin USER on a branch with provenance).
    """
    row = ensure_branch(tx, branch)
    if origin is OriginKind.USER and branch_rows.direct_provenance(tx.conn, row.id):
        raise OutputBranch(branch)
    parent_id = row.head_id
    if parent is not None:
        parent_id = find_commit(tx.conn, parent).id
    if parent_id is not None:
        parent_row = commit_rows.get_by_id(tx.conn, parent_id)
        if parent_row.finishing is None and origin is OriginKind.USER:
            raise ParentNotFinished(parent_row.handle)
    upstream_ids = [find_commit(tx.conn, upstream).id for upstream in direct_provenance]
    return insert_commit(tx, row, parent_id, origin, description, upstream_ids).handle


def insert_commit(
    tx: PfsTransaction,
    branch: BranchRow,
    parent_id: CommitId | None,
    origin: OriginKind,
    description: str,
    upstream_ids: Sequence[CommitId],
) -> CommitRow:
    """Open a commit in the transaction's set and move the branch to it, marked as changed. Raises CommitExists."""
    present = commit_rows.get(tx.conn, branch.repo_id, tx.set_id)
    if present is not None:
        raise CommitExists(present.handle)
    commit_id = commit_rows.insert(tx.conn, branch, tx.set_id, origin, parent_id, description, tx.now)
    commit_rows.add_provenance(tx.conn, commit_id, upstream_ids)
    row = commit_rows.get_by_id(tx.conn, commit_id)
    base = base_row(tx.conn, row)
    if base is not None:
        commit_rows.set_tree(tx.conn, commit_id, None, base.size_bytes)
    branch_rows.set_head(tx.conn, branch.id, commit_id)
    tx.changed_branches[branch.id] = None
    return commit_rows.get_by_id(tx.conn, commit_id)


def create_finished_commit(tx: PfsTransaction, branch: Branch, origin: OriginKind = OriginKind.USER) -> Commit:
    """Start and finish a commit that changes nothing: what pps writes to a spec branch."""
    commit = start_commit(tx, branch, origin=origin)
    finish_commit(tx, commit, force=True)
    return commit


def finish_commit(
    tx: PfsTransaction, commit: Commit, error: str = "", force: bool = False, description: str = ""
) -> None:
    """Close a commit for writing; `error` marks it bad, so that later commits do not build on it.

    It is FINISHED at once when all it comes from is, otherwise as soon as that happens. Raises CommitFinished, and
    OutputCommit without `force` when the commit is a pipeline's.
    """
    row = find_commit(tx.conn, commit)
    if row.finishing is not None:
        raise CommitFinished(commit)
    if not force and commit_rows.direct_provenance(tx.conn, row.id) and is_pipeline_repo(tx.conn, commit.repo):
        raise OutputCommit
    commit_rows.set_finishing(tx.conn, row.id, tx.now, error, description)
    settle(tx, row.id)


def settle(tx: PfsTransaction, commit_id: CommitId) -> None:
    """Take a FINISHING commit to FINISHED if what it comes from and builds on is, and then those waiting for it."""
    queue = [commit_id]
    while queue:
        row = commit_rows.get_by_id(tx.conn, queue.pop())
        if not row.finishing or row.finished or not _may_finish(tx.conn, row):
            continue
        tree = tree_of(tx.conn, row)
        error = row.error or _validate(tx, row, tree)
        commit_rows.set_tree(tx.conn, row.id, tree, tx.storage.size(tree))
        commit_rows.set_finished(tx.conn, row.id, tx.now, error)
        tx.settled.append(row.handle)
        queue += [commit.id for commit in commit_rows.direct_subvenance(tx.conn, row.id)]
        queue += [commit.id for commit in commit_rows.children(tx.conn, row.id)]


def _may_finish(conn: sqlite3.Connection, row: CommitRow) -> bool:
    if any(not upstream.finished for upstream in commit_rows.direct_provenance(conn, row.id)):
        return False
    base = base_row(conn, row)
    return base is None or base.finished is not None


def _validate(tx: PfsTransaction, row: CommitRow, tree: TreeRoot) -> str:
    """Return what is wrong with the files a commit added, as its error text, or "" (the base was checked before)."""
    base = base_row(tx.conn, row)
    return tx.storage.validate(tree, base.tree or EMPTY if base is not None else EMPTY)


def write(tx: PfsTransaction, row: CommitRow, changes: FileSetWriter) -> None:
    """Apply changes to the files of an open commit. Raises CommitFinished, BaseNotFinished."""
    if row.finishing is not None:
        raise CommitFinished(row.handle)
    tree = changes.apply(tx.conn, tree_of(tx.conn, row))
    commit_rows.set_tree(tx.conn, row.id, tree, tx.storage.size(tree))


def write_branch(tx: PfsTransaction, branch: Branch, changes: FileSetWriter) -> Commit:
    """Apply changes to the open head of a branch, or else to a new commit that is finished with them.

    Raises RepoNotFound, OutputBranch, CommitExists.
    """
    row = branch_rows.get(tx.conn, find_repo(tx.conn, branch.repo).id, branch.name)
    if row is not None and row.head_id is not None:
        head = commit_rows.get_by_id(tx.conn, row.head_id)
        if head.finishing is None:
            write(tx, head, changes)
            return head.handle
    commit = start_commit(tx, branch)
    write(tx, find_commit(tx.conn, commit), changes)
    finish_commit(tx, commit, force=True)
    return commit


def clear_commit(tx: PfsTransaction, commit: Commit) -> None:
    """Undo what was written to an open commit. Raises CommitFinished."""
    row = find_commit(tx.conn, commit)
    if row.finishing is not None:
        raise CommitFinished(commit)
    base = base_row(tx.conn, row)
    commit_rows.set_tree(tx.conn, row.id, None, base.size_bytes if base is not None else 0)


def base_row(conn: sqlite3.Connection, row: CommitRow) -> CommitRow | None:
    """Return the commit whose files this one starts from: the nearest ancestor without an error."""
    while row.parent_id is not None:
        row = commit_rows.get_by_id(conn, row.parent_id)
        if not (row.error and row.finishing):
            return row
    return None


def tree_of(conn: sqlite3.Connection, row: CommitRow) -> TreeRoot:
    """Return the root of the commit's files as they are now. Raises BaseNotFinished when they are not known yet."""
    if row.tree is not None:
        return row.tree
    base = base_row(conn, row)
    if base is None:
        return EMPTY
    if base.finished is None:
        raise BaseNotFinished(base.handle)
    return base.tree if base.tree is not None else EMPTY


def state_of(conn: sqlite3.Connection, row: CommitRow) -> CommitState:
    """Return how far the commit is."""
    if row.finished is not None:
        return CommitState.FINISHED
    if row.finishing is not None:
        return CommitState.FINISHING
    if all(upstream.finished for upstream in commit_rows.direct_provenance(conn, row.id)):
        return CommitState.READY
    return CommitState.STARTED


def list_commits(
    conn: sqlite3.Connection, repo: Repo | None, newest: Commit | None, oldest: Commit | None
) -> Iterator[CommitRow]:
    """Yield the commits of a repo or of all, newest first, or `newest` and its ancestors later than `oldest`.

    Raises RepoNotFound, CommitNotFound, InvalidArgument (`oldest` without `newest`).
    """
    if newest is not None:
        yield from _ancestors(conn, find_commit(conn, newest), oldest)
        return
    if oldest is not None:
        raise InvalidArgument("cannot use `from` commit without `to` commit")
    yield from commit_rows.list_all(conn) if repo is None else commit_rows.list_of_repo(conn, find_repo(conn, repo).id)


def _ancestors(conn: sqlite3.Connection, row: CommitRow, end: Commit | None) -> Iterator[CommitRow]:
    end_id = find_commit(conn, end).id if end is not None else None
    while row.id != end_id:
        yield row
        if row.parent_id is None:
            return
        row = commit_rows.get_by_id(conn, row.parent_id)


def remove(tx: PfsTransaction, row: CommitRow) -> None:
    """Delete a commit; its children and the branches that point to it go to its parent.

    A branch that loses its only commit gets an empty one, as every branch has a head (on an output branch propagation
    opens it).
    """
    for child in commit_rows.children(tx.conn, row.id):
        commit_rows.set_parent(tx.conn, child.id, row.parent_id)
    for branch in branch_rows.with_head(tx.conn, row.id):
        branch_rows.set_head(tx.conn, branch.id, row.parent_id)
        tx.changed_branches[branch.id] = None
        if row.parent_id is None and not branch_rows.direct_provenance(tx.conn, branch.id):
            _refill(tx, branch)
    commit_rows.delete(tx.conn, row.id)
    tx.settled.append(row.handle)


def _refill(tx: PfsTransaction, branch: BranchRow) -> None:
    present = commit_rows.get(tx.conn, branch.repo_id, tx.set_id)
    if present is not None:  # made a moment ago for another branch of the repo
        branch_rows.set_head(tx.conn, branch.id, present.id)
    else:
        create_finished_commit(tx, branch.handle, OriginKind.AUTO)
