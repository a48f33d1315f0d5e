"""Between the values of pfs and the messages of `pfs_v2`, both ways. Used by `pfs.py` and `files.py`.

Sub-messages that clients read without asking (pachctl: repo.project, origin, started) are always sent. Commits go out
without their branch, as pachd strips it (`internal/middleware/validation/interceptors.go`).
"""

from typing import Any

from pachyderm_sdk.api import pfs

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.api.fields import has, maybe, set_time
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs import types
from pdk.pachyderm.pfs.types import DEFAULT_PROJECT, CommitHandle, CommitState
from pdk.pachyderm.values import Branch, Commit, Repo, RepoType


class Messages:
    """Makes the messages pfs answers with."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def repo(self, repo: Repo) -> pfs.Repo:
        """Make a `pfs_v2.Repo`."""
        project = self._wire[pfs.Project](name=repo.project)
        return self._wire[pfs.Repo](name=repo.name, type=repo.type, project=project)

    def branch(self, branch: Branch) -> pfs.Branch:
        """Make a `pfs_v2.Branch`."""
        return self._wire[pfs.Branch](repo=self.repo(branch.repo), name=branch.name)

    def commit(self, commit: Commit) -> pfs.Commit:
        """Make a `pfs_v2.Commit`."""
        return self._wire[pfs.Commit](repo=self.repo(commit.repo), id=commit.id)

    def project_info(self, info: types.ProjectInfo) -> pfs.ProjectInfo:
        """Make a `pfs_v2.ProjectInfo`."""
        project = self._wire[pfs.Project](name=info.name)
        message = self._wire[pfs.ProjectInfo](project=project, description=info.description)
        set_time(message, "created_at", info.created)
        return message

    def repo_info(self, info: types.RepoInfo) -> pfs.RepoInfo:
        """Make a `pfs_v2.RepoInfo`."""
        message = self._wire[pfs.RepoInfo](
            repo=self.repo(info.repo),
            description=info.description,
            size_bytes_upper_bound=info.size_bytes,
            branches=[self.branch(branch) for branch in info.branches],
            details=self._wire[pfs.RepoInfoDetails](size_bytes=info.size_bytes),
        )
        set_time(message, "created", info.created)
        return message

    def branch_info(self, info: types.BranchInfo) -> pfs.BranchInfo:
        """Make a `pfs_v2.BranchInfo`."""
        return self._wire[pfs.BranchInfo](
            branch=self.branch(info.branch),
            head=maybe(self.commit, info.head),
            direct_provenance=[self.branch(branch) for branch in info.direct_provenance],
            provenance=[self.branch(branch) for branch in info.provenance],
            subvenance=[self.branch(branch) for branch in info.subvenance],
        )

    def commit_info(self, info: types.CommitInfo) -> pfs.CommitInfo:
        """Make a `pfs_v2.CommitInfo`; details once it is finished."""
        message = self._wire[pfs.CommitInfo](
            commit=self.commit(info.commit),
            origin=self._wire[pfs.CommitOrigin](kind=pfs.OriginKind(info.origin)),
            description=info.description,
            parent_commit=maybe(self.commit, info.parent),
            child_commits=[self.commit(child) for child in info.children],
            direct_provenance=[self.commit(upstream) for upstream in info.direct_provenance],
            error=info.error,
            size_bytes_upper_bound=info.size_bytes,
        )
        set_time(message, "started", info.started)
        set_time(message, "finishing", info.finishing)
        set_time(message, "finished", info.finished)
        if info.finished is not None:
            message.details.size_bytes = info.size_bytes
        return message

    def file_info(self, info: types.FileInfo) -> pfs.FileInfo:
        """Make a `pfs_v2.FileInfo`."""
        message = self._wire[pfs.FileInfo](
            file=self._wire[pfs.File](commit=self.commit(info.commit), path=info.path, datum=info.datum),
            file_type=pfs.FileType(info.type),
            size_bytes=info.size_bytes,
            hash=info.hash,
        )
        set_time(message, "committed", info.committed)
        return message

    def file_diff(self, diff: types.FileDiff) -> pfs.DiffFileResponse:
        """Make a `pfs_v2.DiffFileResponse`; a side that is not there is absent."""
        return self._wire[pfs.DiffFileResponse](
            new_file=maybe(self.file_info, diff.new), old_file=maybe(self.file_info, diff.old)
        )


def require(request: Any, *names: str) -> None:
    """Raise InvalidArgument, in pachd's words, when one of these sub-messages is not there."""
    for name in names:
        if not has(request, name):
            kind = request.DESCRIPTOR.name
            raise InvalidArgument(f"validate request: invalid {kind}.{name}: value is required")


def project_of(message: pfs.Project) -> str:
    """Return a project's name; an empty one means `default`."""
    return message.name or DEFAULT_PROJECT


def repo_of(message: pfs.Repo) -> Repo:
    """Return a repo handle; an empty type means `user`. Raises InvalidArgument without a name."""
    if not message.name:
        raise InvalidArgument("validate request: repo name must be specified")
    return Repo(project_of(message.project), message.name, message.type or RepoType.USER)


def branch_of(message: pfs.Branch) -> Branch:
    """Return a branch handle. Raises InvalidArgument without a name."""
    if not message.name:
        raise InvalidArgument("branch must be specified")
    return Branch(repo_of(message.repo), message.name)


def commit_of(message: pfs.Commit) -> CommitHandle:
    """Return what a client names a commit by; its repo may be given twice, and then `commit.repo` counts."""
    repo = message.repo if message.repo.name else message.branch.repo
    return CommitHandle(repo_of(repo), message.id, message.branch.name)


def state_of(value: int) -> CommitState:
    """Return a commit state. Raises InvalidArgument for a number that is none."""
    if value not in [state.value for state in CommitState]:
        raise InvalidArgument(f"validate request: {value} is not a commit state")
    return CommitState(value)
