"""Checkpoints: reading them with their metrics, ordering, metadata, deletion; called by the checkpoint routes.

The order of an experiment's list is best first unless the client says otherwise (by the searcher metric and its
smaller_is_better), that of a trial plain ascending; values that are missing come last, as in the original. Deletion
marks rows; `chores` removes the files.
"""

import functools
import json
import math
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdk.db.database import Database
from pdk.db.rows import update
from pdk.determined import errors
from pdk.determined.master import retention
from pdk.determined.master.paging import Paged, PageRequest, paged
from pdk.determined.master.reports import UUID, finite
from pdk.determined.master.signals import Chore, Signals
from pdk.determined.store import checkpoints as store
from pdk.determined.store import experiments, trials
from pdk.determined.store.checkpoints import CheckpointView
from pdk.determined.store.records import JSON, CheckpointUuid, ExperimentId, TrialId
from pdk.determined.store.states import WITH_FILES, CheckpointState

MAX_GLOBS = 100


@dataclass(frozen=True)
class CheckpointOrder:
    """How a client wants checkpoints ordered; `metric`: by that validation metric; `descending` None: not said."""

    attribute: str = "UNSPECIFIED"
    metric: str = ""
    descending: bool | None = None


ATTRIBUTES: dict[str, Callable[[CheckpointView], Any]] = {
    "UUID": lambda view: view.checkpoint.uuid,
    "TRIAL_ID": lambda view: view.checkpoint.trial_id,
    "BATCH_NUMBER": lambda view: view.checkpoint.steps_completed,
    "END_TIME": lambda view: view.checkpoint.report_time,
    "STATE": lambda view: view.checkpoint.state,
    "SEARCHER_METRIC": lambda view: view.searcher_metric,
}


class Checkpoints:
    """The checkpoints of all trials."""

    def __init__(self, db: Database, signals: Signals) -> None:
        self._db = db
        self._signals = signals

    def get(self, uuid: CheckpointUuid) -> CheckpointView:
        """Return one checkpoint; raises NoSuchThing."""
        with self._db.read() as conn:
            return found(conn, uuid)

    def of_experiment(
        self, experiment_id: ExperimentId, states: Sequence[str], order: CheckpointOrder, page: PageRequest
    ) -> Paged[CheckpointView]:
        """Return checkpoints of an experiment, best first when no order is asked for; raises NoSuchThing."""
        with self._db.read() as conn:
            experiment = experiments.experiment(conn, experiment_id)
            experiment = errors.found(experiment, f"experiment {experiment_id} not found")
            views = store.views(conn, experiment_id=experiment_id)
        if order.attribute == "UNSPECIFIED" and not order.metric:
            order = CheckpointOrder("SEARCHER_METRIC", descending=order.descending)
        if order.attribute == "SEARCHER_METRIC" and order.descending is None:
            order = CheckpointOrder(
                "SEARCHER_METRIC", descending=not experiment.config["searcher"]["smaller_is_better"]
            )
        return paged(ordered(_in_states(views, states), order), page)

    def of_trial(
        self, trial_id: TrialId, states: Sequence[str], order: CheckpointOrder, page: PageRequest
    ) -> Paged[CheckpointView]:
        """Return checkpoints of a trial, ascending when no order is asked for; raises NoSuchThing."""
        with self._db.read() as conn:
            errors.found(trials.trial(conn, trial_id), f"trial {trial_id} not found")
            views = store.views(conn, trial_id=trial_id)
        return paged(ordered(_in_states(views, states), order), page)

    def unwanted(self, experiment_id: ExperimentId, policy: Mapping[str, int]) -> tuple[str, list[CheckpointView]]:
        """Return the searcher metric and the checkpoints a policy (save_...) would remove; raises NoSuchThing."""
        with self._db.read() as conn:
            experiment = experiments.experiment(conn, experiment_id)
            experiment = errors.found(experiment, f"experiment not found: {experiment_id}")
            doomed = retention.removable(conn, experiment, policy)
            views = [view for view in store.views(conn, experiment_id=experiment_id) if view.checkpoint.uuid in doomed]
        return experiment.config["searcher"]["metric"], views

    def set_metadata(self, uuid: CheckpointUuid, metadata: JSON) -> CheckpointView:
        """Replace the metadata of a checkpoint; steps_completed stays what the trial reported."""
        with self._db.transaction() as conn:
            found(conn, uuid)
            update(conn, "checkpoints", ("uuid", uuid), {"metadata": metadata})
            return found(conn, uuid)

    def delete(self, uuids: Sequence[CheckpointUuid]) -> None:
        """Mark checkpoints as deleted; raises NoSuchThing, RegisteredCheckpoints."""
        with self._db.transaction() as conn:
            self._deletable(conn, uuids)
            for uuid in uuids:
                retention.mark_deleted(conn, uuid)
                self._wake_after_commit(uuid)

    def remove_files(self, uuids: Sequence[CheckpointUuid], globs: Sequence[str]) -> None:
        """Remove the files that match one of `globs`; with none, see which files are still there.

        Raises NoSuchThing, RegisteredCheckpoints, InvalidRequest.
        """
        patterns = [glob_pattern(glob) for glob in _checked(globs)]
        with self._db.transaction() as conn:
            for view in self._deletable(conn, uuids):
                names = view.checkpoint.resources
                doomed = [name for name in names if any(p.fullmatch(name.rstrip("/")) for p in patterns)]
                doomed += [
                    n for n in names if n not in doomed and n.startswith(tuple(d for d in doomed if d[-1] == "/"))
                ]
                if doomed and len(doomed) == len(names):
                    retention.mark_deleted(conn, view.checkpoint.uuid)
                elif doomed:
                    left = {name: size for name, size in names.items() if name not in doomed}
                    _set_resources(conn, view.checkpoint.uuid, left, json.dumps(doomed))
                elif view.checkpoint.removal is None:
                    update(conn, "checkpoints", ("uuid", view.checkpoint.uuid), {"removal": "[]"})
                self._wake_after_commit(view.checkpoint.uuid)

    def set_resources(self, uuid: CheckpointUuid, resources: Mapping[str, int]) -> None:
        """Record which files are left of a checkpoint after the client removed some (none: it is deleted)."""
        with self._db.transaction() as conn:
            found(conn, uuid)
            if resources:
                _set_resources(conn, uuid, dict(resources), None)
            else:
                retention.mark_deleted(conn, uuid)
                self._wake_after_commit(uuid)

    def folder(self, uuid: CheckpointUuid) -> Path:
        """Return the folder with the files of a checkpoint; raises NoSuchThing."""
        checkpoint = self.get(uuid).checkpoint
        folder = Path(checkpoint.folder) / checkpoint.uuid
        if checkpoint.state not in WITH_FILES or not folder.is_dir():
            raise errors.NoSuchThing(f"the files of checkpoint {uuid} are not there (state {checkpoint.state})")
        return folder

    def _deletable(self, conn: sqlite3.Connection, uuids: Sequence[CheckpointUuid]) -> list[CheckpointView]:
        if not uuids:
            raise errors.InvalidRequest("no checkpoints were named")
        views = [found(conn, uuid) for uuid in uuids]
        registered = store.registered(conn, uuids)
        if registered:
            raise errors.RegisteredCheckpoints(
                f"this subset of checkpoints provided are in the model registry and cannot be deleted: {registered}"
            )
        return views

    def _wake_after_commit(self, uuid: CheckpointUuid) -> None:
        self._db.after_commit(lambda: self._signals.wake_chores(Chore.CHECKPOINT, uuid))


