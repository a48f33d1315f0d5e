"""Which checkpoints survive the end of an experiment, and which must never go."""

import pytest

from pdk.determined import errors
from pdk.determined.master.experiments import ExperimentPatch
from pdk.determined.master.models import ModelFields, VersionFields
from pdk.determined.master.signals import Chore
from pdk.determined.master.transitions import Exit


def finished(bench, losses, **changes):
    """An ended experiment with a checkpoint per 100 steps and the given losses (None: not validated)."""
    experiment_id = bench.submit(**changes)
    (trial,) = bench.trials_of(experiment_id)
    allocation = bench.begin(trial.id)
    uuids = []
    for i, loss in enumerate(losses):
        if loss is not None:
            bench.report(trial.id, 100 * (i + 1), loss)
        uuids.append(bench.save(trial.id, 100 * (i + 1), 1000 * experiment_id + i))
    return experiment_id, uuids, lambda: bench.transitions.close_allocation(allocation.id, Exit(0))


def kept(bench, uuids):
    return [i for i, uuid in enumerate(uuids) if bench.checkpoints.get(uuid).checkpoint.state == "COMPLETED"]


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ({}, [1, 4]),
        ({"save_trial_latest": 0}, [1]),
        ({"save_trial_best": 2, "save_trial_latest": 0}, [1, 2]),
        ({"save_experiment_best": 3, "save_trial_best": 0, "save_trial_latest": 0}, [1, 2, 3]),
        ({"save_trial_best": 0, "save_trial_latest": 0}, []),
    ],
)
def test_policy(bench, storage, expected):
    _, uuids, end = finished(bench, [0.5, 0.1, 0.2, 0.3, None], checkpoint_storage=storage)
    end()
    assert kept(bench, uuids) == expected


def test_removed_ones_are_marked_for_the_chores(bench):
    woken = []
    bench.signals.wake_chores = lambda *key: woken.append(key)
    _, uuids, end = finished(bench, [0.5, 0.1])
    end()
    assert woken == [(Chore.CHECKPOINT, uuids[0])]
    gone = bench.checkpoints.get(uuids[0]).checkpoint
    assert (gone.state, gone.removal, gone.resources, gone.size) == ("DELETED", "*", {}, 0)


def test_registered_checkpoints_are_never_removed(bench):
    _, uuids, end = finished(bench, [0.5, 0.1, 0.2])
    bench.models.create(bench.caller, ModelFields(name="churn"))
    bench.models.register(bench.caller, "churn", uuids[0], VersionFields(name="job"))
    end()
    assert kept(bench, uuids) == [0, 1, 2]
    with pytest.raises(errors.RegisteredCheckpoints):
        bench.checkpoints.delete([uuids[1], uuids[0]])
    assert kept(bench, uuids) == [0, 1, 2]
    bench.models.delete_version(bench.caller, "churn", 1)
    bench.checkpoints.delete([uuids[0]])
    assert kept(bench, uuids) == [1, 2]


def test_sources_of_warm_starts_are_never_removed(bench):
    _, uuids, end = finished(bench, [0.5, 0.1, 0.2])
    started = bench.submit(searcher={"name": "single", "metric": "loss", "source_checkpoint_uuid": uuids[0]})
    end()
    assert kept(bench, uuids) == [0, 1, 2]
    assert bench.trials_of(started)[0].warm_start == uuids[0]


def test_source_trial_id_means_its_latest_checkpoint(bench):
    experiment_id, uuids, end = finished(bench, [0.5, 0.9])
    trial_id = bench.trials_of(experiment_id)[0].id
    end()
    searcher = {"name": "single", "metric": "loss", "source_trial_id": trial_id, "source_checkpoint_uuid": uuids[0]}
    assert bench.trials_of(bench.submit(searcher=searcher))[0].warm_start == uuids[1]


def test_a_stricter_policy_applies_to_an_ended_experiment(bench):
    experiment_id, uuids, end = finished(bench, [0.5, 0.1, 0.2])
    end()
    bench.experiments.patch(experiment_id, ExperimentPatch(storage={"save_trial_latest": 0}))
    assert kept(bench, uuids) == [1]


def test_a_deleted_source_is_refused(bench):
    _, uuids, end = finished(bench, [0.5, 0.1])
    end()
    with pytest.raises(errors.WrongState, match="DELETED"):
        bench.submit(searcher={"name": "single", "metric": "loss", "source_checkpoint_uuid": uuids[0]})
