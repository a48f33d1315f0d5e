"""Queries on trials and their allocations."""

import sqlite3
from dataclasses import dataclass

from pdk.db.rows import fetch, fetch_one
from pdk.determined.store.records import Allocation, AllocationId, ExperimentId, TaskId, Trial, TrialId
from pdk.determined.store.states import TERMINAL, CheckpointState, LifeState


@dataclass(frozen=True)
class TrialView:
    """A trial with what its answers show beside the row; `shown_state` refines ACTIVE by its allocation."""

    trial: Trial
    shown_state: LifeState
    max_restarts: int
    smaller_is_better: bool
    checkpoint_count: int
    checkpoint_size: int


VIEW = f"""
SELECT trials.*,
    CASE WHEN trials.state != '{LifeState.ACTIVE}' THEN trials.state ELSE coalesce((
        SELECT allocations.state FROM allocations
        WHERE allocations.trial_id = trials.id AND allocations.ended_at IS NULL), '{LifeState.QUEUED}') END
        AS shown_state,
    json_extract(experiments.config, '$.max_restarts') AS max_restarts,
    json_extract(experiments.config, '$.searcher.smaller_is_better') AS smaller_is_better,
    (SELECT count(*) FROM checkpoints
        WHERE trial_id = trials.id AND checkpoints.state != '{CheckpointState.DELETED}') AS checkpoint_count,
    (SELECT coalesce(sum(size), 0) FROM checkpoints
        WHERE trial_id = trials.id AND checkpoints.state != '{CheckpointState.DELETED}') AS checkpoint_size
FROM trials JOIN experiments ON experiments.id = trials.experiment_id
"""


def trial(conn: sqlite3.Connection, trial_id: TrialId) -> Trial | None:
    """Return the trial with this id."""
    return fetch_one(conn, Trial, "SELECT * FROM trials WHERE id = ?", trial_id)


def trial_of_task(conn: sqlite3.Connection, task_id: TaskId) -> Trial | None:
    """Return the trial whose task this is."""
    return fetch_one(conn, Trial, "SELECT * FROM trials WHERE task_id = ?", task_id)


def view(conn: sqlite3.Connection, trial_id: TrialId) -> TrialView | None:
    """Return the trial with this id and what answers show beside it."""
    return fetch_one(conn, TrialView, f"{VIEW} WHERE trials.id = ?", trial_id)


def views(conn: sqlite3.Connection, experiment_id: ExperimentId) -> list[TrialView]:
    """Return the trials of an experiment by id, with what answers show beside them."""
    return fetch(conn, TrialView, f"{VIEW} WHERE trials.experiment_id = ? ORDER BY trials.id", experiment_id)


def of_experiment(conn: sqlite3.Connection, experiment_id: ExperimentId) -> list[Trial]:
    """Return the trials of an experiment by id."""
    return fetch(conn, Trial, "SELECT * FROM trials WHERE experiment_id = ? ORDER BY id", experiment_id)


def unfinished(conn: sqlite3.Connection) -> list[TrialId]:
    """Return the ids of trials that are not in a terminal state, in queue order."""
    marks = ", ".join("?" * len(TERMINAL))
    rows = conn.execute(f"SELECT id FROM trials WHERE state NOT IN ({marks}) ORDER BY queued_at, id", TERMINAL)
    return [row["id"] for row in rows]


def queued(conn: sqlite3.Connection) -> list[TrialId]:
    """Return the ids of active trials without an allocation, first come first."""
    query = f"""SELECT id FROM trials WHERE state = '{LifeState.ACTIVE}' AND NOT EXISTS (
        SELECT 1 FROM allocations WHERE allocations.trial_id = trials.id AND ended_at IS NULL) ORDER BY queued_at, id"""
    return [row["id"] for row in conn.execute(query)]


def allocation(conn: sqlite3.Connection, allocation_id: AllocationId) -> Allocation | None:
    """Return the allocation with this id."""
    return fetch_one(conn, Allocation, "SELECT * FROM allocations WHERE id = ?", allocation_id)


def open_allocation(conn: sqlite3.Connection, trial_id: TrialId) -> Allocation | None:
    """Return the allocation a trial holds now."""
    return fetch_one(conn, Allocation, "SELECT * FROM allocations WHERE trial_id = ? AND ended_at IS NULL", trial_id)


def open_allocations(conn: sqlite3.Connection) -> list[Allocation]:
    """Return every allocation held now, oldest first."""
    return fetch(conn, Allocation, "SELECT * FROM allocations WHERE ended_at IS NULL ORDER BY registered_at")


def allocations_of(conn: sqlite3.Connection, trial_id: TrialId) -> list[Allocation]:
    """Return every allocation a trial had, newest first."""
    return fetch(conn, Allocation, "SELECT * FROM allocations WHERE trial_id = ? ORDER BY run_id DESC", trial_id)
