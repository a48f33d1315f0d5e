"""Values of the version-controlled file system, as the engine takes and returns them.

Used by pfs itself, by pps above it and by the api, which translates them to and from the messages of `pfs_v2`.
"""

import datetime
import enum
from dataclasses import dataclass

from pdk.pachyderm.values import Branch, Commit, OriginKind, Repo

DEFAULT_PROJECT = "default"
# The datum tag of files a user puts.
DEFAULT_DATUM = "default"


@dataclass(frozen=True)
class CommitHandle:
    """A commit as a client names it, not resolved yet: an id or a branch, either may carry `^`, `~N`, `.N` suffixes."""

    repo: Repo
    id: str = ""
    branch: str = ""


class CommitState(enum.IntEnum):
    """How far a commit is, in order."""

    UNKNOWN = 0
    STARTED = 1
    READY = 2
    FINISHING = 3
    FINISHED = 4


@dataclass(frozen=True)
class CommitInfo:
    """One commit; `branch` is where it was made (stripped by the api), times are aware UTC."""

    commit: Commit
    branch: str
    origin: OriginKind
    started: datetime.datetime
    finishing: datetime.datetime | None = None
    finished: datetime.datetime | None = None
    parent: Commit | None = None
    children: tuple[Commit, ...] = ()
    direct_provenance: tuple[Commit, ...] = ()
    description: str = ""
    error: str = ""
    size_bytes: int = 0


@dataclass(frozen=True)
class BranchInfo:
    """One branch; `head` is None only for a branch of a repo that lost all commits."""

    branch: Branch
    head: Commit | None
    direct_provenance: tuple[Branch, ...] = ()
    provenance: tuple[Branch, ...] = ()
    subvenance: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class RepoInfo:
    """One repo with the names of its branches; size is that of the head of `master`, in bytes."""

    repo: Repo
    created: datetime.datetime
    description: str = ""
    branches: tuple[Branch, ...] = ()
    size_bytes: int = 0


@dataclass(frozen=True)
class ProjectInfo:
    """One project."""

    name: str
    created: datetime.datetime
    description: str = ""


class FileType(enum.IntEnum):
    """Only these two exist; a folder exists because a file lies below it."""

    FILE = 1
    DIR = 2


@dataclass(frozen=True)
class FileInfo:
    """One file or folder: absolute path (a folder's ends with `/`), datum tag, size in bytes, content hash."""

    commit: Commit
    path: str
    type: FileType
    size_bytes: int
    hash: bytes
    datum: str = ""
    committed: datetime.datetime | None = None


@dataclass(frozen=True)
class FileDiff:
    """One difference between two commits: only `new` = added, only `old` = removed, both = changed."""

    new: FileInfo | None
    old: FileInfo | None


@dataclass(frozen=True)
class NewCommit:
    """A commit opened by propagation inside a transaction, handed to pps so that it creates the jobs."""

    commit: Commit
    branch: Branch
    origin: OriginKind
    direct_provenance: tuple[Commit, ...] = ()
