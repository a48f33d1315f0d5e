"""Experiments: creating, listing, patching and the verbs of their life cycle; called by the experiment routes.

Mirrors master/internal/core_experiment.go (order of processing when one is created) and api_experiment.go.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pdk.base.clock import rfc3339_now
from pdk.base.ids import new_uuid
from pdk.db.database import Database
from pdk.db.rows import insert, to_json, update
from pdk.determined import errors
from pdk.determined.master import context, retention, search
from pdk.determined.master.config import experiment as config_rules
from pdk.determined.master.config.experiment import Defaults, storage_folder
from pdk.determined.master.paging import Paged, PageRequest
from pdk.determined.master.signals import Chore, Signals
from pdk.determined.master.transitions import Transitions
from pdk.determined.master.users import Caller
from pdk.determined.master.workspaces import FIRST_PROJECT, found_project
from pdk.determined.store import checkpoints, metrics, trials, workspaces
from pdk.determined.store import experiments as store
from pdk.determined.store.experiments import ExperimentFilter, ExperimentView
from pdk.determined.store.files import ModelDefinitions
from pdk.determined.store.records import JSON, Experiment, ExperimentId, ProjectId, TaskId
from pdk.determined.store.states import TERMINAL, CheckpointState, LifeState

MAX_NAME_CHARACTERS = 128


@dataclass(frozen=True)
class Submission:
    """A request to create an experiment; `config` is the YAML text as sent."""

    config: str
    files: Sequence[context.ContextFile] = ()
    parent_id: ExperimentId | None = None
    project_id: ProjectId | None = None
    activate: bool = True
    validate_only: bool = False


@dataclass(frozen=True)
class ExperimentPatch:
    """The fields of an experiment to change; None leaves one as it is. `resources`, `storage`: parts of the config."""

    name: str | None = None
    description: str | None = None
    notes: str | None = None
    labels: Sequence[str] | None = None
    resources: JSON = field(default_factory=dict)
    storage: JSON = field(default_factory=dict)


class _OnlyValidated(Exception):
    """Rolls back the creation of an experiment that was only to be validated."""

    def __init__(self, view: ExperimentView) -> None:
        super().__init__("validated")
        self.view = view


class Experiments:
    """All experiments."""

    def __init__(
        self,
        db: Database,
        signals: Signals,
        transitions: Transitions,
        definitions: ModelDefinitions,
        defaults: Defaults,
    ) -> None:
        self._db = db
        self._signals = signals
        self._transitions = transitions
        self._definitions = definitions
        self._defaults = defaults

    def create(self, caller: Caller, submission: Submission) -> ExperimentView:
        """Create an experiment and its first trials; one that is only validated leaves nothing behind.

        Raises InvalidConfig, InvalidContext, NoSuchThing (project, parent, warm start source), WrongState.
        """
        config = config_rules.fill(submission.config, self._defaults)
        search.total(config)  # refuses a grid that is too large
        definition = context.pack(submission.files) if submission.files else self._parent_definition(submission)
        digest = "" if submission.validate_only else self._definitions.put(definition)
        try:
            with self._db.transaction() as conn:
                if digest:
                    # A deletion of the last experiment with the same files may have removed them since.
                    self._definitions.put(definition)
                experiment_id = self._insert(conn, caller, submission, config, digest, len(definition))
                self._transitions.advance_experiment(conn, experiment_id)
                view = _found(conn, experiment_id)
                if submission.validate_only:
                    raise _OnlyValidated(view)
        except _OnlyValidated as done:
            return done.view
        return view

    def _parent_definition(self, submission: Submission) -> bytes:
        """Return the parent's model definition, for a continued experiment that brings none of its own."""
        if submission.parent_id is None:
            return context.pack(())
        return self.model_definition(submission.parent_id)

    def _insert(
        self,
        conn: sqlite3.Connection,
        caller: Caller,
        submission: Submission,
        config: JSON,
        digest: str,
        size: int,
    ) -> ExperimentId:
        if submission.parent_id is not None:
            _found(conn, submission.parent_id)
        row = {
            "project_id": _project_of(conn, submission.project_id, config),
            "owner_id": caller.user.id,
            "parent_id": submission.parent_id,
            "job_id": new_uuid(),
            "state": LifeState.ACTIVE if submission.activate else LifeState.PAUSED,
            "name": config["name"],
            "description": config["description"],
            "labels": config["labels"],
            "config": config,
            "original_config": submission.config,
            "model_definition": digest,
            "model_definition_size": size,
            "warm_start": _warm_start(conn, config),
            "start_time": rfc3339_now(),
        }
        return ExperimentId(insert(conn, "experiments", row))

    def get(self, experiment_id: ExperimentId) -> ExperimentView:
        """Return one experiment; raises NoSuchThing."""
        with self._db.read() as conn:
            return _found(conn, experiment_id)

    def list_experiments(
        self, wanted: ExperimentFilter, sort: str, descending: bool, page: PageRequest
    ) -> Paged[ExperimentView]:
        """Return one page of the experiments that pass a filter; raises InvalidRequest for an unknown sort."""
        if sort not in store.SORT_COLUMNS:
            raise errors.InvalidRequest(f"unsupported sort by {sort}")
        with self._db.read() as conn:
            total = store.count(conn, wanted)
            start, end = page.window(total)
            views = store.views(conn, wanted, sort, descending, start, end - start)
        return Paged(views, page, start, end, total)

    def model_definition(self, experiment_id: ExperimentId) -> bytes:
        """Return the submitted files as .tar.gz; raises NoSuchThing."""
        return self._definitions.get(self.get(experiment_id).experiment.model_definition)

    def definition_of_task(self, task_id: TaskId) -> bytes:
        """Return the context directory of a trial's task as .tar.gz; raises NoSuchThing."""
        with self._db.read() as conn:
            trial = errors.found(trials.trial_of_task(conn, task_id), f"task {task_id} not found")
        return self.model_definition(trial.experiment_id)

    def best_metric(self, experiment_id: ExperimentId) -> float:
        """Return the best searcher metric over all trials; raises NoSuchThing when there is none yet."""
        with self._db.read() as conn:
            config = _found(conn, experiment_id).experiment.config
            best = metrics.best_of_experiment(conn, experiment_id, config["searcher"]["smaller_is_better"])
        return errors.found(best, f"no validation metrics for experiment {experiment_id} yet")

    def patch(self, experiment_id: ExperimentId, patch: ExperimentPatch) -> ExperimentView:
        """Change name, description, notes, labels, or parts of the config; raises NoSuchThing, InvalidRequest."""
        if patch.name is not None and not 1 <= len(patch.name.strip()) <= MAX_NAME_CHARACTERS:
            raise errors.InvalidRequest(f"experiment name must have 1 to {MAX_NAME_CHARACTERS} characters")
        with self._db.transaction() as conn:
            experiment = _found(conn, experiment_id).experiment
            config = dict(experiment.config)
            given = {
                "name": patch.name,
                "description": patch.description,
                "labels": None if patch.labels is None else list(dict.fromkeys(patch.labels)),
            }
            changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
            config.update(changes)
            config["resources"] = {**config["resources"], **patch.resources}
            config["checkpoint_storage"] = {**config["checkpoint_storage"], **patch.storage}
            if patch.notes is not None:
                changes["notes"] = patch.notes
            update(conn, "experiments", ("id", experiment_id), {**changes, "config": to_json(config)})
            if patch.storage and experiment.state in TERMINAL:
                self._transitions.collect_checkpoints(conn, experiment_id)
            return _found(conn, experiment_id)

    def label(self, experiment_id: ExperimentId, label: str, present: bool) -> list[str]:
        """Add or remove one label and return all."""
        with self._db.transaction() as conn:
            labels = [each for each in _found(conn, experiment_id).experiment.labels if each != label]
            labels += [label] if present else []
            return self.patch(experiment_id, ExperimentPatch(labels=labels)).experiment.labels

    def activate(self, experiment_id: ExperimentId) -> None:
        """Let a paused experiment run; raises WrongState when it has ended."""
        self._want(experiment_id, LifeState.ACTIVE)

    def pause(self, experiment_id: ExperimentId) -> None:
        """Ask the trials to checkpoint and exit until activated again; raises WrongState when it has ended."""
        self._want(experiment_id, LifeState.PAUSED)

    def cancel(self, experiment_id: ExperimentId) -> None:
        """Ask the trials to checkpoint and end; nothing when the experiment has ended."""
        self._stop(experiment_id, LifeState.STOPPING_CANCELED)

    def kill(self, experiment_id: ExperimentId) -> None:
        """End the trials at once; nothing when the experiment has ended."""
        self._stop(experiment_id, LifeState.STOPPING_KILLED)

    def _want(self, experiment_id: ExperimentId, state: LifeState) -> None:
        with self._db.transaction() as conn:
            experiment = _found(conn, experiment_id).experiment
            if experiment.state not in (LifeState.ACTIVE, LifeState.PAUSED):
                raise errors.WrongState(
                    f"experiment {experiment_id} is in state {experiment.state}: it cannot become {state}"
                )
            self._set_state(conn, experiment, state)

    def _stop(self, experiment_id: ExperimentId, state: LifeState) -> None:
        with self._db.transaction() as conn:
            experiment = _found(conn, experiment_id).experiment
            if experiment.state not in (*TERMINAL, LifeState.STOPPING_KILLED, LifeState.DELETING):
                self._set_state(conn, experiment, state)

    def _set_state(self, conn: sqlite3.Connection, experiment: Experiment, state: LifeState) -> None:
        update(conn, "experiments", ("id", experiment.id), {"state": state})
        for trial in trials.of_experiment(conn, experiment.id):
            self._transitions.set_trial_state(conn, trial, state)
        self._transitions.advance_experiment(conn, experiment.id)
        self._db.after_commit(self._signals.tasks.notify)

    def archive(self, experiment_id: ExperimentId, archived: bool) -> None:
        """Archive or unarchive an experiment that has ended; raises WrongState."""
        with self._db.transaction() as conn:
            experiment = _found(conn, experiment_id).experiment
            if experiment.state not in TERMINAL:
                raise errors.WrongState(
                    f"cannot archive experiment {experiment_id} in non terminate state {experiment.state}"
                )
            update(conn, "experiments", ("id", experiment_id), {"archived": archived})

    def move(self, experiment_id: ExperimentId, project_id: ProjectId) -> None:
        """Move an experiment to another project; raises NoSuchThing, WrongState when one of both is archived."""
        with self._db.transaction() as conn:
            if _found(conn, experiment_id).experiment.archived:
                raise errors.WrongState(f"experiment ({experiment_id}) is archived and cannot be moved")
            if found_project(conn, project_id).project.archived:
                raise errors.WrongState(f"project ({project_id}) is archived and cannot add new experiments")
            update(conn, "experiments", ("id", experiment_id), {"project_id": project_id})

    def delete(self, experiment_id: ExperimentId) -> None:
        """Begin the deletion of an experiment with its logs and checkpoints.

        Raises NoSuchThing, WrongState while it runs, RegisteredCheckpoints.
        """
        with self._db.transaction() as conn:
            experiment = _found(conn, experiment_id).experiment
            if experiment.state is LifeState.DELETING:
                return
            if experiment.state not in TERMINAL:
                raise errors.WrongState(
                    f"cannot delete experiment {experiment_id} in state {experiment.state}: kill it first"
                )
            uuids = [view.checkpoint.uuid for view in checkpoints.views(conn, experiment_id=experiment_id)]
            if registered := checkpoints.registered(conn, uuids):
                raise errors.RegisteredCheckpoints(
                    f"checkpoints of experiment {experiment_id} are in the model registry, "
                    f"the experiment cannot be deleted: {registered}"
                )
            for uuid in uuids:
                # At once, so that none of them can be registered or started from any more.
                retention.mark_deleted(conn, uuid)
            update(conn, "experiments", ("id", experiment_id), {"state": LifeState.DELETING})
            self._db.after_commit(lambda: self._signals.wake_chores(Chore.EXPERIMENT, experiment_id))


