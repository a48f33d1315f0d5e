"""Queries on experiments."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from pdk.db.rows import fetch, fetch_one
from pdk.determined.store.records import Experiment, ExperimentId, ProjectId, TrialId, UserId, WorkspaceId
from pdk.determined.store.states import AllocationState, CheckpointState, LifeState, MetricGroup


@dataclass(frozen=True)
class ExperimentView:
    """An experiment with what its answers show beside the row; `shown_state` refines ACTIVE by its allocations."""

    experiment: Experiment
    shown_state: LifeState
    username: str
    owner_display_name: str
    project_name: str
    project_owner_id: UserId
    workspace_id: WorkspaceId
    workspace_name: str
    parent_archived: bool
    trial_ids: list[TrialId]
    progress_sum: float
    checkpoint_count: int
    checkpoint_size: int
    best_trial_id: TrialId | None
    best_metric: float | None


@dataclass(frozen=True)
class ExperimentFilter:
    """Which experiments to list; empty sequences and None mean any. `states` also takes the refined ones (RUNNING)."""

    archived: bool | None = None
    users: Sequence[str] = ()
    user_ids: Sequence[int] = ()
    labels: Sequence[str] = ()
    states: Sequence[str] = ()
    ids: Sequence[int] = ()
    name: str = ""
    description: str = ""
    project_id: ProjectId | None = None


@dataclass(frozen=True)
class _Where:
    clauses: list[str] = field(default_factory=list)
    arguments: list[object] = field(default_factory=list)

    def add(self, clause: str, *arguments: object) -> None:
        self.clauses.append(clause)
        self.arguments.extend(arguments)

    def one_of(self, column: str, values: Sequence[object]) -> None:
        if values:
            self.add(f"{column} IN ({', '.join('?' * len(values))})", *values)

    def sql(self) -> str:
        return " WHERE " + " AND ".join(self.clauses) if self.clauses else ""


SHOWN_STATE = f"""
CASE WHEN experiments.state != '{LifeState.ACTIVE}' THEN experiments.state ELSE coalesce((
    SELECT allocations.state FROM allocations JOIN trials ON trials.id = allocations.trial_id
    WHERE trials.experiment_id = experiments.id AND allocations.ended_at IS NULL
    ORDER BY allocations.state = '{AllocationState.RUNNING}' DESC LIMIT 1), '{LifeState.QUEUED}') END
"""

BEST = f"""
SELECT {{what}} FROM metrics
    JOIN trials ON trials.id = metrics.trial_id JOIN experiments AS own ON own.id = experiment_id
WHERE own.id = experiments.id AND metric_group = '{MetricGroup.VALIDATION}' AND metrics.archived = 0
    AND searcher_metric IS NOT NULL
ORDER BY searcher_metric * CASE WHEN json_extract(own.config, '$.searcher.smaller_is_better') THEN 1 ELSE -1 END
LIMIT 1
"""

KEPT = f"checkpoints.state != '{CheckpointState.DELETED}'"
VIEW = f"""
SELECT experiments.*, {SHOWN_STATE} AS shown_state,
    users.username AS username, users.display_name AS owner_display_name,
    projects.name AS project_name, projects.user_id AS project_owner_id,
    workspaces.id AS workspace_id, workspaces.name AS workspace_name,
    (projects.archived OR workspaces.archived) AS parent_archived,
    (SELECT json_group_array(id) FROM (SELECT id FROM trials WHERE experiment_id = experiments.id ORDER BY id))
        AS trial_ids,
    (SELECT count(*) FROM trials WHERE experiment_id = experiments.id) AS num_trials,
    (SELECT coalesce(sum(progress), 0) FROM trials WHERE experiment_id = experiments.id) AS progress_sum,
    (SELECT count(*) FROM checkpoints JOIN trials ON trials.id = checkpoints.trial_id
        WHERE trials.experiment_id = experiments.id AND {KEPT}) AS checkpoint_count,
    (SELECT coalesce(sum(size), 0) FROM checkpoints JOIN trials ON trials.id = checkpoints.trial_id
        WHERE trials.experiment_id = experiments.id AND {KEPT}) AS checkpoint_size,
    ({BEST.format(what="trials.id")}) AS best_trial_id,
    ({BEST.format(what="searcher_metric")}) AS best_metric
