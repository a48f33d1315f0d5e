"""Between the values of pfs and the messages of `pfs_v2`, both ways. Used by `pfs.py` and `files.py`.

Sub-messages that clients read without asking (pachctl: repo.project, origin, started) are always sent. Commits go out
without their branch, as pachd strips it (`internal/middleware/validation/interceptors.go`).
"""

import datetime
from typing import Any

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs.types import (
    DEFAULT_PROJECT,
    USER,
    Branch,
    BranchInfo,
    Commit,
    CommitHandle,
    CommitInfo,
    CommitState,
    FileDiff,
    FileInfo,
    ProjectInfo,
    Repo,
    RepoInfo,
)


class Messages:
    """Makes the messages pfs answers with."""

    def __init__(self, wire: Wire) -> None:
        self._pfs = wire.pfs

    def repo(self, repo: Repo) -> Any:
        """Make a `pfs_v2.Repo`."""
        return self._pfs.Repo(name=repo.name, type=repo.type, project=self._pfs.Project(name=repo.project))

    def branch(self, branch: Branch) -> Any:
        """Make a `pfs_v2.Branch`."""
        return self._pfs.Branch(repo=self.repo(branch.repo), name=branch.name)

    def commit(self, commit: Commit) -> Any:
        """Make a `pfs_v2.Commit`."""
        return self._pfs.Commit(repo=self.repo(commit.repo), id=commit.id)

    def project_info(self, info: ProjectInfo) -> Any:
        """Make a `pfs_v2.ProjectInfo`."""
        message = self._pfs.ProjectInfo(project=self._pfs.Project(name=info.name), description=info.description)
        message.created_at.FromDatetime(info.created)
        return message

    def repo_info(self, info: RepoInfo) -> Any:
        """Make a `pfs_v2.RepoInfo`."""
        message = self._pfs.RepoInfo(
            repo=self.repo(info.repo),
            description=info.description,
            size_bytes_upper_bound=info.size_bytes,
            branches=[self.branch(branch) for branch in info.branches],
            details=self._pfs.RepoInfoDetails(size_bytes=info.size_bytes),
        )
        message.created.FromDatetime(info.created)
        return message

    def branch_info(self, info: BranchInfo) -> Any:
        """Make a `pfs_v2.BranchInfo`."""
        return self._pfs.BranchInfo(
            branch=self.branch(info.branch),
            head=self.commit(info.head) if info.head is not None else None,
            direct_provenance=[self.branch(branch) for branch in info.direct_provenance],
            provenance=[self.branch(branch) for branch in info.provenance],
            subvenance=[self.branch(branch) for branch in info.subvenance],
        )

    def commit_info(self, info: CommitInfo) -> Any:
        """Make a `pfs_v2.CommitInfo`; details once it is finished."""
        message = self._pfs.CommitInfo(
            commit=self.commit(info.commit),
            origin=self._pfs.CommitOrigin(kind=info.origin.value),
            description=info.description,
            parent_commit=self.commit(info.parent) if info.parent is not None else None,
            child_commits=[self.commit(child) for child in info.children],
            direct_provenance=[self.commit(upstream) for upstream in info.direct_provenance],
            error=info.error,
            size_bytes_upper_bound=info.size_bytes,
        )
        message.started.FromDatetime(info.started)
        if info.finishing is not None:
            message.finishing.FromDatetime(info.finishing)
        if info.finished is not None:
            message.finished.FromDatetime(info.finished)
            message.details.size_bytes = info.size_bytes
        return message

    def file_info(self, info: FileInfo) -> Any:
        """Make a `pfs_v2.FileInfo`."""
        message = self._pfs.FileInfo(
            file=self._pfs.File(commit=self.commit(info.commit), path=info.path, datum=info.datum),
            file_type=info.type.value,
            size_bytes=info.size_bytes,
            hash=info.hash,
        )
        if info.committed is not None:
            message.committed.FromDatetime(info.committed)
        return message

    def file_diff(self, diff: FileDiff) -> Any:
        """Make a `pfs_v2.DiffFileResponse`; a side that is not there is absent."""
        return self._pfs.DiffFileResponse(
            new_file=self.file_info(diff.new) if diff.new is not None else None,
            old_file=self.file_info(diff.old) if diff.old is not None else None,
        )


def require(request: Any, *names: str) -> None:
    """Raise InvalidArgument, in pachd's words, when one of these sub-messages is not there."""
    for name in names:
        if not request.HasField(name):
            kind = request.DESCRIPTOR.name
            raise InvalidArgument(f"validate request: invalid {kind}.{name}: value is required")


def project_of(message: Any) -> str:
    """Return a project's name; an empty one means `default`."""
    return message.name or DEFAULT_PROJECT


def repo_of(message: Any) -> Repo:
    """Return a repo handle; an empty type means `user`. Raises InvalidArgument without a name."""
    if not message.name:
        raise InvalidArgument("validate request: repo name must be specified")
    return Repo(project_of(message.project), message.name, message.type or USER)


def branch_of(message: Any) -> Branch:
    """Return a branch handle. Raises InvalidArgument without a name."""
    if not message.name:
        raise InvalidArgument("branch must be specified")
    return Branch(repo_of(message.repo), message.name)


def commit_of(message: Any) -> CommitHandle:
    """Return what a client names a commit by; its repo may be given twice, and then `commit.repo` counts."""
    repo = message.repo if message.repo.name else message.branch.repo
    return CommitHandle(repo_of(repo), message.id, message.branch.name)


def state_of(value: int) -> CommitState:
    """Return a commit state. Raises InvalidArgument for a number that is none."""
    if value not in [state.value for state in CommitState]:
        raise InvalidArgument(f"validate request: {value} is not a commit state")
    return CommitState(value)


def time_of(request: Any, name: str) -> datetime.datetime | None:
    """Return a Timestamp field as an aware datetime, None when it is not there."""
    if not request.HasField(name):
        return None
    moment: datetime.datetime = getattr(request, name).ToDatetime(datetime.UTC)
    return moment
