"""Removing files after the rows said so, also when the process that wrote the rows is gone."""

import pytest
from waiting import wait_until

from pdk.determined import errors
from pdk.determined.master.chores import Chores
from pdk.determined.master.cluster import Names
from pdk.determined.master.launch import RunFolders
from pdk.determined.master.models import ModelFields, VersionFields
from pdk.determined.master.settings import MasterSettings
from pdk.determined.master.transitions import Exit


@pytest.fixture
def chores(bench):
    """Start the chores of a fresh master over the bench's rows."""
    started = []

    def start():
        settings = MasterSettings(bench.folder / "data", "test/")
        folders = RunFolders(settings, Names("cluster", "master", "pdk", ""), "http://127.0.0.1:1")
        loop = Chores(bench.db, bench.signals, bench.definitions)
        loop.start(folders, "cluster")
        started.append(loop)

    yield start
    for loop in started:
        loop.stop()


def ended_experiment(bench, steps=(100, 200, 300)):
    """An ended experiment whose checkpoints have files; only the last one is kept."""
    experiment_id = bench.submit(checkpoint_storage={"save_trial_best": 0})
    (trial,) = bench.trials_of(experiment_id)
    allocation = bench.begin(trial.id)
    folders = []
    for i, step in enumerate(steps):
        folder = bench.folder / "checkpoints" / bench.save(trial.id, step, 100 * experiment_id + i)
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "b").write_text("12345")
        folders.append(folder)
    bench.transitions.close_allocation(allocation.id, Exit(0))
    return experiment_id, folders


def test_files_go_after_a_restart(bench, chores):
    _, folders = ended_experiment(bench)
    assert all(folder.exists() for folder in folders)
    chores()
    wait_until(lambda: not any(folder.exists() for folder in folders[:2]))
    wait_until(lambda: bench.checkpoints.get(folders[0].name).checkpoint.removal is None)
    assert folders[2].exists()


def test_files_that_are_gone_already_are_no_trouble(bench, chores):
    _, folders = ended_experiment(bench)
    (folders[0] / "a" / "b").unlink()
    (folders[0] / "a").rmdir()
    folders[0].rmdir()
    chores()
    wait_until(lambda: bench.checkpoints.get(folders[0].name).checkpoint.removal is None)


def test_some_files(bench, chores):
    _, folders = ended_experiment(bench)
    kept = folders[2]
    (kept / "c").write_text("new")
    bench.checkpoints.set_resources(kept.name, {"a/": 0, "a/b": 5, "c": 3})
    bench.checkpoints.remove_files([kept.name], ["a/*"])
    chores()
    wait_until(lambda: bench.checkpoints.get(kept.name).checkpoint.removal is None)
    checkpoint = bench.checkpoints.get(kept.name).checkpoint
    assert (checkpoint.state, checkpoint.resources, checkpoint.size) == ("PARTIALLY_DELETED", {"a/": 0, "c": 3}, 3)
    assert sorted(p.name for p in kept.iterdir()) == ["a", "c"]


def test_looking_again_at_what_is_there(bench, chores):
    _, folders = ended_experiment(bench)
    (folders[2] / "c").write_text("new")
    bench.checkpoints.remove_files([folders[2].name], [])
    chores()
    wait_until(lambda: "c" in bench.checkpoints.get(folders[2].name).checkpoint.resources)


def test_deleting_experiments(bench, chores):
    first, folders = ended_experiment(bench)
    second, _ = ended_experiment(bench)
    digest = bench.experiments.get(first).experiment.model_definition
    events = bench.folder / "checkpoints" / "cluster" / "tensorboard" / "experiment" / str(first)
    events.mkdir(parents=True)
    bench.experiments.delete(first)
    bench.experiments.delete(first)
    assert bench.state(first) == "DELETING"
    bench.models.create(bench.caller, ModelFields(name="churn"))
    with pytest.raises(errors.WrongState, match="DELETED"):
        bench.models.register(bench.caller, "churn", folders[2].name, VersionFields())
    with pytest.raises(errors.WrongState):
        bench.experiments.activate(first)
    chores()

    def gone(experiment_id):
        try:
            bench.experiments.get(experiment_id)
        except errors.NoSuchThing:
            return True
        return False

    wait_until(lambda: gone(first))
    assert not any(folder.exists() for folder in folders)
    assert not events.exists()
    assert bench.definitions.get(digest)
    bench.experiments.delete(second)
    wait_until(lambda: gone(second))
    assert not bench.definitions.path(digest).exists()
    assert bench.submit() > second
