"""Rows of the master's tables as frozen dataclasses, read and written by `pdk.db.rows`.

Times are RFC 3339 text.
"""

from dataclasses import dataclass
from typing import Any

from pdk.determined.store.states import AllocationState, CheckpointState, InvalidHp, LifeState, LogLevel

JSON = dict[str, Any]


@dataclass(frozen=True)
class User:
    """Someone who can log in; `password` is blank or `algorithm$salt$hash` of what the client sends."""

    id: int
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

    id: int
    name: str
    user_id: int
    archived: bool
    immutable: bool
    created_at: str


@dataclass(frozen=True)
class Project:
    """A container of experiments; `notes` is a list of {name, contents}."""

    id: int
    workspace_id: int
    name: str
    key: str
    description: str
    user_id: int
    archived: bool
    immutable: bool
    notes: list[dict[str, str]]
    created_at: str


@dataclass(frozen=True)
class Experiment:
    """One configuration and its model definition (the SHA-256 of its .tar.gz in the model definition folder)."""

    id: int
    project_id: int
    owner_id: int
    parent_id: int | None
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
    warm_start: str | None
    start_time: str
    end_time: str | None
    reason: str | None


@dataclass(frozen=True)
class Trial:
    """One hyperparameter setting; `run_id` counts its allocations, `restarts` its failures."""

    id: int
    experiment_id: int
    request_id: str
    task_id: str
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
    warm_start: str | None
    early_exit: InvalidHp | None
    early_exit_at: str | None
    summary: JSON
    reason: str | None


@dataclass(frozen=True)
class Allocation:
    """A trial's hold on one slot; open while `ended_at` is None. `resumed_at`: steps of the checkpoint it started from."""

    id: str
    trial_id: int
    task_id: str
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
    trial_id: int
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

    uuid: str
    trial_id: int
    task_id: str
    allocation_id: str
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

    id: int
    name: str
    description: str
    notes: str
    labels: list[str]
    metadata: JSON
    archived: bool
    user_id: int
    workspace_id: int
    creation_time: str
    last_updated_time: str


@dataclass(frozen=True)
class ModelVersion:
    """A numbered checkpoint of a model."""

    id: int
    model_id: int
    version: int
    checkpoint_uuid: str
    name: str
    comment: str
    notes: str
    labels: list[str]
    metadata: JSON
    user_id: int
    creation_time: str
    last_updated_time: str


@dataclass(frozen=True)
class LogLine:
    """One line of a task's log; `level` without prefix (INFO), `log` without its newline. `id` 0 = not stored yet."""

    id: int
    task_id: str
    trial_id: int | None
    allocation_id: str | None
    container_id: str | None
    rank_id: int | None
    timestamp: str
    level: LogLevel | None
    source: str | None
    stdtype: str | None
    log: str