FROM experiments
    JOIN users ON users.id = experiments.owner_id
    JOIN projects ON projects.id = experiments.project_id
    JOIN workspaces ON workspaces.id = projects.workspace_id
"""

SORT_COLUMNS = {
    "ID": "experiments.id",
    "DESCRIPTION": "experiments.description",
    "START_TIME": "experiments.start_time",
    "END_TIME": "experiments.end_time",
    "STATE": "experiments.state",
    "NUM_TRIALS": "num_trials",
    "PROGRESS": "progress_sum",
    "USER": "username",
    "NAME": "experiments.name",
    "FORKED_FROM": "experiments.parent_id",
    "RESOURCE_POOL": "json_extract(experiments.config, '$.resources.resource_pool')",
    "PROJECT_ID": "experiments.project_id",
    "CHECKPOINT_SIZE": "checkpoint_size",
    "CHECKPOINT_COUNT": "checkpoint_count",
    "SEARCHER_METRIC_VAL": "best_metric",
}


def experiment(conn: sqlite3.Connection, experiment_id: ExperimentId) -> Experiment | None:
    """Return the experiment with this id."""
    return fetch_one(conn, Experiment, "SELECT * FROM experiments WHERE id = ?", experiment_id)


def view(conn: sqlite3.Connection, experiment_id: ExperimentId) -> ExperimentView | None:
    """Return the experiment with this id and what answers show beside it."""
    return fetch_one(conn, ExperimentView, f"{VIEW} WHERE experiments.id = ?", experiment_id)


def count(conn: sqlite3.Connection, wanted: ExperimentFilter) -> int:
    """Return how many experiments pass the filter."""
    where = _where(wanted)
    query = f"""SELECT count(*) FROM (SELECT experiments.id, {SHOWN_STATE} AS shown_state FROM experiments
        JOIN users ON users.id = experiments.owner_id {where.sql()})"""
    return int(conn.execute(query, where.arguments).fetchone()[0])


def views(
    conn: sqlite3.Connection, wanted: ExperimentFilter, sort: str, descending: bool, offset: int, limit: int
) -> list[ExperimentView]:
    """Return one page of the experiments that pass the filter; `sort` is a key of SORT_COLUMNS, limit -1 means all."""
    where = _where(wanted)
    direction = "DESC" if descending else "ASC"
    order = f"ORDER BY {SORT_COLUMNS[sort]} {direction}, experiments.id {direction} LIMIT ? OFFSET ?"
    return fetch(conn, ExperimentView, f"{VIEW} {where.sql()} {order}", *where.arguments, limit, offset)


def unfinished_deletions(conn: sqlite3.Connection) -> list[Experiment]:
    """Return the experiments whose deletion was asked for and is not done."""
    return fetch(conn, Experiment, "SELECT * FROM experiments WHERE state = ?", LifeState.DELETING)


def definition_in_use(conn: sqlite3.Connection, digest: str) -> bool:
    """Tell whether an experiment uses the model definition `digest`."""
    row = conn.execute("SELECT 1 FROM experiments WHERE model_definition = ? LIMIT 1", (digest,)).fetchone()
    return row is not None


def _where(wanted: ExperimentFilter) -> _Where:
    where = _Where()
    if wanted.archived is not None:
        where.add("experiments.archived = ?", wanted.archived)
    where.one_of("users.username", wanted.users)
    where.one_of("experiments.owner_id", wanted.user_ids)
    where.one_of("experiments.id", wanted.ids)
    if wanted.states:
        marks = ", ".join("?" * len(wanted.states))
        where.add(f"(experiments.state IN ({marks}) OR shown_state IN ({marks}))", *wanted.states, *wanted.states)
    for label in wanted.labels:
        where.add("EXISTS (SELECT 1 FROM json_each(experiments.labels) WHERE value = ?)", label)
    if wanted.name:
        where.add("instr(lower(experiments.name), lower(?)) > 0", wanted.name)
    if wanted.description:
        where.add("instr(lower(coalesce(experiments.description, '')), lower(?)) > 0", wanted.description)
    if wanted.project_id:
        where.add("experiments.project_id = ?", wanted.project_id)
    return where
