"""Pfs: the version-controlled file system, as pps and the api see it.

One object per server, made by `pdk.stack` from a `Database` (with `store.pfs_schema.MIGRATIONS`), a `FileSetStorage` and
the server's `Changes`. Mirrors the driver of pachd's `src/server/pfs/server`. Changes of repos, branches and commits go
through `transaction()`; files through `file_writer` and `modify_file`; everything else only reads. Every method raises
the errors of `pdk.pachyderm.errors`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pdk.base import ids
from pdk.db.database import Database
from pdk.pachyderm.pfs import commit_sets, handles, listing
from pdk.pachyderm.pfs.infos import (
    branch_info,
    commit_info,
    commit_of,
    find_branch,
    find_commit,
    find_project,
    find_repo,
    project_info,
    repo_info,
)
from pdk.pachyderm.pfs.transaction import OnPropagate, PfsTransaction
from pdk.pachyderm.pfs.types import (
    DEFAULT_PROJECT,
    Branch,
    BranchInfo,
    Commit,
    CommitHandle,
    CommitInfo,
    CommitState,
    ProjectInfo,
    Repo,
    RepoInfo,
)
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store import repos as repo_rows
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage

logger = logging.getLogger(__name__)


class Pfs:
    """Projects, repos, branches, commits and files."""

    def __init__(self, db: Database, storage: FileSetStorage, changes: Changes) -> None:
        """Serve what is in `db` and `storage`; makes the project `default` when it is missing."""
        self.db = db
        self.storage = storage
        self.changes = changes
        self.on_propagate: list[OnPropagate] = []
        """Called inside the transaction with the commits that propagation opened (possibly none)."""
        self.on_finished: list[Callable[[Commit], None]] = []
        """Called after the transaction in which a commit reached FINISHED or was deleted; only a signal."""
        with self.transaction() as tx:
            if repo_rows.get_project(tx.conn, DEFAULT_PROJECT) is None:
                tx.create_project(DEFAULT_PROJECT)

    # Changes

    @contextmanager
    def transaction(self, set_id: str | None = None) -> Iterator[PfsTransaction]:
        """Yield one state change whose commits carry `set_id` (a new id by default); rolled back on any exception.

        It joins a surrounding `db.transaction()`, but is its own commit set.
        """
        with self.db.transaction() as conn:
            tx = PfsTransaction(conn, self.storage, set_id or ids.new_id(), self.on_propagate)
            yield tx
            tx.propagate()
            settled = list(tx.settled)
            self.db.after_commit(lambda: self._signal(settled))

    def _signal(self, settled: Sequence[Commit]) -> None:
        self.changes.notify()
        for commit in settled:
            for callback in self.on_finished:
                callback(commit)

    # Projects, repos and branches

    def inspect_project(self, name: str) -> ProjectInfo:
        """Describe a project. Raises ProjectNotFound."""
        with self.db.read() as conn:
            return project_info(find_project(conn, name))

    def list_project(self) -> list[ProjectInfo]:
        """Describe all projects in order of creation."""
        with self.db.read() as conn:
            return [project_info(row) for row in repo_rows.list_projects(conn)]

    def inspect_repo(self, repo: Repo) -> RepoInfo:
        """Describe a repo. Raises RepoNotFound."""
        with self.db.read() as conn:
            return repo_info(conn, find_repo(conn, repo))

    def list_repo(self, type_: str = "", projects: Sequence[str] = ()) -> list[RepoInfo]:
        """Describe the repos of one type ("" = all) in some projects (none = all), newest first."""
        with self.db.read() as conn:
            rows = repo_rows.list_all(conn, type_=type_)
            return [repo_info(conn, row) for row in rows if not projects or row.project in projects]

    def inspect_branch(self, branch: Branch) -> BranchInfo:
        """Describe a branch. Raises RepoNotFound, BranchNotFound."""
        with self.db.read() as conn:
            return branch_info(conn, find_branch(conn, branch))

    def list_branch(self, repo: Repo | None = None, reverse: bool = False) -> list[BranchInfo]:
        """Describe the branches of a repo (None = of all), newest first, or oldest first with `reverse`."""
        with self.db.read() as conn:
            rows = (
                branch_rows.list_all(conn) if repo is None else branch_rows.list_of_repo(conn, find_repo(conn, repo).id)
            )
            infos = [branch_info(conn, row) for row in rows]
        return infos[::-1] if reverse else infos

    # Commits

    def resolve(self, handle: CommitHandle) -> Commit:
        """Return the commit that `handle` means, see `handles.resolve`."""
        with self.db.read() as conn:
            return commit_of(handles.resolve(conn, handle))

    def inspect_commit(self, commit: Commit) -> CommitInfo:
        """Describe a commit. Raises RepoNotFound, CommitNotFound."""
        with self.db.read() as conn:
            return commit_info(conn, find_commit(conn, commit))

    def commit_state(self, commit: Commit) -> CommitState:
        """Return how far a commit is. Raises RepoNotFound, CommitNotFound."""
        with self.db.read() as conn:
            return listing.state(conn, commit)

    def wait_commit(
        self,
        commit: Commit,
        state: CommitState,
        timeout: float | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> CommitInfo:
        """Block until a commit is in `state` or beyond, `timeout` seconds passed, or `cancelled()`; describe it as it is then.

        Raises CommitNotFound, CommitDeleted when it goes away meanwhile, Unavailable when the server stops.
        """
        return listing.wait_commit(self.db, self.changes, commit, state, timeout, cancelled)

    def list_commit(
        self,
        repo: Repo | None = None,
        newest: Commit | None = None,
        oldest: Commit | None = None,
        reverse: bool = False,
    ) -> list[CommitInfo]:
        """Describe commits, newest first (oldest first with `reverse`): of a repo or of all, or the ancestors of `newest`.

        `oldest` ends the walk from `newest` and is left out. Raises RepoNotFound, CommitNotFound, InvalidArgument.
        """
        with self.db.read() as conn:
            infos = [commit_info(conn, row) for row in listing.list_commit(conn, repo, newest, oldest)]
        return infos[::-1] if reverse else infos

    def subscribe_commit(
        self,
        repo: Repo,
        branch: str = "",
        after: Commit | None = None,
        state: CommitState = CommitState.STARTED,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[CommitInfo]:
        """Yield the commits of a repo (of one branch, when named), oldest first, each once it is in `state`, then new ones.

        Ends when `cancelled()` or the server stops. `after`: only commits made later than this one.
        """
        return listing.subscribe_commit(self.db, self.changes, repo, branch, after, state, cancelled)

    def commit_set(self, set_id: str) -> list[CommitInfo]:
        """Describe the commits of a set and the older ones they come from, inputs first. Raises CommitSetNotFound."""
        with self.db.read() as conn:
            return [commit_info(conn, row) for row in commit_sets.list_with_provenance(conn, set_id)]

    def list_commit_set(self, project: str = "") -> list[tuple[str, list[CommitInfo]]]:
        """Return (id, its own commits) of every commit set that touches `project` ("" = any), newest first."""
        with self.db.read() as conn:
            return [
                (set_id, [commit_info(conn, row) for row in commit_rows.list_of_set(conn, set_id)])
                for set_id in commit_rows.list_set_ids(conn, project)
            ]

    def provenance(self, commit: Commit) -> list[Commit]:
        """Return every commit this one comes from, directly or not, oldest first."""
        with self.db.read() as conn:
            return [commit_of(row) for row in commit_rows.provenance(conn, find_commit(conn, commit).id)]

    def subvenance(self, commit: Commit) -> list[Commit]:
        """Return every commit that comes from this one, directly or not, oldest first."""
        with self.db.read() as conn:
            return [commit_of(row) for row in commit_rows.subvenance(conn, find_commit(conn, commit).id)]
