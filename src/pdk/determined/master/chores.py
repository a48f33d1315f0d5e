"""Removing what rows say is to be removed: files of deleted checkpoints, deleted experiments.

A work loop with keys `checkpoint/<uuid>` and `experiment/<id>`. The row was changed first, in the transaction that
decided the deletion; files go afterwards, and the row says so last. A crash in between only means doing it again.
"""

import json
import shutil
from pathlib import Path

from pdk.db.database import Database
from pdk.db.rows import update
from pdk.determined.master.config.experiment import storage_folder
from pdk.determined.master.launch import RunFolders
from pdk.determined.master.retention import ALL_FILES
from pdk.determined.master.signals import Chore, Signals
from pdk.determined.store import checkpoints, experiments
from pdk.determined.store.files import ModelDefinitions, checkpoint_files, remove_checkpoint_files
from pdk.determined.store.records import CheckpointUuid, Experiment, ExperimentId
from pdk.determined.store.states import LifeState
from pdk.reconcile.loop import Reconciler

RESYNC_SECONDS = 60.0


class Chores:
    """The loop that removes files."""

    def __init__(self, db: Database, signals: Signals, definitions: ModelDefinitions) -> None:
        self._db = db
        self._signals = signals
        self._definitions = definitions
        self._folders: RunFolders | None = None
        self._cluster_id = ""
        self._loop = Reconciler("chores", self._reconcile, self._keys, RESYNC_SECONDS, workers=1)

    def start(self, folders: RunFolders, cluster_id: str) -> None:
        """Begin; what an earlier master left undone comes first."""
        self._folders = folders
        self._cluster_id = cluster_id
        self._signals.wake_chores = lambda chore, name: self._loop.enqueue(f"{chore}/{name}")
        self._loop.start()

    def stop(self) -> None:
        """End after the present chore."""
        self._loop.stop()

    def _keys(self) -> list[str]:
        with self._db.read() as conn:
            keys = [f"{Chore.CHECKPOINT}/{each.uuid}" for each in checkpoints.to_remove(conn)]
            return keys + [f"{Chore.EXPERIMENT}/{each.id}" for each in experiments.unfinished_deletions(conn)]

    def _reconcile(self, key: str) -> None:
        kind, _, name = key.partition("/")
        if kind == Chore.CHECKPOINT:
            self._remove_files(CheckpointUuid(name))
        else:
            self._delete_experiment(ExperimentId(int(name)))

    def _remove_files(self, uuid: CheckpointUuid) -> None:
        with self._db.read() as conn:
            checkpoint = checkpoints.checkpoint(conn, uuid)
        if checkpoint is None or checkpoint.removal is None:
            return
        folder = Path(checkpoint.folder) / checkpoint.uuid
        changes: dict[str, object] = {"removal": None}
        if checkpoint.removal == ALL_FILES:
            remove_checkpoint_files(folder)
        else:
            remove_checkpoint_files(folder, json.loads(checkpoint.removal))
            left = {name: path.stat().st_size if path.is_file() else 0 for name, path in checkpoint_files(folder)}
            changes.update({"resources": left, "size": sum(left.values())})
        with self._db.transaction() as conn:
            update(conn, "checkpoints", ("uuid", checkpoint.uuid), changes)

    def _delete_experiment(self, experiment_id: ExperimentId) -> None:
        with self._db.read() as conn:
            experiment = experiments.experiment(conn, experiment_id)
            views = checkpoints.views(conn, experiment_id=experiment_id)
        if experiment is None or experiment.state is not LifeState.DELETING:
            return
        for view in views:
            self._remove_files(view.checkpoint.uuid)
        self._remove_tensorboard(experiment)
        if self._folders is not None:
            self._folders.remove_packages(experiment_id)
        with self._db.transaction() as conn:
            conn.execute(
                "DELETE FROM task_logs WHERE trial_id IN (SELECT id FROM trials WHERE experiment_id = ?)",
                (experiment_id,),
            )
            conn.execute("DELETE FROM experiments WHERE id = ?", (experiment_id,))
            unused = not experiments.definition_in_use(conn, experiment.model_definition)
            self._db.after_commit(self._signals.tasks.notify)
            if unused:
                # Inside the transaction: no experiment with the same files can be created meanwhile.
                self._definitions.remove(experiment.model_definition)

    def _remove_tensorboard(self, experiment: Experiment) -> None:
        """Remove the event files the harness put beside the checkpoints."""
        folder = Path(storage_folder(experiment.config["checkpoint_storage"]), self._cluster_id, "tensorboard")
        shutil.rmtree(folder / "experiment" / str(experiment.id), ignore_errors=True)