def _found(conn: sqlite3.Connection, experiment_id: ExperimentId) -> ExperimentView:
    return errors.found(store.view(conn, experiment_id), f"experiment {experiment_id} not found")


def _project_of(conn: sqlite3.Connection, project_id: ProjectId | None, config: JSON) -> ProjectId:
    """Return the project: the one asked for by id, else by name in the configuration, else "Uncategorized"."""
    if project_id is not None and project_id > FIRST_PROJECT:
        view = found_project(conn, project_id)
        project, names = view.project, (view.workspace_name, view.project.name)
    elif config["workspace"]:
        names = (config["workspace"], config["project"])
        missing = f"workspace/project '{names[0]}/{names[1]}' not found"
        project = errors.found(workspaces.project_named(conn, *names), missing)
    else:
        return FIRST_PROJECT
    if project.archived:
        raise errors.WrongState(f"project '{names[0]}/{names[1]}' is archived and cannot add new experiments")
    return project.id


def _warm_start(conn: sqlite3.Connection, config: JSON) -> str | None:
    """Return the checkpoint the trials start from; source_trial_id wins over source_checkpoint_uuid."""
    trial_id, uuid = config["searcher"]["source_trial_id"], config["searcher"]["source_checkpoint_uuid"]
    if trial_id is not None:
        latest = checkpoints.latest(conn, trial_id)
        checkpoint = errors.found(latest, f"no checkpoint found for source_trial_id {trial_id}")
    elif uuid is not None:
        named = checkpoints.checkpoint(conn, uuid)
        checkpoint = errors.found(named, f"no checkpoint found for source_checkpoint_uuid {uuid}")
    else:
        return None
    if checkpoint.state is not CheckpointState.COMPLETED:
        raise errors.WrongState(f"source checkpoint {checkpoint.uuid} is in state {checkpoint.state}, not COMPLETED")
    folder = storage_folder(config["checkpoint_storage"])
    if checkpoint.folder != folder:
        raise errors.InvalidConfig(
            [
                f"<config>.checkpoint_storage: source checkpoint {checkpoint.uuid} lies in {checkpoint.folder}, "
                f"not in {folder}"
            ]
        )
    return checkpoint.uuid
