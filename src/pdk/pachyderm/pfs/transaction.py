"""One state change of pfs: everything a client call does to repos, branches and commits, in one SQLite transaction.

All commits made in it carry one commit-set id. At its end (before COMMIT) branches downstream of a changed one get their
new commits and pps is told of them. Made by `Pfs.transaction`; used by pps and by the api through `Pfs`. Mirrors
`transactionenv/txncontext` of pachd. The work is done by the modules of the same names: repos, branches, commits,
commit_sets, propagation.
"""

import sqlite3
from collections.abc import Callable, Sequence

from pdk.base import clock
from pdk.pachyderm.pfs import branches, commit_sets, commits, propagation, repos
from pdk.pachyderm.pfs.types import Branch, Commit, NewCommit, OriginKind, Repo
from pdk.storage.filesets import FileSetStorage

OnPropagate = Callable[["PfsTransaction", Sequence[NewCommit]], None]


class PfsTransaction:
    """The changes of one transaction; `conn` is the writing connection, `set_id` the id of every commit made in it."""

    def __init__(
        self, conn: sqlite3.Connection, storage: FileSetStorage, set_id: str, on_propagate: Sequence[OnPropagate]
    ) -> None:
        self.conn = conn
        self.storage = storage
        self.set_id = set_id
        self.now = clock.rfc3339_now()
        self.changed_branches: dict[int, None] = {}
        """Row ids of branches whose head or provenance changed since the last propagation."""
        self.forced_branches: set[int] = set()
        """Those of them that get a new commit whatever their head comes from."""
        self.settled: list[Commit] = []
        """Commits that reached FINISHED or were deleted."""
        self._on_propagate = on_propagate

    def create_project(self, name: str, description: str = "", update: bool = False) -> None:
        """Add a project, or change its description with `update`. Raises ProjectExists, InvalidName."""
        repos.create_project(self, name, description, update)

    def delete_project(self, name: str, force: bool = False) -> None:
        """Remove a project; with `force` also its repos. Raises ProjectNotFound, ProjectNotEmpty."""
        repos.delete_project(self, name, force)

    def create_repo(self, repo: Repo, description: str = "", update: bool = False) -> None:
        """Add a repo, or change its description with `update`. Raises RepoExists, ProjectNotFound, InvalidName."""
        repos.create_repo(self, repo, description, update)

    def delete_repo(self, repo: Repo, force: bool = False, pipeline: bool = False) -> bool:
        """Remove a repo with all that is in it (a user repo also with its `.meta` and `.spec`); False when there is none.

        `pipeline`: the caller is deleting the pipeline the repo belongs to. Raises RepoInUse.
        """
        return repos.delete_repo(self, repo, force, pipeline)

    def create_branch(
        self, branch: Branch, head: Commit | None = None, direct_provenance: Sequence[Branch] = ()
    ) -> None:
        """Add a branch, move its head, or change what it comes from.

        Without `head` a new branch gets an empty finished AUTO commit, or, when it has provenance, an open one at the
        end of the transaction. Changed provenance also gives a new output commit, except when it becomes empty.
        Raises RepoNotFound, BranchNotFound (upstream), CommitNotFound, InvalidProvenance, InvalidName.
        """
        branches.create_branch(self, branch, head, direct_provenance)

    def delete_branch(self, branch: Branch, force: bool = False) -> None:
        """Remove a branch; its commits stay. Raises BranchNotFound, BranchInUse (unless `force`)."""
        branches.delete_branch(self, branch, force)

    def start_commit(
        self,
        branch: Branch,
        parent: Commit | None = None,
        description: str = "",
        origin: OriginKind = OriginKind.USER,
        direct_provenance: Sequence[Commit] = (),
    ) -> Commit:
        """Open a commit on a branch (made when missing), child of `parent` or else of the branch's head.

        Raises RepoNotFound, CommitNotFound (parent), ParentNotFinished, CommitExists (this set has one in the repo),
        OutputBranch (origin USER on a branch with provenance).
        """
        return commits.start_commit(self, branch, parent, description, origin, direct_provenance)

    def finish_commit(self, commit: Commit, error: str = "", force: bool = False, description: str = "") -> None:
        """Close a commit for writing; `error` marks it bad, so that later commits do not build on it.

        It is FINISHED at once when all it comes from is, otherwise as soon as that happens. Raises CommitFinished, and
        OutputCommit without `force` when the commit is a pipeline's.
        """
        commits.finish_commit(self, commit, error, force, description)

    def create_finished_commit(
        self, branch: Branch, origin: OriginKind = OriginKind.USER, description: str = ""
    ) -> Commit:
        """Start and finish a commit that changes nothing: what pps writes to a spec branch."""
        commit = self.start_commit(branch, description=description, origin=origin)
        self.finish_commit(commit, force=True)
        return commit

    def clear_commit(self, commit: Commit) -> None:
        """Undo what was written to an open commit. Raises CommitFinished."""
        commits.clear_commit(self, commit)

    def drop_commit_set(self, set_id: str) -> None:
        """Remove the commits of a set and what they added. Raises CommitSetNotFound, CommitInUse."""
        commit_sets.drop_commit_set(self, set_id)

    def squash_commit_set(self, set_id: str) -> None:
        """Remove the commits of a set; what they added stays in their children. Raises CommitSetNotFound, CommitInUse."""
        commit_sets.squash_commit_set(self, set_id)

    def drop_commit(self, commit: Commit, recursive: bool = False) -> None:
        """Remove a commit and what it added; `recursive`: with all that builds on it or comes from it. Raises CommitInUse."""
        commit_sets.drop_commit(self, commit, recursive)

    def squash_commit(self, commit: Commit, recursive: bool = False) -> None:
        """Remove a commit, what it added stays in its children; `recursive`: with all that comes from it. Raises CommitInUse."""
        commit_sets.squash_commit(self, commit, recursive)

    def propagate(self) -> None:
        """Open the commits that the changes so far call for downstream and tell pps; the end of the transaction does it too."""
        while self.changed_branches:
            changed, self.changed_branches = list(self.changed_branches), {}
            new_commits = propagation.propagate_branches(self, changed)
            for callback in self._on_propagate:
                callback(self, new_commits)
