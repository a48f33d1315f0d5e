"""Orders of checkpoints, globs, and folders that user code filled with surprises."""

import pytest

from pdk.determined import errors
from pdk.determined.master.checkpoints import CheckpointOrder, glob_pattern, ordered
from pdk.determined.master.paging import PageRequest


@pytest.fixture
def trial(bench):
    (trial,) = bench.trials_of(bench.submit())
    bench.begin(trial.id)
    for i, loss in enumerate([0.5, 0.1, None, 0.3]):
        if loss is not None:
            bench.report(trial.id, 100 * (i + 1), loss, accuracy=1 - loss, odd="NaN")
        bench.save(trial.id, 100 * (i + 1), i)
    return bench.trial(trial.id)


def steps(page):
    return [view.checkpoint.steps_completed for view in page.items]


def of_experiment(bench, trial, order, limit=0):
    return steps(bench.checkpoints.of_experiment(trial.experiment_id, [], order, PageRequest(limit=limit)))


def test_an_experiment_lists_the_best_first_and_missing_last(bench, trial):
    assert of_experiment(bench, trial, CheckpointOrder()) == [200, 400, 100, 300]
    assert of_experiment(bench, trial, CheckpointOrder("SEARCHER_METRIC")) == [200, 400, 100, 300]
    assert of_experiment(bench, trial, CheckpointOrder("SEARCHER_METRIC", descending=True)) == [100, 400, 200, 300]
    assert of_experiment(bench, trial, CheckpointOrder(metric="accuracy", descending=True)) == [200, 400, 100, 300]
    assert of_experiment(bench, trial, CheckpointOrder("BATCH_NUMBER", descending=True)) == [400, 300, 200, 100]
    assert of_experiment(bench, trial, CheckpointOrder(), limit=1) == [200]


def test_a_metric_that_is_no_number_orders_nothing(bench, trial):
    assert sorted(of_experiment(bench, trial, CheckpointOrder(metric="odd"))) == [100, 200, 300, 400]


def test_a_trial_lists_ascending(bench, trial):
    assert steps(bench.checkpoints.of_trial(trial.id, [], CheckpointOrder(), PageRequest())) == [100, 200, 300, 400]
    assert steps(bench.checkpoints.of_trial(trial.id, ["DELETED"], CheckpointOrder(), PageRequest())) == []


def test_nothing_to_order():
    assert ordered([], CheckpointOrder()) == []


@pytest.mark.parametrize(
    ("glob", "matching"),
    [
        ("*", {"a", "b.pt", "code"}),
        ("*.pt", {"b.pt"}),
        ("code/*", {"code/x.py", "code/deep"}),
        ("**", {"a", "b.pt", "code", "code/x.py", "code/deep", "code/deep/y.py"}),
        ("**/*.py", {"code/x.py", "code/deep/y.py"}),
        ("code/**", {"code/x.py", "code/deep", "code/deep/y.py"}),
        ("?.pt", {"b.pt"}),
        ("a", {"a"}),
        ("[ab]", set()),
    ],
)
def test_globs(glob, matching):
    names = ["a", "b.pt", "code", "code/x.py", "code/deep", "code/deep/y.py"]
    assert {name for name in names if glob_pattern(glob).fullmatch(name)} == matching


@pytest.mark.parametrize("glob", ["../x", "/etc/*", "", "a/../../b", "a\0"])
def test_globs_that_leave_the_checkpoint(bench, trial, glob):
    uuid = bench.checkpoints.of_trial(trial.id, [], CheckpointOrder(), PageRequest()).items[0].checkpoint.uuid
    with pytest.raises(errors.InvalidRequest, match="stay inside"):
        bench.checkpoints.remove_files([uuid], [glob])


def test_removing_a_folder_removes_what_is_in_it(bench, trial):
    uuid = bench.checkpoints.of_trial(trial.id, [], CheckpointOrder(), PageRequest()).items[0].checkpoint.uuid
    bench.checkpoints.remove_files([uuid], ["a"])
    assert bench.checkpoints.get(uuid).checkpoint.state == "DELETED"


def test_unknown_checkpoints(bench, trial):
    for uuid in ("nonsense", "../../x", "00000009-0000-4000-8000-000000000000"):
        with pytest.raises(errors.NoSuchThing):
            bench.checkpoints.get(uuid)
    with pytest.raises(errors.InvalidRequest):
        bench.checkpoints.delete([])
