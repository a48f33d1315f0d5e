"""Queries on reported metrics. Archived rows are what a trial reported beyond the step it later resumed from."""

import sqlite3
from collections.abc import Sequence

from pdk.db.rows import fetch, fetch_one
from pdk.determined.store.records import ExperimentId, Metrics, TrialId
from pdk.determined.store.states import MetricGroup


def at_step(conn: sqlite3.Connection, trial_id: TrialId, group: str, total_batches: int) -> Metrics | None:
    """Return the valid report of a group at one step."""
    query = "SELECT * FROM metrics WHERE trial_id = ? AND metric_group = ? AND archived = 0 AND total_batches = ?"
    return fetch_one(conn, Metrics, query, trial_id, group, total_batches)


def of_group(conn: sqlite3.Connection, trial_id: TrialId, group: str) -> list[Metrics]:
    """Return the valid reports of one group by step."""
    query = "SELECT * FROM metrics WHERE trial_id = ? AND metric_group = ? AND archived = 0 ORDER BY total_batches"
    return fetch(conn, Metrics, query, trial_id, group)


def of_trial(conn: sqlite3.Connection, trial_id: TrialId, groups: Sequence[str] = ()) -> list[Metrics]:
    """Return the valid reports of a trial by step, of the given groups or of all."""
    marks = f"AND metric_group IN ({', '.join('?' * len(groups))})" if groups else ""
    query = f"SELECT * FROM metrics WHERE trial_id = ? AND archived = 0 {marks} ORDER BY total_batches, id"
    return fetch(conn, Metrics, query, trial_id, *groups)


def groups(conn: sqlite3.Connection, trial_id: TrialId) -> list[str]:
    """Return the names of the groups a trial has valid reports of."""
    query = "SELECT DISTINCT metric_group FROM metrics WHERE trial_id = ? AND archived = 0 ORDER BY metric_group"
    return [row[0] for row in conn.execute(query, (trial_id,))]


def archive_beyond(conn: sqlite3.Connection, trial_id: TrialId, run_id: int, total_batches: int) -> int:
    """Archive what runs before `run_id` reported after step `total_batches`; return how many reports."""
    query = "UPDATE metrics SET archived = 1 WHERE trial_id = ? AND run_id < ? AND total_batches > ? AND archived = 0"
    return conn.execute(query, (trial_id, run_id, total_batches)).rowcount


def archive_repeated(conn: sqlite3.Connection, trial_id: TrialId, run_id: int, group: str, total_batches: int) -> int:
    """Archive what runs before `run_id` reported of a group at step `total_batches` or later; return how many."""
    query = """UPDATE metrics SET archived = 1 WHERE trial_id = ? AND run_id < ? AND metric_group = ?
        AND total_batches >= ? AND archived = 0"""
    return conn.execute(query, (trial_id, run_id, group, total_batches)).rowcount


def largest_step(conn: sqlite3.Connection, trial_id: TrialId) -> int:
    """Return the largest step of a valid report, 0 when there is none."""
    query = "SELECT coalesce(max(total_batches), 0) FROM metrics WHERE trial_id = ? AND archived = 0"
    return int(conn.execute(query, (trial_id,)).fetchone()[0])


def latest_validation(conn: sqlite3.Connection, trial_id: TrialId) -> Metrics | None:
    """Return the validation with the most steps."""
    query = """SELECT * FROM metrics WHERE trial_id = ? AND metric_group = ? AND archived = 0
        ORDER BY total_batches DESC LIMIT 1"""
    return fetch_one(conn, Metrics, query, trial_id, MetricGroup.VALIDATION)


def best_validation(conn: sqlite3.Connection, trial_id: TrialId, smaller_is_better: bool) -> Metrics | None:
    """Return the validation with the best searcher metric; the earlier one of equals."""
    direction = "ASC" if smaller_is_better else "DESC"
    query = f"""SELECT * FROM metrics WHERE trial_id = ? AND metric_group = ? AND archived = 0
        AND searcher_metric IS NOT NULL ORDER BY searcher_metric {direction}, total_batches LIMIT 1"""
    return fetch_one(conn, Metrics, query, trial_id, MetricGroup.VALIDATION)


def best_of_experiment(conn: sqlite3.Connection, experiment_id: ExperimentId, smaller_is_better: bool) -> float | None:
    """Return the best searcher metric over all trials of an experiment."""
    function = "min" if smaller_is_better else "max"
    query = f"""SELECT {function}(searcher_metric) FROM metrics JOIN trials ON trials.id = metrics.trial_id
        WHERE trials.experiment_id = ? AND metric_group = ? AND metrics.archived = 0"""
    value = conn.execute(query, (experiment_id, MetricGroup.VALIDATION)).fetchone()[0]
    return None if value is None else float(value)
