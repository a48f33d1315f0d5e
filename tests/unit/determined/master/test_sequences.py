"""Random sequences of what users wish and processes do: whatever happens, the rows stay consistent."""

import shutil
import tempfile
from pathlib import Path

import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pdk.determined import errors
from pdk.determined.master.config.experiment import Defaults
from pdk.determined.master.experiments import Experiments, Submission
from pdk.determined.master.reports import Reports
from pdk.determined.master.signals import Signals
from pdk.determined.master.transitions import Exit, Transitions
from pdk.determined.master.users import Caller, Users
from pdk.determined.master.workspaces import Workspaces
from pdk.determined.store import experiments as experiment_rows
from pdk.determined.store import trials
from pdk.determined.store.files import ModelDefinitions
from pdk.determined.store.schema import open_database
from pdk.determined.store.states import TERMINAL, TERMINAL_OF

SLOTS = 2
PICK = st.integers(0, 100)
CONFIGS = (
    {"searcher": {"name": "single", "metric": "loss"}, "max_restarts": 1},
    {
        "searcher": {"name": "random", "metric": "loss", "max_trials": 3, "max_concurrent_trials": 2},
        "hyperparameters": {"lr": {"type": "double", "minval": 0, "maxval": 1}},
        "max_restarts": 0,
    },
)


class LifeCycle(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pdk-sequences-"))
        self.db = open_database(self.folder / "determined.db")
        signals = Signals()
        self.transitions = Transitions(self.db, signals)
        self.reports = Reports(self.db, signals)
        users = Users(self.db)
        users.set_up()
        Workspaces(self.db).set_up()
        definitions = ModelDefinitions(self.folder / "definitions")
        defaults = Defaults(str(self.folder / "checkpoints"), "default")
        self.experiments = Experiments(self.db, signals, self.transitions, definitions, defaults)
        self.caller = Caller(users.get_named("determined"))
        self.ids = []
        self.ended = {}

    def teardown(self):
        self.db.close()
        shutil.rmtree(self.folder)

    def all_trials(self):
        with self.db.read() as conn:
            return [trial for i in self.ids for trial in trials.of_experiment(conn, i)]

    def open_allocations(self):
        with self.db.read() as conn:
            return trials.open_allocations(conn)

    @precondition(lambda self: len(self.ids) < 3)
    @rule(config=st.sampled_from(CONFIGS), activate=st.booleans())
    def create(self, config, activate):
        text = yaml.safe_dump({"entrypoint": "run me", "reproducibility": {"experiment_seed": 3}, **config})
        view = self.experiments.create(self.caller, Submission(text, activate=activate))
        self.ids.append(view.experiment.id)

    @precondition(lambda self: self.ids)
    @rule(pick=PICK, verb=st.sampled_from(["activate", "pause", "cancel", "kill"]))
    def wish(self, pick, verb):
        experiment_id = self.ids[pick % len(self.ids)]
        try:
            getattr(self.experiments, verb)(experiment_id)
        except errors.WrongState:
            assert verb in ("activate", "pause")

    @precondition(lambda self: self.ids)
    @rule(pick=PICK)
    def look(self, pick):
        """What the trial loop does with a trial that holds nothing."""
        every = self.all_trials()
        trial = every[pick % len(every)]
        with self.db.read() as conn:
            held = trials.open_allocation(conn, trial.id)
        if held is None and trial.state in TERMINAL_OF:
            self.transitions.stop_without_allocation(trial.id)
        elif held is None:
            opened = self.transitions.open_allocation(trial.id, SLOTS)
            if opened is not None:
                assert trial.state == "ACTIVE"
                self.transitions.mark_running(opened[0], opened[1])

    @precondition(lambda self: self.open_allocations())
    @rule(pick=PICK, how=st.sampled_from(["done", "failed", "preempted", "killed", "lost", "fatal"]))
    def exit(self, pick, how):
        held = self.open_allocations()
        allocation = held[pick % len(held)]
        if how == "preempted":
            self.reports.acknowledge_preemption(self.caller, allocation.id)
        if how == "killed":
            self.transitions.note_kill(allocation, "test")
        outcome = {"done": Exit(0), "failed": Exit(1), "preempted": Exit(0), "killed": Exit(-9)}
        outcome |= {"lost": Exit(None, lost=True), "fatal": Exit(None, "no", fatal=True)}
        self.transitions.close_allocation(allocation.id, outcome[how])

    @invariant()
    def slots_are_not_exceeded_and_held_only_by_living_trials(self):
        held = self.open_allocations()
        assert len(held) <= SLOTS
        assert len({allocation.trial_id for allocation in held}) == len(held)
        states = {trial.id: trial.state for trial in self.all_trials()}
        assert all(states[allocation.trial_id] not in TERMINAL for allocation in held)

    @invariant()
    def an_experiment_ends_exactly_with_its_trials(self):
        for experiment_id in self.ids:
            with self.db.read() as conn:
                state = experiment_rows.experiment(conn, experiment_id).state
                of_it = trials.of_experiment(conn, experiment_id)
            assert of_it
            assert (state in TERMINAL) == all(trial.state in TERMINAL for trial in of_it)

    @invariant()
    def what_has_ended_stays_as_it_ended(self):
        for trial in self.all_trials():
            if trial.id in self.ended:
                assert trial.state == self.ended[trial.id]
            elif trial.state in TERMINAL:
                assert trial.end_time is not None
                self.ended[trial.id] = trial.state


LifeCycle.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLifeCycle = LifeCycle.TestCase
