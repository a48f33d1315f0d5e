"""List, wait for and follow commits; mirrors `listCommit`, `inspectCommit(wait)` and `subscribeCommit` of pachd."""

import sqlite3
from collections.abc import Callable, Iterator

from pdk.base.errors import InvalidArgument, Unavailable
from pdk.db.database import Database
from pdk.pachyderm.errors import CommitDeleted, CommitNotFound, RepoNotFound
from pdk.pachyderm.pfs.commits import state_of
from pdk.pachyderm.pfs.infos import commit_info, find_commit, find_repo
from pdk.pachyderm.pfs.types import CommitInfo, CommitState
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store.commits import CommitRow
from pdk.pachyderm.values import Commit, CommitId, Repo
from pdk.reconcile.changes import Changes


def state(conn: sqlite3.Connection, commit: Commit) -> CommitState:
    """See `Pfs.commit_state`."""
    return state_of(conn, find_commit(conn, commit))


def wait_commit(
    db: Database,
    changes: Changes,
    commit: Commit,
    wanted: CommitState,
    timeout: float | None,
    cancelled: Callable[[], bool],
) -> CommitInfo:
    """See `Pfs.wait_commit`."""

    def look() -> tuple[CommitInfo, CommitState]:
        with db.read() as conn:
            row = find_commit(conn, commit)
            return commit_info(conn, row), state_of(conn, row)

    def reached() -> bool:
        try:
            latest.append(look())
        except (CommitNotFound, RepoNotFound) as error:
            raise CommitDeleted(commit) from error
        del latest[:-1]
        return latest[-1][1] >= wanted or cancelled()

    latest = [look()]
    if latest[-1][1] < wanted:
        changes.wait_for(reached, timeout)
    info, present = latest[-1]
    if present < wanted and changes.closed:
        raise Unavailable(f"the server is stopping; commit {commit} is {present.name}, not yet {wanted.name}")
    return info


def list_commit(
    conn: sqlite3.Connection, repo: Repo | None, newest: Commit | None, oldest: Commit | None
) -> Iterator[CommitRow]:
    """Yield commit rows, newest first; see `Pfs.list_commit`."""
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


def subscribe_commit(
    db: Database,
    changes: Changes,
    repo: Repo,
    branch: str,
    after: Commit | None,
    wanted: CommitState,
    cancelled: Callable[[], bool],
) -> Iterator[CommitInfo]:
    """See `Pfs.subscribe_commit`."""
    with db.read() as conn:
        find_repo(conn, repo)
        seen = find_commit(conn, after).id if after is not None else CommitId(0)
    while True:
        version = changes.version
        with db.read() as conn:
            rows = commit_rows.list_newer(conn, find_repo(conn, repo).id, seen)
        for row in rows:
            seen = row.id
            if branch and row.branch != branch:
                continue
            try:
                info = wait_commit(db, changes, row.handle, wanted, None, cancelled)
            except CommitNotFound:
                continue
            if cancelled() or changes.closed:
                return
            yield info
        if cancelled() or changes.closed:
            return
        changes.wait_newer(version, 5.0)
