"""The life cycle of trials and experiments, without processes."""

import pytest

from pdk.determined import errors
from pdk.determined.master.transitions import Exit, exit_code


def only_trial(bench, experiment_id):
    (trial,) = bench.trials_of(experiment_id)
    return trial


def test_success_completes_trial_and_experiment(bench):
    experiment_id = bench.submit()
    trial = only_trial(bench, experiment_id)
    assert bench.state(experiment_id) == "QUEUED"
    allocation = bench.begin(trial.id)
    assert bench.state(experiment_id) == "RUNNING"
    bench.transitions.close_allocation(allocation.id, Exit(0))
    assert bench.trial(trial.id).state == "COMPLETED"
    assert bench.state(experiment_id) == "COMPLETED"
    bench.transitions.close_allocation(allocation.id, Exit(1))  # a second exit changes nothing
    assert bench.state(experiment_id) == "COMPLETED"


def test_failures_are_counted_up_to_max_restarts(bench):
    experiment_id = bench.submit(max_restarts=1)
    trial = only_trial(bench, experiment_id)
    bench.transitions.close_allocation(bench.begin(trial.id).id, Exit(1))
    assert (bench.trial(trial.id).state, bench.trial(trial.id).restarts) == ("ACTIVE", 1)
    bench.transitions.close_allocation(bench.begin(trial.id).id, Exit(-9))
    assert bench.trial(trial.id).state == "ERROR"
    assert bench.state(experiment_id) == "ERROR"
    assert bench.experiments.get(experiment_id).experiment.reason == f"trial {trial.id}: exit code 137"


def test_a_fatal_exit_is_not_tried_again(bench):
    experiment_id = bench.submit(max_restarts=5)
    allocation = bench.begin(only_trial(bench, experiment_id).id)
    bench.transitions.close_allocation(allocation.id, Exit(None, "no namespaces here", fatal=True))
    assert bench.state(experiment_id) == "ERROR"
    assert "no namespaces here" in bench.experiments.get(experiment_id).experiment.reason


def test_a_lost_allocation_is_not_counted(bench):
    experiment_id = bench.submit()
    trial = only_trial(bench, experiment_id)
    bench.transitions.close_allocation(bench.begin(trial.id).id, Exit(None, lost=True))
    assert bench.state(experiment_id) == "QUEUED"
    assert bench.trial(trial.id).restarts == 0
    assert bench.begin(trial.id).run_id == 2


def test_exit_after_acknowledged_preemption_is_no_completion(bench):
    experiment_id = bench.submit()
    trial = only_trial(bench, experiment_id)
    allocation = bench.begin(trial.id)
    bench.experiments.pause(experiment_id)
    bench.transitions.preempt(bench.trial(trial.id), allocation, "experiment paused")
    assert bench.reports.must_preempt(bench.caller, allocation.id) is True
    bench.reports.acknowledge_preemption(bench.caller, allocation.id)
    bench.transitions.close_allocation(allocation.id, Exit(0))
    assert bench.state(experiment_id) == "PAUSED"
    assert bench.begin(trial.id) is None
    bench.experiments.activate(experiment_id)
    assert bench.state(experiment_id) == "QUEUED"
    assert bench.begin(trial.id).run_id == 2


def test_exit_zero_without_acknowledgement_is_completion_even_when_paused(bench):
    experiment_id = bench.submit()
    allocation = bench.begin(only_trial(bench, experiment_id).id)
    bench.experiments.pause(experiment_id)
    bench.transitions.close_allocation(allocation.id, Exit(0))
    assert bench.state(experiment_id) == "COMPLETED"


def test_stopping_without_an_allocation(bench):
    experiment_id = bench.submit()
    trial = only_trial(bench, experiment_id)
    bench.experiments.cancel(experiment_id)
    assert bench.state(experiment_id) == "STOPPING_CANCELED"
    bench.transitions.stop_without_allocation(trial.id)
    assert bench.state(experiment_id) == "CANCELED"


