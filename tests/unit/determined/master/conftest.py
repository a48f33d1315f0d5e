"""The master's engines over a fresh database, without processes and without HTTP."""

import types

import pytest
import yaml

from pdk.determined.master.checkpoints import Checkpoints
from pdk.determined.master.config.experiment import Defaults
from pdk.determined.master.context import ContextFile
from pdk.determined.master.experiments import Experiments, Submission
from pdk.determined.master.models import Models
from pdk.determined.master.reports import CheckpointReport, MetricsReport, Reports
from pdk.determined.master.signals import Signals
from pdk.determined.master.transitions import Transitions
from pdk.determined.master.trials import Trials
from pdk.determined.master.users import Caller, Users
from pdk.determined.master.workspaces import Workspaces
from pdk.determined.store import trials as trial_rows
from pdk.determined.store.files import ModelDefinitions
from pdk.determined.store.schema import open_database


class Bench(types.SimpleNamespace):
    """Engines and shortcuts."""

    def submit(self, **changes):
        config = {
            "entrypoint": "python train.py",
            "searcher": {"name": "single", "metric": "loss"},
            "max_restarts": 0,
            "reproducibility": {"experiment_seed": 1},
            **changes,
        }
        files = [ContextFile("train.py", 48, "", 0o644, 0)]
        return self.experiments.create(self.caller, Submission(yaml.safe_dump(config), files)).experiment.id

    def trials_of(self, experiment_id):
        with self.db.read() as conn:
            return trial_rows.of_experiment(conn, experiment_id)

    def trial(self, trial_id):
        return self.trials.get(trial_id).view.trial

    def state(self, experiment_id):
        return self.experiments.get(experiment_id).shown_state

    def begin(self, trial_id, slots=4):
        """Start the next run of a trial, as the loop would."""
        opened = self.transitions.open_allocation(trial_id, slots)
        if opened is None:
            return None
        trial, allocation, _ = opened
        self.transitions.mark_running(trial, allocation)
        return allocation

    def report(self, trial_id, steps, loss, group="validation", run_id=None, **more):
        run = self.trial(trial_id).run_id if run_id is None else run_id
        averages = {"loss": loss, "batches": steps, **more}
        self.reports.metrics(self.caller, trial_id, MetricsReport(group, run, steps, averages))

    def save(self, trial_id, steps, number, state="COMPLETED"):
        trial = self.trial(trial_id)
        uuid = f"{number:08d}-0000-4000-8000-000000000000"
        allocation = f"{trial.task_id}.{trial.run_id}"
        report = CheckpointReport(
            uuid, allocation, trial.task_id, state, {"a/": 0, "a/b": 5}, {"steps_completed": steps}
        )
        self.reports.checkpoint(self.caller, report)
        return uuid


@pytest.fixture
def bench(tmp_path):
    db = open_database(tmp_path / "determined.db")
    signals = Signals()
    transitions = Transitions(db, signals)
    users, workspaces = Users(db), Workspaces(db)
    users.set_up()
    workspaces.set_up()
    definitions = ModelDefinitions(tmp_path / "definitions")
    defaults = Defaults(str(tmp_path / "checkpoints"), "default")
    yield Bench(
        db=db,
        folder=tmp_path,
        signals=signals,
        transitions=transitions,
        definitions=definitions,
        users=users,
        workspaces=workspaces,
        experiments=Experiments(db, signals, transitions, definitions, defaults),
        trials=Trials(db, transitions),
        reports=Reports(db, signals),
        checkpoints=Checkpoints(db, signals),
        models=Models(db),
        caller=Caller(users.get_named("determined")),
    )
    db.close()
