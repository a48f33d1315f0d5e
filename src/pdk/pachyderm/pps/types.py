"""Values of the pipeline system, as the engine takes and returns them.

Used by pps and by `api/pps.py`, which translates them to and from the messages of `pps_v2`.
"""

import datetime
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pdk.pachyderm.pfs.types import FileInfo
from pdk.pachyderm.values import (
    NO_DATUM,
    NO_JOB,
    Branch,
    Commit,
    DatumId,
    DatumState,
    JobId,
    JobKey,
    JobState,
    PipelineKey,
    PipelineState,
    ProcessStats,
    Repo,
    RepoType,
)

# A JSON object as the standard library decodes it.
Json = dict[str, Any]


@dataclass(frozen=True, order=True)
class Pipeline:
    """A pipeline handle; printed `project/name`, as in the original's errors without quotes."""

    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"

    @property
    def key(self) -> PipelineKey:
        """The handle as rows have it."""
        return self.project, self.name

    @property
    def output_repo(self) -> Repo:
        """The repo that holds what jobs write to `/pfs/out`."""
        return Repo(self.project, self.name)

    @property
    def meta_repo(self) -> Repo:
        """The repo whose commits accompany the output commits; empty here: rows hold what would be in it."""
        return Repo(self.project, self.name, RepoType.META)

    @property
    def spec_repo(self) -> Repo:
        """The repo with one commit per version of the pipeline."""
        return Repo(self.project, self.name, RepoType.SPEC)


@dataclass(frozen=True, order=True)
class Job:
    """A job handle: pipeline and commit-set id; printed `project/name@id`."""

    pipeline: Pipeline
    id: JobId

    def __str__(self) -> str:
        return f"{self.pipeline}@{self.id}"

    @property
    def key(self) -> JobKey:
        """The handle as rows have it."""
        return *self.pipeline.key, self.id

    @property
    def output_commit(self) -> Commit:
        """The commit this job writes."""
        return Commit(self.pipeline.output_repo, self.id)

    @property
    def meta_commit(self) -> Commit:
        """The commit of the meta repo that opens and finishes with the output commit."""
        return Commit(self.pipeline.meta_repo, self.id)


@dataclass(frozen=True)
class PfsInput:
    """`input.pfs` of a spec after defaults; `glob` is absolute and clean. (A `lazy` one is copied like any other.)"""

    name: str
    branch: Branch
    glob: str
    join_on: str = ""
    outer_join: bool = False
    group_by: str = ""
    empty_files: bool = False
    reference: bool = False


class Combination(enum.StrEnum):
    """How the inputs below a node make datums."""

    CROSS = "cross"
    UNION = "union"
    JOIN = "join"
    GROUP = "group"


@dataclass(frozen=True)
class CombinedInput:
    """An inner node of the input tree."""

    combination: Combination
    inputs: tuple["Input", ...]


Input = PfsInput | CombinedInput


@dataclass(frozen=True)
class SecretMount:
    """One secret of a transform: a key as environment variable, or else every key as a file below `mount_path`."""

    name: str
    key: str = ""
    env_var: str = ""
    mount_path: str = ""


@dataclass(frozen=True)
class Transform:
    """What user code to run and how."""

    image: str
    cmd: tuple[str, ...] = ()
    stdin: tuple[str, ...] = ()
    err_cmd: tuple[str, ...] = ()
    err_stdin: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretMount, ...] = ()
    accept_return_code: tuple[int, ...] = ()
    working_dir: str = ""
    user: str = ""


@dataclass(frozen=True)
class PipelineSpec:
    """The parts of the effective spec that decide what runs; times in seconds. The rest is in `PipelineInfo`."""

    pipeline: Pipeline
    transform: Transform
    input: Input
    output_branch: str
    parallelism: int = 1
    datum_tries: int = 3
    datum_timeout: float | None = None
    job_timeout: float | None = None
    reprocess_every_job: bool = False
    autoscaling: bool = False


@dataclass(frozen=True)
class PipelineInfo:
    """One version of a pipeline. `effective_spec` is the spec after defaults: names in snake_case, values canonical."""

    pipeline: Pipeline
    version: int
    spec_commit: Commit
    created: datetime.datetime
    updated: datetime.datetime
    stopped: bool
    state: PipelineState
    reason: str
    last_job_state: JobState
    parallelism: int
    salt: str
    user_spec_json: str
    effective_spec: Json


@dataclass(frozen=True)
class JobInfo:
    """One job. `output_branch` is the branch its output commit was made on; counts are numbers of datums."""

    job: Job
    version: int
    output_branch: str
    state: JobState
    reason: str
    created: datetime.datetime
    started: datetime.datetime | None = None
    finished: datetime.datetime | None = None
    total: int = 0
    processed: int = 0
    skipped: int = 0
    failed: int = 0
    recovered: int = 0
    restart: int = 0
    stats: ProcessStats = field(default_factory=ProcessStats)


@dataclass(frozen=True)
class JobDetails:
    """What a client gets with `details`: the spec of the job's pipeline version, its salt, and what runs now."""

    effective_spec: Json
    salt: str
    running: tuple["RunningDatum", ...] = ()


@dataclass(frozen=True)
class RunningDatum:
    """A datum that is being processed at this moment."""

    datum_id: DatumId
    started: datetime.datetime
    inputs: tuple["DatumInput", ...]


@dataclass(frozen=True)
class DatumInput:
    """One input of one datum: which file or folder (its path ends with `/`) of which commit, and how to present it."""

    name: str
    commit: Commit
    branch: str
    path: str
    hash: bytes
    size_bytes: int
    empty_files: bool = False
    reference: bool = False
    join_on: str = ""
    group_by: str = ""


@dataclass(frozen=True)
class Datum:
    """One unit of work: inputs ordered by name, id (which files), hash (which contents, and the pipeline's salt)."""

    id: DatumId
    hash: str
    inputs: tuple[DatumInput, ...]


@dataclass(frozen=True)
class DatumInfo:
    """One datum of a job; `processed_by` is the job that ran it (an earlier one when it was skipped)."""

    job: Job | None
    datum: Datum
    state: DatumState
    reason: str = ""
    stats: ProcessStats = field(default_factory=ProcessStats)
    data: tuple[FileInfo, ...] = ()
    image: str = ""
    processed_by: JobId = NO_JOB


@dataclass(frozen=True)
class LogMessage:
    """One line of a log. `user`: printed by user code; `master`: about the pipeline or job rather than one datum."""

    pipeline: Pipeline
    job_id: JobId
    datum_id: DatumId
    moment: datetime.datetime
    message: str
    user: bool = False
    master: bool = False
    inputs: tuple[DatumInput, ...] = ()


@dataclass(frozen=True)
class LogFilter:
    """Which lines `get_logs` returns; `job` is one of `pipeline`.

    `since` in seconds back from now, None = from the job's creation, or 24 h without a job.
    """

    pipeline: Pipeline
    job: Job | None = None
    datum_id: DatumId = NO_DATUM
    data_filters: Sequence[str] = ()
    master: bool = False
    follow: bool = False
    tail: int = 0
    since: float | None = None


@dataclass(frozen=True)
class SecretInfo:
    """A secret without its values."""

    name: str
    type: str
    created: datetime.datetime
