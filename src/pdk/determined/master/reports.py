"""What the harness of a running trial reports: metrics, checkpoints, progress, state, early exit, preemption.

Called by the task routes. Mirrors master/internal/db/postgres_trial_metrics.go (run ids, merging, archiving after a
roll-back, summaries) and api_trials.go. A trial stays open for reports until its process has exited: metrics come from
a background thread of the harness and may arrive after the checkpoint of the same step.
"""

import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdk.base.clock import rfc3339_now
from pdk.db.database import Database
from pdk.db.rows import insert, to_json, update
from pdk.determined import errors
from pdk.determined.master import summaries
from pdk.determined.master.config.experiment import storage_folder
from pdk.determined.master.signals import Signals
from pdk.determined.master.users import Caller
from pdk.determined.store import checkpoints, experiments, metrics, trials
from pdk.determined.store.records import (
    JSON,
    Allocation,
    AllocationId,
    CheckpointUuid,
    Experiment,
    TaskId,
    Trial,
    TrialId,
)
from pdk.determined.store.states import CheckpointState, InvalidHp, MetricGroup

UUID = re.compile(r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")
GROUP = re.compile(r"^[^\0]{1,256}$")
RESERVED_METRICS = ("epochs", "batches")
MAX_STEP = 2**31 - 1


@dataclass(frozen=True)
class MetricsReport:
    """One report; `averages` are the avgMetrics, `batches` the batchMetrics."""

    group: str
    run_id: int
    steps_completed: int
    averages: JSON
    batches: Sequence[JSON] | None = None
    time: str | None = None


@dataclass(frozen=True)
class CheckpointReport:
    """A saved checkpoint; `resources`: path (folders end with /) to size in bytes."""

    uuid: CheckpointUuid
    allocation_id: AllocationId
    task_id: TaskId
    state: str
    resources: Mapping[str, int]
    metadata: JSON


class Reports:
    """Takes in what trials report."""

    def __init__(self, db: Database, signals: Signals) -> None:
        self._db = db
        self._signals = signals

    def metrics(self, caller: Caller, trial_id: TrialId, report: MetricsReport) -> None:
        """Store a report; raises NoSuchThing, InvalidRequest (stale run, conflicting values), NotAllowed."""
        if not GROUP.match(report.group):
            raise errors.InvalidRequest("metrics: the group must have 1 to 256 characters")
        if not 0 <= report.steps_completed <= MAX_STEP:
            raise errors.InvalidRequest(f"metrics: stepsCompleted {report.steps_completed} is out of range")
        _check_reserved(report.averages)
        with self._db.transaction() as conn:
            trial, experiment = _reporting_trial(conn, caller, trial_id)
            if report.run_id != trial.run_id:
                raise errors.InvalidRequest(
                    f"invalid run id, {report.run_id} (reported) != {trial.run_id} (expected): "
                    "the run that reports has ended"
                )
            rolled_back = metrics.archive_repeated(conn, trial_id, trial.run_id, report.group, report.steps_completed)
            merged = self._store_metrics(conn, trial, experiment, report)
            self._summarise(conn, trial, report, recount=bool(rolled_back) or merged)

    def _store_metrics(
        self, conn: sqlite3.Connection, trial: Trial, experiment: Experiment, report: MetricsReport
    ) -> bool:
        """Insert the report or merge it into the one of the same step; tell whether it was merged."""
        present = metrics.at_step(conn, trial.id, report.group, report.steps_completed)
        averages = report.averages if present is None else _merged(present.averages, report.averages)
        name = experiment.config["searcher"]["metric"]
        row: dict[str, object] = {
            "averages": averages,
            "searcher_metric": finite(averages.get(name)) if report.group == MetricGroup.VALIDATION else None,
        }
        if report.batches is not None:
            row["batches"] = to_json(list(report.batches))
        if present is not None:
            update(conn, "metrics", ("id", present.id), row)
            return True
        key = {
            "trial_id": trial.id,
            "run_id": trial.run_id,
            "metric_group": report.group,
            "total_batches": report.steps_completed,
            "end_time": report.time or rfc3339_now(),
        }
        insert(conn, "metrics", {**key, **row})
        return False

    def _summarise(self, conn: sqlite3.Connection, trial: Trial, report: MetricsReport, recount: bool) -> None:
        summary = dict(trial.summary)
        key = summaries.key(report.group)
        if recount:
            rows = metrics.of_group(conn, trial.id, report.group)
            summary[key] = summaries.of([row.averages for row in rows])
        else:
            summary[key] = summaries.extended(summary.get(key, {}), report.averages)
        total = metrics.largest_step(conn, trial.id)
        update(conn, "trials", ("id", trial.id), {"summary": summary, "total_batches": total})

    def checkpoint(self, caller: Caller, report: CheckpointReport) -> None:
        """Store a checkpoint of a running trial; raises InvalidRequest, NoSuchThing, NotAllowed."""
        if not UUID.match(report.uuid):
            raise errors.InvalidRequest(f"checkpoint uuid {report.uuid[:60]!r} is no UUID")
        if report.state not in set(CheckpointState):
            raise errors.InvalidRequest(f"checkpoint state {report.state!r} is unknown")
        steps = report.metadata.get("steps_completed")
        if not isinstance(steps, int | float) or isinstance(steps, bool) or not 0 <= steps <= MAX_STEP:
            raise errors.InvalidRequest("checkpoint metadata: steps_completed must be a number of batches")
        with self._db.transaction() as conn:
            trial = errors.found(trials.trial_of_task(conn, report.task_id), f"task {report.task_id} not found")
            _, experiment = _reporting_trial(conn, caller, trial.id)
            if checkpoints.checkpoint(conn, report.uuid) is not None:
                raise errors.InvalidRequest(f"checkpoint {report.uuid} was reported before")
            row = {
                "uuid": report.uuid,
                "trial_id": trial.id,
                "task_id": report.task_id,
                "allocation_id": report.allocation_id,
                "state": report.state,
                "report_time": rfc3339_now(),
                "steps_completed": int(steps),
                "resources": dict(report.resources),
                "metadata": report.metadata,
                "size": sum(report.resources.values()),
                "folder": storage_folder(experiment.config["checkpoint_storage"]),
            }
            insert(conn, "checkpoints", row)

    def progress(self, caller: Caller, trial_id: TrialId, progress: float) -> None:
        """Store how much of its training a trial has done, 0 to 1."""
        with self._db.transaction() as conn:
            _reporting_trial(conn, caller, trial_id)
            update(conn, "trials", ("id", trial_id), {"progress": min(1.0, max(0.0, progress))})

    def runner_state(self, caller: Caller, trial_id: TrialId, state: str) -> None:
        """Store what the harness is doing (training, validating, checkpointing)."""
        with self._db.transaction() as conn:
            _reporting_trial(conn, caller, trial_id)
            update(conn, "trials", ("id", trial_id), {"runner_state": state[:64]})

    def early_exit(self, caller: Caller, trial_id: TrialId, reason: str) -> None:
        """Note that the harness will exit because of invalid hyperparameters; it is ended if it does not."""
        if reason not in set(InvalidHp):
            raise errors.InvalidRequest(f"unhandled early exit reason: {reason}")
        with self._db.transaction() as conn:
            _reporting_trial(conn, caller, trial_id)
            changes = {"early_exit": reason, "early_exit_at": rfc3339_now()}
            update(conn, "trials", ("id", trial_id), changes)
            self._db.after_commit(lambda: self._signals.wake_trial(trial_id))

    def start_run(self, caller: Caller, trial_id: TrialId) -> None:
        """Take note that the harness of a trial is about to report; raises NoSuchThing, NotAllowed."""
        with self._db.read() as conn:
            _reporting_trial(conn, caller, trial_id)

    def allocation(self, caller: Caller, allocation_id: AllocationId) -> Allocation:
        """Return an allocation its own task asks about; raises NoSuchThing, NotAllowed."""
        with self._db.read() as conn:
            allocation = trials.allocation(conn, allocation_id)
        allocation = errors.found(allocation, f"allocation {allocation_id} not found")
        if caller.allocation_id not in (None, allocation_id):
            raise errors.NotAllowed("a task may only speak for its own allocation")
        return allocation

    def must_preempt(self, caller: Caller, allocation_id: AllocationId) -> bool | None:
        """Tell whether the harness shall checkpoint and exit; None while there is nothing new to tell."""
        allocation = self.allocation(caller, allocation_id)
        return True if allocation.preempt_reason is not None or allocation.ended_at is not None else None

    def acknowledge_preemption(self, caller: Caller, allocation_id: AllocationId) -> None:
        """Record that the task exits because it was asked to: its exit is no completion."""
        self.allocation(caller, allocation_id)
        with self._db.transaction() as conn:
            update(conn, "allocations", ("id", allocation_id), {"preempt_acked": True})


def finite(value: Any) -> float | None:
    """Return a metric as a number that can be compared; None for NaN, the infinities and what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _reporting_trial(conn: sqlite3.Connection, caller: Caller, trial_id: TrialId) -> tuple[Trial, Experiment]:
    trial = errors.found(trials.trial(conn, trial_id), f"trial {trial_id} not found")
    experiment = errors.found(experiments.experiment(conn, trial.experiment_id), f"trial {trial_id} not found")
    if caller.allocation_id is not None and not caller.allocation_id.startswith(f"{trial.task_id}."):
        raise errors.NotAllowed("a task may only report for its own trial")
    return trial, experiment


def _merged(present: JSON, reported: JSON) -> JSON:
    for name, value in reported.items():
        if name in present and present[name] != value:
            raise errors.InvalidRequest(
                f"metrics: {name!r} was reported before for this step with another value ({present[name]!r})"
            )
    return {**present, **reported}


def _check_reserved(averages: JSON) -> None:
    for name in RESERVED_METRICS:
        if name in averages and finite(averages[name]) is None:
            raise errors.InvalidRequest(f"metrics: {name!r} must be a number, not {averages[name]!r}")
