"""Errors of pfs, each below one category of `pdk.base.errors`, with the texts clients match on.

Mirrors `src/server/pfs/pfs.go` of pachd. The arguments are the handles of `pfs.types` (only their text is used).

    NotFound             ProjectNotFound RepoNotFound BranchNotFound CommitNotFound CommitDeleted CommitSetNotFound
                         FileNotFound
    AlreadyExists        ProjectExists RepoExists BranchExists CommitExists
    Internal             CommitFinished ParentNotFinished OutputBranch OutputCommit (UNKNOWN on the wire)
    Unavailable          BaseNotFinished
    FailedPrecondition   ProjectNotEmpty RepoInUse BranchInUse CommitInUse
    InvalidArgument      InvalidName InvalidPath InvalidGlob InvalidProvenance
"""

from pdk.base.errors import AlreadyExists, FailedPrecondition, Internal, InvalidArgument, NotFound, Unavailable


class ProjectNotFound(NotFound):
    """No such project."""

    def __init__(self, name: str) -> None:
        super().__init__(f'project "{name}" not found')


class RepoNotFound(NotFound):
    """No such repo."""

    def __init__(self, repo: object) -> None:
        super().__init__(f"repo {repo} not found")


class BranchNotFound(NotFound):
    """The repo has no such branch."""

    def __init__(self, repo: object, name: str) -> None:
        super().__init__(f'branch "{name}" not found in repo {repo}')


class CommitNotFound(NotFound):
    """The repo has no such commit, nor has the commit set one of it in its provenance."""

    def __init__(self, repo: object, text: str) -> None:
        super().__init__(f"commit {repo}@{text} not found")


class CommitDeleted(NotFound):
    """The commit went away while it was waited for."""

    def __init__(self, commit: object) -> None:
        super().__init__(f"commit {commit} was deleted")


class CommitSetNotFound(NotFound):
    """No commit has this id."""

    def __init__(self, set_id: str) -> None:
        super().__init__(f"no commits found for commitset {set_id}")


class FileNotFound(NotFound):
    """The commit has no such file or folder."""

    def __init__(self, path: str, repo: object, commit_id: str) -> None:
        super().__init__(f"file {path} not found in repo {repo} at commit {commit_id}")


class ProjectExists(AlreadyExists):
    """The project name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"project {name} already exists")


class RepoExists(AlreadyExists):
    """The repo name is taken in its project."""

    def __init__(self, repo: object) -> None:
        super().__init__(f"repo {repo} already exists")


class CommitExists(AlreadyExists):
    """The repo already has a commit in this commit set."""

    def __init__(self, commit: object) -> None:
        super().__init__(f"commit {commit} already exists: a commit set holds one commit per repo")


class CommitFinished(Internal):
    """The commit is closed for writing."""

    def __init__(self, commit: object) -> None:
        super().__init__(f"commit {commit} has already finished")


class ParentNotFinished(Internal):
    """A commit may only be started on a finished one."""

    def __init__(self, commit: object) -> None:
        super().__init__(f"parent commit {commit} has not been finished")


class OutputBranch(Internal):
    """Only its pipeline starts commits on an output branch."""

    def __init__(self, branch: object) -> None:
        super().__init__(f"cannot start a commit on an output branch: {branch}")


class OutputCommit(Internal):
    """Only its pipeline finishes an output commit."""

    def __init__(self) -> None:
        super().__init__("cannot finish a pipeline output or meta commit, use 'stop job' instead")


class BaseNotFinished(Unavailable):
    """What the commit builds on is still open, so its files are not known yet."""

    def __init__(self, commit: object) -> None:
        super().__init__(f"base commit {commit} unfinished")


class ProjectNotEmpty(FailedPrecondition):
    """The project still holds repos."""

    def __init__(self, name: str, repos: str) -> None:
        super().__init__(f"cannot delete project {name}: it still holds repos: {repos}")


class RepoInUse(FailedPrecondition):
    """Something depends on the repo."""


class BranchInUse(FailedPrecondition):
    """Other branches come from this one."""


class CommitInUse(FailedPrecondition):
    """Other commits come from this one, or it holds data that no other commit has."""


class InvalidName(InvalidArgument):
    """A project, repo or branch name with characters the original forbids."""


class InvalidPath(InvalidArgument):
    """A file path the original forbids."""


class InvalidGlob(InvalidArgument):
    """A glob pattern that does not parse."""


class InvalidProvenance(InvalidArgument):
    """Branches that cannot come from each other: a cycle, or two branches of one repo in one graph."""
