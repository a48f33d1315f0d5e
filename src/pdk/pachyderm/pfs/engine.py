"""Pfs: the version-controlled file system, as pps and the api see it.

One object per server, made by `pdk.stack` from a `Database` (with `store.pfs_schema.MIGRATIONS`), a `FileSetStorage`
and the server's `Changes`. Mirrors the driver of pachd's `src/server/pfs/server`. Changes of repos, branches and
commits go through `transaction()`; files through `file_writer` and `modify_file`; everything else only reads. Every
method raises the errors of `pdk.pachyderm.errors`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pdk.base import clock, ids
from pdk.base.errors import Unavailable
from pdk.db.database import Database
from pdk.pachyderm.errors import CommitDeleted, CommitFinished, CommitNotFound, RepoNotFound
from pdk.pachyderm.pfs import commit_sets, commits, handles, propagation, repos
from pdk.pachyderm.pfs.files import Files
from pdk.pachyderm.pfs.infos import (
    branch_info,
    commit_info,
    find_branch,
    find_commit,
    find_project,
    find_repo,
    project_info,
    repo_info,
)
from pdk.pachyderm.pfs.names import check_name, is_name
from pdk.pachyderm.pfs.propagation import OnPropagate
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.pfs.types import (
    DEFAULT_PROJECT,
    BranchInfo,
    CommitHandle,
    CommitInfo,
    CommitState,
    FileDiff,
    ProjectInfo,
    RepoInfo,
)
from pdk.pachyderm.pfs.writer import FileWriter
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store import repos as repo_rows
from pdk.pachyderm.values import Branch, Commit, CommitId, CommitSetId, Repo
from pdk.reconcile.changes import Changes
from pdk.storage import garbage
from pdk.storage.filesets import FileSetStorage
from pdk.storage.writer import FileSetWriter

# How often a subscription looks by itself, should a change ever go untold.
SUBSCRIPTION_LOOK_SECONDS = 5.0


class Pfs:
    """Projects, repos, branches, commits and files."""

    def __init__(self, db: Database, storage: FileSetStorage, changes: Changes) -> None:
        """Serve what is in `db` and `storage`; makes the project `default` when it is missing."""
        self.db = db
        self.storage = storage
        self.changes = changes
        # Called inside the transaction with the commits that propagation opened (possibly none).
        self.on_propagate: list[OnPropagate] = []
        # Called after the transaction in which a commit reached FINISHED or was deleted; only a signal.
        self.on_finished: list[Callable[[Commit], None]] = []
        with self.transaction() as tx:
            if repo_rows.get_project(tx.conn, DEFAULT_PROJECT) is None:
                repos.create_project(tx, DEFAULT_PROJECT)

    # Changes

    @contextmanager
    def transaction(self, set_id: CommitSetId | None = None) -> Iterator[PfsTransaction]:
        """Yield one state change whose commits carry `set_id` (a new id by default); rolled back on any exception.

        It joins a surrounding `db.transaction()`, but is its own commit set.
        """
        with self.db.transaction() as conn:
            tx = PfsTransaction(conn, self.storage, set_id or CommitSetId(ids.new_id()))
            yield tx
            propagation.propagate(tx, self.on_propagate)
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
            return [repo_info(conn, row) for row in rows if not projects or row.repo.project in projects]

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
            return handles.resolve(conn, handle).handle

    def inspect_commit(self, commit: Commit) -> CommitInfo:
        """Describe a commit. Raises RepoNotFound, CommitNotFound."""
        with self.db.read() as conn:
            return commit_info(conn, find_commit(conn, commit))

    def commit_state(self, commit: Commit) -> CommitState:
        """Return how far a commit is. Raises RepoNotFound, CommitNotFound."""
        with self.db.read() as conn:
            return commits.state_of(conn, find_commit(conn, commit))

    def wait_commit(
        self,
        commit: Commit,
        state: CommitState,
        timeout: float | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> CommitInfo:
        """Wait until a commit is in `state` or beyond, `timeout` seconds passed, or `cancelled()`; describe it then.

        Raises CommitNotFound, CommitDeleted when it goes away meanwhile, Unavailable when the server stops.
        """

        def look() -> tuple[CommitInfo, CommitState]:
            with self.db.read() as conn:
                row = find_commit(conn, commit)
                return commit_info(conn, row), commits.state_of(conn, row)

        def reached() -> bool:
            try:
                latest[:] = [look()]
            except (CommitNotFound, RepoNotFound) as error:
                raise CommitDeleted(commit) from error
            return latest[0][1] >= state or cancelled()

        latest = [look()]
        if latest[0][1] < state:
            self.changes.wait_for(reached, timeout)
        info, present = latest[0]
        if present < state and self.changes.closed:
            raise Unavailable(f"the server is stopping; commit {commit} is {present.name}, not yet {state.name}")
        return info

    def list_commit(
        self,
        repo: Repo | None = None,
        newest: Commit | None = None,
        oldest: Commit | None = None,
        reverse: bool = False,
    ) -> list[CommitInfo]:
        """Describe commits, newest first unless `reverse`: of a repo or of all, or `newest` and its ancestors.

        `oldest` ends the walk from `newest` and is left out. Raises RepoNotFound, CommitNotFound, InvalidArgument.
        """
        with self.db.read() as conn:
            infos = [commit_info(conn, row) for row in commits.list_commits(conn, repo, newest, oldest)]
        return infos[::-1] if reverse else infos

    def subscribe_commit(
        self,
        repo: Repo,
        branch: str = "",
        after: Commit | None = None,
        state: CommitState = CommitState.STARTED,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[CommitInfo]:
        """Yield the commits of a repo, perhaps of one branch, oldest first, each once it is in `state`, then new ones.

        Ends when `cancelled()` or the server stops. `after`: only commits made later than this one.
        """
        with self.db.read() as conn:
            find_repo(conn, repo)
            seen = find_commit(conn, after).id if after is not None else CommitId(0)
        while True:
            version = self.changes.version
            with self.db.read() as conn:
                rows = commit_rows.list_newer(conn, find_repo(conn, repo).id, seen)
            for row in rows:
                seen = row.id
                if branch and row.branch != branch:
                    continue
                try:
                    info = self.wait_commit(row.handle, state, None, cancelled)
                except CommitNotFound:
                    continue
                if cancelled() or self.changes.closed:
                    return
                yield info
            if cancelled() or self.changes.closed:
                return
            self.changes.wait_newer(version, SUBSCRIPTION_LOOK_SECONDS)

    def commit_set(self, set_id: CommitSetId) -> list[CommitInfo]:
        """Describe the commits of a set and the older ones they come from, inputs first. Raises CommitSetNotFound."""
        with self.db.read() as conn:
            return [commit_info(conn, row) for row in commit_sets.list_with_provenance(conn, set_id)]

    def list_commit_set(self, project: str = "") -> list[tuple[CommitSetId, list[CommitInfo]]]:
        """Return (id, its own commits) of every commit set that touches `project` ("" = any), newest first."""
        with self.db.read() as conn:
            return [
                (set_id, [commit_info(conn, row) for row in commit_rows.list_of_set(conn, set_id)])
                for set_id in commit_rows.list_set_ids(conn, project)
            ]

    def provenance(self, commit: Commit) -> list[Commit]:
        """Return every commit this one comes from, directly or not, oldest first."""
        with self.db.read() as conn:
            return [row.handle for row in commit_rows.provenance(conn, find_commit(conn, commit).id)]

    # Files

    def files(self, commit: Commit, cancelled: Callable[[], bool] = lambda: False) -> Files:
        """Return the files of a commit as they are now; waits while the commit is FINISHING.

        An open commit has its base's files and what was written to it so far. Raises CommitNotFound, BaseNotFinished.
        """
        if self.commit_state(commit) is CommitState.FINISHING:
            self.wait_commit(commit, CommitState.FINISHED, None, cancelled)
        with self.db.read() as conn:
            row = find_commit(conn, commit)
            committed = clock.from_rfc3339(row.finishing) if row.finishing else None
            return Files(self.storage, commit, commits.tree_of(conn, row), committed)

    def diff_file(self, new: Commit, path: str, old: Commit | None = None, old_path: str = "") -> Iterator[FileDiff]:
        """Yield what differs between two commits below `path`, see `Files.diff`.

        Without `old` it is the parent of `new` (none: everything is new); without `old_path` it is the same path.
        """
        if old is None:
            old = self.inspect_commit(new).parent
        return self.files(new).diff(path, self.files(old) if old is not None else None, old_path or path)

    def file_writer(self, commit: Commit) -> FileWriter:
        """Return a writer to an open commit. Raises CommitNotFound, CommitFinished; its `close` BaseNotFinished."""
        if self.commit_state(commit) >= CommitState.FINISHING:
            raise CommitFinished(commit)

        def apply(changes: FileSetWriter) -> Commit:
            with self.transaction() as tx:
                commits.write(tx, find_commit(tx.conn, commit), changes)
            return commit

        return FileWriter(FileSetWriter(self.storage), apply)

    def modify_file(self, handle: CommitHandle) -> FileWriter:
        """Return a writer to what a client names: an open commit, or a branch.

        A branch whose head is finished, or that does not exist, gets a new commit, finished with the writing, when the
        writer is closed. Raises RepoNotFound, CommitNotFound, CommitFinished, OutputBranch.
        """
        if handle.id and (ids.is_id(handle.id) or not is_name(handle.id)):
            return self.file_writer(self.resolve(handle))
        branch = Branch(handle.repo, handle.id or handle.branch)
        self.inspect_repo(handle.repo)
        check_name(branch.name)

        def apply(changes: FileSetWriter) -> Commit:
            with self.transaction() as tx:
                return commits.write_branch(tx, branch, changes)

        return FileWriter(FileSetWriter(self.storage), apply)

    def collect_garbage(self) -> garbage.Collected:
        """Delete the chunks and tree pages that no commit, writer or reader needs; cheap enough for once an hour."""
        return garbage.collect(self.storage, commit_rows.trees)
