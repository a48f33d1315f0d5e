"""Ids, handles, states and figures that every layer of pachd shares: rows hold them, the api sends them.

The numbers of the states are those on the wire.
"""

import enum
import operator
from dataclasses import astuple, dataclass
from typing import NewType

# The branch that has the spec of a pipeline, the size of a repo, and a bucket named without one.
MASTER = "master"

# Row ids; clients never see them.
RepoId = NewType("RepoId", int)
BranchId = NewType("BranchId", int)
CommitId = NewType("CommitId", int)
# The id that all commits made in one transaction share: 32 hex digits.
CommitSetId = NewType("CommitSetId", str)
# The id of the commit set a job writes.
JobId = NewType("JobId", CommitSetId)
NO_JOB = JobId(CommitSetId(""))
# 64 hex digits that say which files a datum reads.
DatumId = NewType("DatumId", str)
NO_DATUM = DatumId("")
# Project and name.
PipelineKey = tuple[str, str]
# Project, pipeline and job id.
JobKey = tuple[str, str, JobId]


class RepoType(enum.StrEnum):
    """What a repo holds: files of a user or a pipeline, metadata of datums, or the versions of a pipeline's spec."""

    USER = "user"
    META = "meta"
    SPEC = "spec"


@dataclass(frozen=True, order=True)
class Repo:
    """A repo handle; printed `project/name` or `project/name.type`."""

    project: str
    name: str
    type: str = RepoType.USER

    def __str__(self) -> str:
        suffix = "" if self.type == RepoType.USER else f".{self.type}"
        return f"{self.project}/{self.name}{suffix}"


@dataclass(frozen=True, order=True)
class Branch:
    """A branch handle; printed `project/repo@branch`."""

    repo: Repo
    name: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.name}"


@dataclass(frozen=True, order=True)
class Commit:
    """A commit that is known to exist: repo and id (= commit-set id = job id); printed `project/repo@id`."""

    repo: Repo
    id: CommitSetId

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


class OriginKind(enum.IntEnum):
    """Who made a commit."""

    USER = 1
    AUTO = 2
    FSCK = 3


class JobState(enum.IntEnum):
    """How far a job is; `terminal` ones are never left again."""

    JOB_STATE_UNKNOWN = 0
    JOB_CREATED = 1
    JOB_STARTING = 2
    JOB_RUNNING = 3
    JOB_FAILURE = 4
    JOB_SUCCESS = 5
    JOB_KILLED = 6
    JOB_EGRESSING = 7
    JOB_FINISHING = 8
    JOB_UNRUNNABLE = 9

    @property
    def terminal(self) -> bool:
        """True when the job has ended."""
        return self in (JobState.JOB_SUCCESS, JobState.JOB_FAILURE, JobState.JOB_KILLED, JobState.JOB_UNRUNNABLE)


class DatumState(enum.IntEnum):
    """What became of a datum; UNKNOWN only in a dry listing, STARTING until it has ended."""

    UNKNOWN = 0
    FAILED = 1
    SUCCESS = 2
    SKIPPED = 3
    STARTING = 4
    RECOVERED = 5


class PipelineState(enum.IntEnum):
    """The state of a pipeline; pdk derives it from the rows, so it never lags behind them."""

    PIPELINE_STATE_UNKNOWN = 0
    PIPELINE_STARTING = 1
    PIPELINE_RUNNING = 2
    PIPELINE_RESTARTING = 3
    PIPELINE_FAILURE = 4
    PIPELINE_PAUSED = 5
    PIPELINE_STANDBY = 6
    PIPELINE_CRASHING = 7


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """Times in seconds and sizes in bytes, of one datum or summed over a job; the fields are columns of both tables."""

    download_seconds: float = 0.0
    process_seconds: float = 0.0
    upload_seconds: float = 0.0
    download_bytes: int = 0
    upload_bytes: int = 0

    def __add__(self, other: "ProcessStats") -> "ProcessStats":
        """Return the sums."""
        return ProcessStats(*map(operator.add, astuple(self), astuple(other)))
