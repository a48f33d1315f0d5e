"""Reading trials, their workloads and metrics, and killing one; called by the trial routes."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pdk.db.database import Database
from pdk.determined import errors
from pdk.determined.master.paging import Paged, PageRequest, paged
from pdk.determined.master.transitions import Transitions
from pdk.determined.store import checkpoints, metrics
from pdk.determined.store import experiments as experiment_rows
from pdk.determined.store import trials as store
from pdk.determined.store.checkpoints import CheckpointView
from pdk.determined.store.records import Checkpoint, ExperimentId, Metrics, TrialId
from pdk.determined.store.states import CheckpointState, LifeState, MetricGroup, WorkloadKind
from pdk.determined.store.trials import TrialView

BATCH = 500


@dataclass(frozen=True)
class TrialDetail:
    """A trial with its best and latest validation and its best checkpoint."""

    view: TrialView
    best: Metrics | None
    latest: Metrics | None
    best_checkpoint: Checkpoint | None


# One row of a trial's history: a training or validation report, or a checkpoint.
Workload = Metrics | Checkpoint


SORT_KEYS: dict[str, Callable[[TrialDetail], Any]] = {
    "ID": lambda d: d.view.trial.id,
    "START_TIME": lambda d: d.view.trial.start_time,
    "END_TIME": lambda d: d.view.trial.end_time,
    "STATE": lambda d: d.view.trial.state,
    "BEST_VALIDATION_METRIC": lambda d: d.best.searcher_metric if d.best else None,
    "LATEST_VALIDATION_METRIC": lambda d: d.latest.searcher_metric if d.latest else None,
    "BATCHES_PROCESSED": lambda d: d.view.trial.total_batches,
    "DURATION": lambda d: d.view.trial.end_time,
    "RESTARTS": lambda d: d.view.trial.restarts,
    "CHECKPOINT_SIZE": lambda d: d.view.checkpoint_size,
}


class Trials:
    """All trials."""

    def __init__(self, db: Database, transitions: Transitions) -> None:
        self._db = db
        self._transitions = transitions

    def get(self, trial_id: TrialId) -> TrialDetail:
        """Return one trial; raises NoSuchThing."""
        with self._db.read() as conn:
            return _detail(conn, _found(conn, trial_id))

    def of_experiment(
        self, experiment_id: ExperimentId, states: Sequence[str], sort: str, descending: bool, page: PageRequest
    ) -> Paged[TrialDetail]:
        """Return one page of an experiment's trials; raises NoSuchThing, InvalidRequest for an unknown sort."""
        key = SORT_KEYS.get(sort)
        if key is None:
            raise errors.InvalidRequest(f"unsupported sort by {sort}")
        with self._db.read() as conn:
            experiment = experiment_rows.experiment(conn, experiment_id)
            errors.found(experiment, f"experiment {experiment_id} not found")
            views = store.views(conn, experiment_id)
            if states:
                views = [view for view in views if view.trial.state in states or view.shown_state in states]
            details = [_detail(conn, view) for view in views]
        present = sorted((d for d in details if key(d) is not None), key=key, reverse=descending)
        return paged([*present, *(d for d in details if key(d) is None)], page)

    def kill(self, trial_id: TrialId) -> None:
        """End a trial at once; nothing when it has ended. Raises NoSuchThing."""
        with self._db.transaction() as conn:
            self._transitions.set_trial_state(conn, _found(conn, trial_id).trial, LifeState.STOPPING_KILLED)

    def workloads(
        self, trial_id: TrialId, kinds: Sequence[str], descending: bool, page: PageRequest
    ) -> Paged[Workload]:
        """Return one page of a trial's history by step; `kinds` empty means all three. Raises NoSuchThing."""
        with self._db.read() as conn:
            _found(conn, trial_id)
            rows: list[Workload] = [*metrics.of_trial(conn, trial_id, tuple(MetricGroup))]
            rows += [view.checkpoint for view in checkpoints.views(conn, trial_id=trial_id)]
        rows = [row for row in rows if not kinds or kind_of(row) in kinds]
        return paged(sorted(rows, key=_moment, reverse=descending), page)

    def metrics(self, trial_ids: Sequence[TrialId], groups: Sequence[str]) -> Iterator[list[Metrics]]:
        """Yield the valid reports of trials in batches, by trial and step; raises NoSuchThing before the first."""
        with self._db.read() as conn:
            for trial_id in trial_ids:
                _found(conn, trial_id)
        for trial_id in sorted(trial_ids):
            with self._db.read() as conn:
                rows = metrics.of_trial(conn, trial_id, groups)
            for start in range(0, len(rows), BATCH):
                yield rows[start : start + BATCH]


def kind_of(row: Workload) -> WorkloadKind:
    """Return which of the three kinds of workloads this is."""
    return WorkloadKind.CHECKPOINT if isinstance(row, Checkpoint) else WorkloadKind(row.metric_group)


def _moment(row: Workload) -> tuple[int, int]:
    steps = row.steps_completed if isinstance(row, Checkpoint) else row.total_batches
    return steps, list(WorkloadKind).index(kind_of(row))


def _found(conn: sqlite3.Connection, trial_id: TrialId) -> TrialView:
    return errors.found(store.view(conn, trial_id), f"trial {trial_id} not found")


def _detail(conn: sqlite3.Connection, view: TrialView) -> TrialDetail:
    trial_id = view.trial.id
    candidates = [
        v for v in checkpoints.views(conn, trial_id=trial_id) if v.checkpoint.state is CheckpointState.COMPLETED
    ]
    best = _best_checkpoint(candidates, view.smaller_is_better)
    return TrialDetail(
        view,
        metrics.best_validation(conn, trial_id, view.smaller_is_better),
        metrics.latest_validation(conn, trial_id),
        best,
    )


def _best_checkpoint(views: Sequence[CheckpointView], smaller_is_better: bool) -> Checkpoint | None:
    sign = 1 if smaller_is_better else -1
    scored = [(sign * view.searcher_metric, view) for view in views if view.searcher_metric is not None]
    return min(scored, key=lambda pair: pair[0])[1].checkpoint if scored else None
