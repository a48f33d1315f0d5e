"""Metrics rules: run ids, merging, archiving after a roll-back, best and latest; checkpoints; who may report."""

import pytest

from pdk.determined import errors
from pdk.determined.master.checkpoints import CheckpointOrder
from pdk.determined.master.paging import PageRequest
from pdk.determined.master.reports import CheckpointReport, MetricsReport
from pdk.determined.master.transitions import Exit
from pdk.determined.master.trials import kind_of
from pdk.determined.master.users import Caller


@pytest.fixture
def trial(bench):
    """A running trial."""
    (trial,) = bench.trials_of(bench.submit())
    bench.begin(trial.id)
    return bench.trial(trial.id)


def steps(bench, trial_id, group="validation"):
    return [row.total_batches for rows in bench.trials.metrics([trial_id], [group]) for row in rows]


def test_a_run_that_has_ended_cannot_report(bench, trial):
    with pytest.raises(errors.InvalidRequest, match="invalid run id"):
        bench.report(trial.id, 100, 0.5, run_id=2)
    with pytest.raises(errors.NoSuchThing):
        bench.report(4711, 100, 0.5, run_id=1)


def test_reports_of_one_step_are_merged(bench, trial):
    bench.report(trial.id, 100, 0.5)
    bench.report(trial.id, 100, 0.5, accuracy=0.9)
    (row,) = next(bench.trials.metrics([trial.id], ["validation"]))
    assert row.averages == {"loss": 0.5, "batches": 100, "accuracy": 0.9}
    with pytest.raises(errors.InvalidRequest, match="another value"):
        bench.report(trial.id, 100, 0.4)
    summary = bench.trial(trial.id).summary["validation_metrics"]
    assert (summary["loss"]["count"], summary["accuracy"]["count"]) == (1, 1)


def test_reserved_metrics_are_numbers(bench, trial):
    with pytest.raises(errors.InvalidRequest, match="'batches' must be a number"):
        bench.reports.metrics(bench.caller, trial.id, MetricsReport("training", 1, 5, {"batches": "many"}))


def test_metrics_beyond_the_resume_point_are_archived(bench, trial):
    for step in (100, 200, 300):
        bench.report(trial.id, step, 1 / step)
        bench.report(trial.id, step, 1 / step, group="training")
    bench.save(trial.id, 200, 1)
    bench.transitions.close_allocation(f"{trial.task_id}.1", Exit(None, lost=True))
    bench.begin(trial.id)
    assert steps(bench, trial.id) == [100, 200]
    assert bench.trial(trial.id).total_batches == 200
    bench.report(trial.id, 300, 0.001)
    assert steps(bench, trial.id) == [100, 200, 300]
    detail = bench.trials.get(trial.id)
    assert detail.latest.averages["loss"] == 0.001
    assert bench.trial(trial.id).total_batches == 300


def test_a_step_reported_again_by_a_later_run_replaces_the_old_one(bench, trial):
    bench.save(trial.id, 100, 1)
    bench.report(trial.id, 100, 0.5)
    bench.transitions.close_allocation(f"{trial.task_id}.1", Exit(None, lost=True))
    bench.begin(trial.id)
    bench.report(trial.id, 100, 0.4)
    assert steps(bench, trial.id) == [100]
    summary = bench.trial(trial.id).summary["validation_metrics"]["loss"]
    assert (summary["count"], summary["last"], summary["max"]) == (1, 0.4, 0.4)


def test_best_and_latest_validation(bench, trial):
    with pytest.raises(errors.NoSuchThing):
        bench.experiments.best_metric(trial.experiment_id)
    for step, loss in ((100, 0.5), (200, "NaN"), (300, 0.3), (400, 0.4)):
        bench.report(trial.id, step, loss)
    assert bench.experiments.best_metric(trial.experiment_id) == 0.3
    detail = bench.trials.get(trial.id)
    assert (detail.best.total_batches, detail.latest.total_batches) == (300, 400)