def test_a_kill_is_not_weakened_by_a_later_wish(bench):
    experiment_id = bench.submit()
    trial = only_trial(bench, experiment_id)
    allocation = bench.begin(trial.id)
    bench.experiments.kill(experiment_id)
    bench.experiments.cancel(experiment_id)
    assert bench.trial(trial.id).state == "STOPPING_KILLED"
    bench.transitions.note_kill(allocation, "trial killed")
    bench.transitions.close_allocation(allocation.id, Exit(-9))
    assert bench.state(experiment_id) == "CANCELED"
    bench.experiments.kill(experiment_id)
    assert bench.state(experiment_id) == "CANCELED"
    with pytest.raises(errors.WrongState):
        bench.experiments.activate(experiment_id)


def test_a_failure_while_canceling_is_an_error(bench):
    experiment_id = bench.submit()
    allocation = bench.begin(only_trial(bench, experiment_id).id)
    bench.experiments.cancel(experiment_id)
    bench.transitions.close_allocation(allocation.id, Exit(1))
    assert only_trial(bench, experiment_id).state == "ERROR"
    assert bench.state(experiment_id) == "CANCELED"


def test_invalid_hyperparameters_are_replaced_by_a_random_search(bench):
    experiment_id = bench.submit(
        hyperparameters={"lr": {"type": "double", "minval": 0, "maxval": 1}},
        searcher={"name": "random", "metric": "loss", "max_trials": 2, "max_concurrent_trials": 1},
    )
    first = only_trial(bench, experiment_id)
    allocation = bench.begin(first.id)
    bench.reports.early_exit(bench.caller, first.id, "EXITED_REASON_INVALID_HP")
    bench.transitions.close_allocation(allocation.id, Exit(0))
    for _ in range(2):
        trial = bench.trials_of(experiment_id)[-1]
        assert bench.state(experiment_id) == "QUEUED"
        bench.transitions.close_allocation(bench.begin(trial.id).id, Exit(0))
    assert bench.state(experiment_id) == "COMPLETED"
    assert len({trial.hparams["lr"] for trial in bench.trials_of(experiment_id)}) == 3


def test_an_experiment_fails_only_when_every_trial_failed(bench):
    experiment_id = bench.submit(
        hyperparameters={"n": {"type": "int", "minval": 1, "maxval": 2, "count": 2}},
        searcher={"name": "grid", "metric": "loss"},
    )
    one, two = bench.trials_of(experiment_id)
    bench.transitions.close_allocation(bench.begin(one.id).id, Exit(1))
    bench.transitions.close_allocation(bench.begin(two.id).id, Exit(0))
    assert bench.state(experiment_id) == "COMPLETED"


def test_slots_are_given_first_come_first_served(bench):
    first, second, third = (only_trial(bench, bench.submit()).id for _ in range(3))
    assert bench.begin(second, slots=1) is None
    held = bench.begin(first, slots=1)
    assert bench.begin(second, slots=1) is None
    assert bench.begin(third, slots=2) is None
    bench.transitions.close_allocation(held.id, Exit(0))
    assert bench.begin(third, slots=1) is None
    assert bench.begin(second, slots=1) is not None


def test_tokens_of_an_allocation_end_with_it(bench):
    trial = only_trial(bench, bench.submit())
    _, allocation, tokens = bench.transitions.open_allocation(trial.id, 1)
    identity = bench.users.authenticate(tokens.task)
    assert (identity.user.username, identity.allocation_id) == ("determined", allocation.id)
    bench.transitions.close_allocation(allocation.id, Exit(0))
    for token in (tokens.task, tokens.user):
        with pytest.raises(errors.NotLoggedIn):
            bench.users.authenticate(token)


def test_woken_after_commit_only(bench):
    woken = []
    bench.signals.wake_trial = woken.append
    experiment_id = bench.submit()
    assert woken == [only_trial(bench, experiment_id).id]


def test_exit_codes_of_signals():
    assert [exit_code(status) for status in (0, 3, -9, -15)] == [0, 3, 137, 143]