def found(conn: sqlite3.Connection, uuid: CheckpointUuid) -> CheckpointView:
    """Return one checkpoint; raises NoSuchThing for unknown ones and for what is no UUID."""
    return errors.found(store.view(conn, uuid) if UUID.match(uuid) else None, f"checkpoint {uuid[:60]} not found")


def ordered(views: Sequence[CheckpointView], order: CheckpointOrder) -> list[CheckpointView]:
    """Sort checkpoints; missing values come last whatever the direction."""
    value = ATTRIBUTES.get(order.attribute, ATTRIBUTES["END_TIME"])
    if order.metric:
        value = functools.partial(comparable, metric=order.metric)
    present = [view for view in views if value(view) is not None]
    missing = [view for view in views if value(view) is None]
    return sorted(present, key=value, reverse=bool(order.descending)) + missing


def comparable(view: CheckpointView, metric: str) -> float | None:
    """Return a validation metric of a checkpoint as a number, None when it has none."""
    number = finite((view.validation or {}).get(metric))
    return None if number is None or math.isnan(number) else number


def _in_states(views: Sequence[CheckpointView], states: Sequence[str]) -> list[CheckpointView]:
    return [view for view in views if not states or view.checkpoint.state in states]


def _set_resources(conn: sqlite3.Connection, uuid: CheckpointUuid, left: dict[str, int], removal: str | None) -> None:
    changes = {
        "state": CheckpointState.PARTIALLY_DELETED,
        "resources": left,
        "size": sum(left.values()),
        "removal": removal,
    }
    update(conn, "checkpoints", ("uuid", uuid), changes)


def _checked(globs: Sequence[str]) -> Sequence[str]:
    for glob in globs:
        if ".." in Path(glob).parts or glob.startswith("/") or not glob or "\0" in glob:
            raise errors.InvalidRequest(f"glob {glob[:60]!r} must be relative and stay inside the checkpoint")
    if len(globs) > MAX_GLOBS:
        raise errors.InvalidRequest(f"more than {MAX_GLOBS} globs")
    return globs


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Translate a glob: `*` and `?` stay within one folder, `**` goes over any number of them."""
    parts = Path(glob).parts
    texts = ["(?:[^/]+/)*" if part == "**" else _segment(part) + "/" for part in parts[:-1]]
    texts.append(".*" if parts[-1] == "**" else _segment(parts[-1]))
    return re.compile("".join(texts), re.DOTALL)


def _segment(part: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character)) for character in part)
