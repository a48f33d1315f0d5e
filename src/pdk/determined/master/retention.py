"""Which checkpoints are kept when an experiment ends, and the marking of those that go.

Mirrors master/internal/experiment/postgres_experiments.go: the best over the experiment, the best and the latest of
each trial, as the experiment's checkpoint_storage says. Never touched: checkpoints of registered model versions and
those some experiment or trial starts from. Marking is part of the transaction; files are removed afterwards
(`chores`).
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from pdk.db.rows import update
from pdk.determined.store import checkpoints
from pdk.determined.store.checkpoints import CheckpointView
from pdk.determined.store.records import CheckpointUuid, Experiment
from pdk.determined.store.states import WITH_FILES, CheckpointState

ALL_FILES = "*"


def unwanted(
    views: Iterable[CheckpointView], storage: Mapping[str, Any], smaller_is_better: bool
) -> set[CheckpointUuid]:
    """Return the uuids of the completed checkpoints the policy `storage` does not keep."""
    candidates = [view for view in views if view.checkpoint.state in WITH_FILES]
    sign = 1 if smaller_is_better else -1
    best = sorted(
        (view for view in candidates if view.searcher_metric is not None),
        key=lambda view: (sign * (view.searcher_metric or 0.0), view.checkpoint.steps_completed),
    )
    latest = sorted(candidates, key=lambda view: -view.checkpoint.steps_completed)
    kept = {view.checkpoint.uuid for view in best[: storage["save_experiment_best"]]}
    for trial_id in {view.checkpoint.trial_id for view in candidates}:
        for ordered, count in ((best, storage["save_trial_best"]), (latest, storage["save_trial_latest"])):
            kept.update([v.checkpoint.uuid for v in ordered if v.checkpoint.trial_id == trial_id][:count])
    return {view.checkpoint.uuid for view in candidates} - kept


def removable(conn: sqlite3.Connection, experiment: Experiment, policy: Mapping[str, Any]) -> set[CheckpointUuid]:
    """Return the uuids of an experiment's checkpoints that `policy` does not keep and that may go."""
    views = checkpoints.views(conn, experiment_id=experiment.id)
    doomed = unwanted(views, policy, experiment.config["searcher"]["smaller_is_better"])
    doomed -= checkpoints.warm_start_sources(conn)
    return doomed - set(checkpoints.registered(conn, sorted(doomed)))


def mark_unwanted(conn: sqlite3.Connection, experiment: Experiment) -> list[CheckpointUuid]:
    """Mark the checkpoints of an experiment that its policy does not keep as DELETED; return their uuids."""
    doomed = removable(conn, experiment, experiment.config["checkpoint_storage"])
    for uuid in doomed:
        mark_deleted(conn, uuid)
    return sorted(doomed)


def mark_deleted(conn: sqlite3.Connection, uuid: CheckpointUuid) -> None:
    """Mark one checkpoint as DELETED, its files as to be removed."""
    changes = {"state": CheckpointState.DELETED, "resources": {}, "size": 0, "removal": ALL_FILES}
    update(conn, "checkpoints", ("uuid", uuid), changes)