def test_larger_may_be_better(bench):
    (trial,) = bench.trials_of(bench.submit(searcher={"name": "single", "metric": "loss", "smaller_is_better": False}))
    bench.begin(trial.id)
    for step, value in ((100, 0.5), (200, 0.9), (300, 0.7)):
        bench.report(trial.id, step, value)
        bench.save(trial.id, step, step)
    assert bench.experiments.best_metric(trial.experiment_id) == 0.9
    page = bench.checkpoints.of_experiment(trial.experiment_id, ["COMPLETED"], CheckpointOrder(), PageRequest())
    assert [view.checkpoint.steps_completed for view in page.items] == [200, 300, 100]
    view = bench.experiments.get(trial.experiment_id)
    assert (view.best_metric, view.best_trial_id) == (0.9, trial.id)


def test_checkpoints_are_joined_with_metrics_that_come_later(bench, trial):
    uuid = bench.save(trial.id, 100, 1)
    assert bench.checkpoints.get(uuid).validation is None
    bench.report(trial.id, 100, 0.5)
    view = bench.checkpoints.get(uuid)
    assert (view.validation["loss"], view.searcher_metric, view.checkpoint.size) == (0.5, 0.5, 5)


@pytest.mark.parametrize("uuid", ["", "../../etc/passwd", "00000001-0000-4000-8000-00000000000/", "A" * 36])
def test_checkpoint_uuids_are_uuids(bench, trial, uuid):
    report = CheckpointReport(uuid, "", trial.task_id, "COMPLETED", {}, {"steps_completed": 1})
    with pytest.raises(errors.InvalidRequest, match="no UUID"):
        bench.reports.checkpoint(bench.caller, report)


def test_a_checkpoint_is_reported_once_and_with_its_steps(bench, trial):
    bench.save(trial.id, 100, 1)
    with pytest.raises(errors.InvalidRequest, match="reported before"):
        bench.save(trial.id, 100, 1)
    with pytest.raises(errors.InvalidRequest, match="steps_completed"):
        bench.save(trial.id, "many", 2)


def test_a_task_reports_only_for_its_own_trial(bench, trial):
    (other,) = bench.trials_of(bench.submit())
    bench.begin(other.id)
    stranger = Caller(bench.caller.user, allocation_id=f"{other.task_id}.1")
    for act in (
        lambda: bench.reports.progress(stranger, trial.id, 0.5),
        lambda: bench.reports.runner_state(stranger, trial.id, "training"),
        lambda: bench.reports.early_exit(stranger, trial.id, "EXITED_REASON_INVALID_HP"),
        lambda: bench.reports.must_preempt(stranger, f"{trial.task_id}.1"),
    ):
        with pytest.raises(errors.NotAllowed):
            act()
    bench.reports.progress(stranger, other.id, 5.0)
    assert bench.trial(other.id).progress == 1.0


def test_unknown_early_exit_reasons_are_refused(bench, trial):
    with pytest.raises(errors.InvalidRequest, match="unhandled early exit reason"):
        bench.reports.early_exit(bench.caller, trial.id, "EXITED_REASON_USER_REQUESTED_STOP")


def test_the_wish_to_stop_is_only_told_when_there_is_one(bench, trial):
    allocation_id = f"{trial.task_id}.1"
    assert bench.reports.must_preempt(bench.caller, allocation_id) is None
    bench.transitions.close_allocation(allocation_id, Exit(0))
    assert bench.reports.must_preempt(bench.caller, allocation_id) is True
    with pytest.raises(errors.NoSuchThing):
        bench.reports.must_preempt(bench.caller, "1.nonsense.1")


def moment(row):
    kind = kind_of(row)
    return (row.steps_completed if kind == "checkpoint" else row.total_batches), kind


def test_workloads_are_ordered_by_step(bench, trial):
    for step in (200, 100):
        bench.report(trial.id, step, 0.5, group="training")
        bench.report(trial.id, step, 0.5)
        bench.save(trial.id, step, step)
    rows = bench.trials.workloads(trial.id, (), False, PageRequest()).items
    assert [moment(row) for row in rows] == [
        (step, kind) for step in (100, 200) for kind in ("training", "validation", "checkpoint")
    ]
    page = bench.trials.workloads(trial.id, ("checkpoint",), True, PageRequest(offset=1, limit=5))
    assert ([row.steps_completed for row in page.items], page.end, page.total) == ([100], 2, 2)
