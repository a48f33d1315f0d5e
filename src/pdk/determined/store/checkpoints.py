"""Queries on checkpoints, joined with the metrics of their step: a checkpoint may be reported before its validation."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pdk.db.rows import fetch, fetch_one
from pdk.determined.store.records import JSON, Checkpoint, CheckpointUuid, ExperimentId, TrialId
from pdk.determined.store.states import CheckpointState, MetricGroup


@dataclass(frozen=True)
class CheckpointView:
    """A checkpoint with the training it comes from; metrics are avgMetrics of the same step, None without."""

    checkpoint: Checkpoint
    experiment_id: ExperimentId
    config: JSON
    hparams: JSON
    validation: JSON | None
    training: JSON | None
    searcher_metric: float | None


VIEW = f"""
SELECT checkpoints.*, trials.experiment_id AS experiment_id, trials.hparams AS hparams,
    experiments.config AS config, validation.averages AS validation, training.averages AS training,
    validation.searcher_metric AS searcher_metric
FROM checkpoints
    JOIN trials ON trials.id = checkpoints.trial_id
    JOIN experiments ON experiments.id = trials.experiment_id
    LEFT JOIN metrics AS validation ON validation.trial_id = checkpoints.trial_id AND validation.archived = 0
        AND validation.metric_group = '{MetricGroup.VALIDATION}'
        AND validation.total_batches = checkpoints.steps_completed
    LEFT JOIN metrics AS training ON training.trial_id = checkpoints.trial_id AND training.archived = 0
        AND training.metric_group = '{MetricGroup.TRAINING}' AND training.total_batches = checkpoints.steps_completed
"""


def checkpoint(conn: sqlite3.Connection, uuid: CheckpointUuid) -> Checkpoint | None:
    """Return the checkpoint with this uuid."""
    return fetch_one(conn, Checkpoint, "SELECT * FROM checkpoints WHERE uuid = ?", uuid)


def view(conn: sqlite3.Connection, uuid: CheckpointUuid) -> CheckpointView | None:
    """Return the checkpoint with this uuid and the training it comes from."""
    return fetch_one(conn, CheckpointView, f"{VIEW} WHERE checkpoints.uuid = ?", uuid)


def views(
    conn: sqlite3.Connection, *, experiment_id: ExperimentId | None = None, trial_id: TrialId | None = None
) -> list[CheckpointView]:
    """Return the checkpoints of an experiment or of a trial, oldest first."""
    column, key = ("trials.experiment_id", experiment_id) if experiment_id else ("checkpoints.trial_id", trial_id)
    order = "ORDER BY checkpoints.report_time, checkpoints.uuid"
    return fetch(conn, CheckpointView, f"{VIEW} WHERE {column} = ? {order}", key)


def latest(conn: sqlite3.Connection, trial_id: TrialId) -> Checkpoint | None:
    """Return the completed checkpoint of a trial with the most steps."""
    query = """SELECT * FROM checkpoints WHERE trial_id = ? AND state = ?
        ORDER BY steps_completed DESC, report_time DESC LIMIT 1"""
    return fetch_one(conn, Checkpoint, query, trial_id, CheckpointState.COMPLETED)


def registered(conn: sqlite3.Connection, uuids: Sequence[CheckpointUuid]) -> list[CheckpointUuid]:
    """Return those of `uuids` that a model version uses."""
    marks = ", ".join("?" * len(uuids))
    query = f"SELECT DISTINCT checkpoint_uuid FROM model_versions WHERE checkpoint_uuid IN ({marks})"
    return [row[0] for row in conn.execute(query, list(uuids))]


def warm_start_sources(conn: sqlite3.Connection) -> set[CheckpointUuid]:
    """Return the uuids some experiment or trial starts from."""
    query = """SELECT warm_start FROM trials WHERE warm_start IS NOT NULL
        UNION SELECT warm_start FROM experiments WHERE warm_start IS NOT NULL"""
    return {row[0] for row in conn.execute(query)}


def to_remove(conn: sqlite3.Connection) -> list[Checkpoint]:
    """Return the checkpoints with files still to be removed."""
    return fetch(conn, Checkpoint, "SELECT * FROM checkpoints WHERE removal IS NOT NULL")
