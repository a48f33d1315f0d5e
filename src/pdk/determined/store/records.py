"""Rows of the master's tables as frozen dataclasses, read and written by `pdk.db.rows`.

Times are RFC 3339 text.
"""

from dataclasses import dataclass
from typing import Any, NewType

from pdk.determined.store.states import AllocationState, CheckpointState, InvalidHp, LifeState, LogLevel

JSON = dict[str, Any]
UserId = NewType("UserId", int)
WorkspaceId = NewType("WorkspaceId", int)
ProjectId = NewType("ProjectId", int)
ExperimentId = NewType("ExperimentId", int)
TrialId = NewType("TrialId", int)
ModelId = NewType("ModelId", int)
# `<experiment>.<request id>`, and with the number of the run that of an allocation.
TaskId = NewType("TaskId", str)
AllocationId = NewType("AllocationId", str)
CheckpointUuid = NewType("CheckpointUuid", str)


@dataclass(frozen=True)
class User:
    """Someone who can log in; `password` is blank or `algorithm$salt$hash` of what the client sends."""

    id: UserId
    username: str
    display_name: str
    admin: bool
    active: bool
    remote: bool
    password: str
    modified_at: str
    last_auth_at: str | None


@dataclass(frozen=True)
class Workspace:
    """A container of projects and models."""

    id: WorkspaceId
    name: str
    user_id: UserId
    archived: bool
    immutable: bool
    created_at: str


@dataclass(frozen=True)
class Project:
    """A container of experiments; `notes` is a list of {name, contents}."""

    id: ProjectId
    workspace_id: WorkspaceId
    name: str
    key: str
    description: str
    user_id: UserId
    archived: bool
    immutable: bool
    notes: list[dict[str, str]]
    created_at: str


@dataclass(frozen=True)
class Experiment:
    """One configuration and its model definition (the SHA-256 of its .tar.gz in the model definition folder)."""

    id: ExperimentId
    project_id: ProjectId
    owner_id: UserId
    parent_id: ExperimentId | None
    job_id: str
    state: LifeState
    archived: bool
    name: str
    description: str | None
    notes: str
    labels: list[str]
    config: JSON
    original_config: str
    model_definition: str
    model_definition_size: int
    warm_start: CheckpointUuid | None
    start_time: str
    end_time: str | None
    reason: str | None


@dataclass(frozen=True)
class Trial:
    """One hyperparameter setting; `run_id` counts its allocations, `restarts` its failures."""

    id: TrialId
    experiment_id: ExperimentId
    request_id: str
    task_id: TaskId
    seed: int
    hparams: JSON
    state: LifeState
    restarts: int
    run_id: int
    runner_state: str
    progress: float
    start_time: str
    queued_at: str
    end_time: str | None
    total_batches: int
    warm_start: CheckpointUuid | None
    early_exit: InvalidHp | None
    early_exit_at: str | None
    summary: JSON
    reason: str | None


@dataclass(frozen=True)
class Allocation:
    """A trial's hold on one slot, open while `ended_at` is None; `resumed_at`: the steps it started from."""

    id: AllocationId
    trial_id: TrialId
    task_id: TaskId
    run_id: int
    container_id: str
    state: AllocationState
    resumed_at: int
    registered_at: str
    started_at: str | None
    ended_at: str | None
    exit_code: int | None
    exit_reason: str | None
    preempt_reason: str | None
    preempt_deadline: str | None
    preempt_acked: bool
    kill_reason: str | None


@dataclass(frozen=True)
class Metrics:
    """One report of one group at one step; `averages` are the avgMetrics, `batches` the batchMetrics."""

    id: int
    trial_id: TrialId
    run_id: int
    metric_group: str
    total_batches: int
    end_time: str
    averages: JSON
    batches: str | None
    searcher_metric: float | None
    archived: bool


@dataclass(frozen=True)
class Checkpoint:
    """Files saved by a trial under `folder/uuid`; `resources`: path to size in bytes.

    `removal` not None: files still to be removed ("*": all, else a JSON list of paths).
    """

    uuid: CheckpointUuid
    trial_id: TrialId
    task_id: TaskId
    allocation_id: AllocationId
    state: CheckpointState
    report_time: str
    steps_completed: int
    resources: dict[str, int]
    metadata: JSON
    size: int
    folder: str
    removal: str | None


@dataclass(frozen=True)
class Model:
    """A named model of the registry."""

    id: ModelId
    name: str
    description: str
    notes: str
    labels: list[str]
    metadata: JSON
    archived: bool
    user_id: UserId
    workspace_id: WorkspaceId
    creation_time: str
    last_updated_time: str


@dataclass(frozen=True)
class ModelVersion:
    """A numbered checkpoint of a model."""

    id: int
    model_id: ModelId
    version: int
    checkpoint_uuid: CheckpointUuid
    name: str
    comment: str
    notes: str
    labels: list[str]
    metadata: JSON
    user_id: UserId
    creation_time: str
    last_updated_time: str


@dataclass(frozen=True)
class LogLine:
    """One line of a task's log; `level` without prefix (INFO), `log` without its newline. `id` 0 = not stored yet."""

    id: int
    task_id: TaskId
    trial_id: TrialId | None
    allocation_id: AllocationId | None
    container_id: str | None
    rank_id: int | None
    timestamp: str
    level: LogLevel | None
    source: str | None
    stdtype: str | None
    log: str
