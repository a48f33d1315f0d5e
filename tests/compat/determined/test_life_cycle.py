"""Trials that fail, wait, pause, are killed; the master that is stopped or killed under them."""

import re

import pytest
from determined.common.api import errors

SCRIPT = "python3 train.py 1000000 0.01"


@pytest.fixture
def run(client, lab):
    """Create an experiment that runs a command in the Core API folder (or another)."""

    def create(command, folder=None, **changes):
        return client.create_experiment(lab.script_config(command, **changes), str(folder or lab.CORE_SCRIPT))

    return create


def wait_for(lab, experiment, state, timeout=60.0):
    lab.wait_until(lambda: lab.state_of(experiment) == state, timeout)


def reported(experiment):
    """Steps reported so far by the first trial."""
    trials = experiment.list_trials()
    return [r.steps_completed for r in trials[0].iter_metrics("validation")] if trials else []


def test_a_failing_trial_class_says_why(client, lab, det):
    experiment = client.create_experiment(lab.toy_config(hyperparameters__raises=True), str(lab.TOY))
    wait_for(lab, experiment, "ERROR")
    assert re.fullmatch(
        r"trial \d+: exit code 1: ValueError: no rows in the data of this commit", experiment.description
    )
    log = lab.logs_of(experiment)
    assert "ValueError: no rows in the data of this commit" in log
    assert "resources failed with non-zero exit code: container failed with non-zero exit code: 1 (exit code 1)" in log
    assert "no rows in the data of this commit" in det("experiment", "describe", experiment.id)
    assert experiment.list_checkpoints() == []


def test_a_failing_command_is_tried_again_max_restarts_times(run, lab):
    experiment = run("echo attempt; exit 7", max_restarts=2)
    wait_for(lab, experiment, "ERROR")
    log = lab.logs_of(experiment)
    assert log.count("|| attempt") == 3
    assert "trial failed (restart 2/2)" in log
    assert "exit code 7" in experiment.description


@pytest.mark.ours
def test_a_pool_of_another_cluster_is_the_default_pool_with_a_warning(run, lab):
    experiment = run("true", resources={"resource_pool": "gpu-pool"}, description="mine")
    warning = "resource pool 'gpu-pool' does not exist on this master: this runs in pool 'default'"
    wait_for(lab, experiment, "COMPLETED")
    assert f"WARNING: {warning}" in lab.logs_of(experiment)
    assert experiment.description == f"mine\n{warning}"
    assert experiment.config["resources"]["resource_pool"] == "default"
    again = run("true", resources={"resource_pool": "default"})
    wait_for(lab, again, "COMPLETED")
    assert "resource pool" not in lab.logs_of(again)
    assert again.description is None


def test_a_command_that_does_not_exist(run, lab):
    experiment = run(["no-such-program", "--help"])
    wait_for(lab, experiment, "ERROR")
    assert "no-such-program" in experiment.description


def test_invalid_hyperparameters_complete_the_trial(run, lab):
    experiment = run("python3 train.py 10 0", hyperparameters={"invalid": True})
    wait_for(lab, experiment, "COMPLETED")
    assert experiment.list_checkpoints() == []
    assert "invalid hyperparameters" in experiment.description


def test_pause_activate_and_cancel(run, lab):
    experiment = run(SCRIPT)
    lab.wait_until(lambda: reported(experiment))
    experiment.pause()
    trial = experiment.list_trials()[0]
    lab.wait_until(lambda: "allocation preempted" in "".join(trial.iter_logs(tail=1)))
    assert lab.state_of(experiment) == "PAUSED"
    steps = reported(experiment)[-1]
    assert f"leaving at step {steps}" in lab.logs_of(experiment)
    with pytest.raises(ValueError, match="paused"):
        experiment.wait()
    experiment.activate()
    lab.wait_until(lambda: reported(experiment)[-1] > steps)
    assert f"starting from step {steps}" in lab.logs_of(experiment)
    experiment.cancel()
    wait_for(lab, experiment, "CANCELED")
    saved = [c for c in trial.list_checkpoints() if c.state.value == "STATE_COMPLETED"]
    assert max(c.metadata["steps_completed"] for c in saved) == reported(experiment)[-1]


@pytest.mark.ours
def test_kill_ends_the_whole_process_tree(run, lab, master, det):
    experiment = run(f"sleep 600 & {SCRIPT}")
    lab.wait_until(lambda: reported(experiment))
    assert lab.state_of(experiment) == "RUNNING"
    assert f"Trial {experiment.list_trials()[0].id}" in det("slot", "list")
    assert f"(Experiment {experiment.id})" in det("task", "list")
    det("experiment", "kill", experiment.id)
    wait_for(lab, experiment, "CANCELED", 10)
    assert master.trial_processes() == []
    assert "resources were killed" in lab.logs_of(experiment)


def test_a_trial_that_ignores_the_wish_to_stop_is_killed_after_the_timeout(run, lab):
    experiment = run(f"{SCRIPT} --stubborn", preemption_timeout=1)
    lab.wait_until(lambda: reported(experiment))
    experiment.pause()
    lab.wait_until(lambda: "(reason: preemption timeout)" in lab.logs_of(experiment))
    assert lab.state_of(experiment) == "PAUSED"
    experiment.kill()
    wait_for(lab, experiment, "CANCELED", 10)


@pytest.mark.seed("S2-14")
def test_startup_hook_environment_and_clean_code(run, lab, tmp_path):
    folder = lab.context_of(
        tmp_path / "code",
        startup_hook__sh='export FROM_HOOK=yes\necho "extra = 5" > "$PIP_TARGET/extra_module.py"\n',
        script__py=(
            "import extra_module, os, pathlib\n"
            "print('values', extra_module.extra, os.environ['FROM_HOOK'], os.environ['SECRET'][::-1], os.getcwd())\n"
            "pathlib.Path('script.py').write_text('changed')\n"
            "print('submitted' if 'changed' not in pathlib.Path('/run/determined/train/model/script.py')"
            ".read_text().splitlines() else 'spoiled')\n"
        ),
    )
    (folder / "startup_hook.sh").rename(folder / "startup-hook.sh")
    experiment = run(
        ["python3", "script.py"],
        folder,
        environment={"environment_variables": ["SECRET=drowssap", "OMP_NUM_THREADS=1"]},
    )
    wait_for(lab, experiment, "COMPLETED")
    log = lab.logs_of(experiment)
    assert "values 5 yes password /run/determined/workdir" in log
    assert "submitted" in log
    assert "drowssap" not in log


def test_a_failing_startup_hook_fails_the_trial(run, lab, tmp_path):
    folder = lab.context_of(tmp_path / "code", hook="echo installing\nfalse\necho never\n")
    (folder / "hook").rename(folder / "startup-hook.sh")
    experiment = run("echo not reached", folder)
    wait_for(lab, experiment, "ERROR")
    log = lab.logs_of(experiment)
    assert "installing" in log
    assert "never" not in log
    assert "not reached" not in log


@pytest.mark.ours
def test_bind_mounts(run, lab, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("a,b\n")
    mounts = [
        {"host_path": str(tmp_path / "data"), "container_path": "/mnt/churn-test", "read_only": True},
        {"host_path": str(tmp_path / "data"), "container_path": "inside"},
    ]
    experiment = run(
        "cat /mnt/churn-test/rows.csv inside/rows.csv; touch /mnt/churn-test/x || touch inside/y", bind_mounts=mounts
    )
    wait_for(lab, experiment, "COMPLETED")
    assert lab.logs_of(experiment).count("|| a,b") == 2
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["rows.csv", "y"]
    missing = run("true", bind_mounts=[{"host_path": "/no/such/folder", "container_path": "/x"}])
    wait_for(lab, missing, "ERROR")
    assert "/no/such/folder is not a folder of this machine" in missing.description


def test_output_that_is_no_text(run, lab):
    experiment = run(r"printf 'nul \000 bytes \377\n50%%\r100%%\nno newline at the end'; printf 'ERROR: loud\n' >&2")
    wait_for(lab, experiment, "COMPLETED")
    trial = experiment.list_trials()[0]
    lines = [line.split("|| ", 1)[1] for line in trial.iter_logs(sources=["task"])]
    assert {"nul \0 bytes \ufffd\n", "50%\n", "100%\n", "no newline at the end\n", "ERROR: loud\n"} == set(lines)
    assert list(trial.iter_logs(stdtypes=["stderr"])) == [line for line in trial.iter_logs() if "loud" in line]


def test_random_and_grid_search(run, lab):
    searched = run(
        "python3 train.py 10 0",
        hyperparameters={"lr": {"type": "log", "base": 10, "minval": -4, "maxval": -1}, "width": 8},
        searcher={"name": "random", "metric": "loss", "max_trials": 3, "max_concurrent_trials": 2},
        reproducibility={"experiment_seed": 7},
    )
    grid = run(
        "echo done",
        hyperparameters={"depth": {"type": "int", "minval": 1, "maxval": 3, "count": 3}},
        searcher={"name": "grid", "metric": "loss"},
    )
    for experiment in (searched, grid):
        wait_for(lab, experiment, "COMPLETED")
    rates = [trial.hparams["lr"] for trial in searched.list_trials()]
    assert len(set(rates)) == 3
    assert all(1e-4 <= rate < 1e-1 for rate in rates)
    assert [trial.hparams["depth"] for trial in grid.list_trials()] == [3, 2, 1]


@pytest.mark.ours
def test_deleting_an_experiment_removes_everything(run, lab, client, master):
    experiment = run("python3 train.py 20 0")
    with pytest.raises(errors.APIException, match="cannot delete experiment"):
        experiment.delete()
    wait_for(lab, experiment, "COMPLETED")
    (best,) = experiment.list_checkpoints()
    folder = master.data_dir / "checkpoints" / best.uuid
    assert folder.is_dir()
    experiment.delete()

    def gone():
        try:
            client.get_experiment(experiment.id)
        except errors.NotFoundException:
            return True
        return False

    lab.wait_until(gone, 10)
    assert not folder.exists()
    with pytest.raises(errors.NotFoundException):
        client.get_checkpoint(best.uuid)


@pytest.mark.ours
def test_removing_files_of_a_checkpoint(run, lab, client, master, det):
    experiment = run("python3 train.py 20 0")
    wait_for(lab, experiment, "COMPLETED")
    (best,) = experiment.list_checkpoints()
    folder = master.data_dir / "checkpoints" / best.uuid
    det("checkpoint", "rm", best.uuid, "--glob", "st*", "--yes")
    lab.wait_until(lambda: not (folder / "steps").exists(), 10)
    left = client.get_checkpoint(best.uuid)
    assert left.state.value == "STATE_PARTIALLY_DELETED"
    assert list(left.resources) == ["metadata.json"]
    with pytest.raises(errors.APIException, match="stay inside"):
        left.remove_files(["../../*"])
    det("checkpoint", "delete", best.uuid, "--yes")
    lab.wait_until(lambda: not folder.exists(), 10)


@pytest.mark.ours
def test_experiments_wait_for_a_free_slot(own_master, lab):
    client = own_master.client()
    first = client.create_experiment(lab.script_config(SCRIPT), str(lab.CORE_SCRIPT))
    wait_for(lab, first, "RUNNING")
    second = client.create_experiment(lab.script_config("echo second"), str(lab.CORE_SCRIPT))
    third = client.create_experiment(lab.script_config("echo third"), str(lab.CORE_SCRIPT))
    lab.wait_until(lambda: [lab.state_of(e) for e in (second, third)] == ["QUEUED", "QUEUED"])
    second.pause()
    first.kill()
    wait_for(lab, third, "COMPLETED")
    assert lab.state_of(second) == "PAUSED"
    second.activate()
    wait_for(lab, second, "COMPLETED")


@pytest.mark.ours
def test_training_goes_on_after_the_master_was_killed(own_master, lab):
    client = own_master.client()
    config = lab.toy_config(hyperparameters__pause=0.01, searcher__max_length={"batches": 400})
    experiment = client.create_experiment(config, str(lab.TOY))
    lab.wait_until(lambda: 100 in reported(experiment) and experiment.list_checkpoints())
    own_master.kill()
    left = own_master.trial_processes()
    assert left
    own_master.start()
    assert not set(left) & set(own_master.trial_processes())
    wait_for(lab, experiment, "COMPLETED")
    trial = experiment.list_trials()[0]
    assert reported(experiment) == [100, 200, 300, 400]
    log = lab.logs_of(experiment)
    assert "the master went down while the allocation was running" in log
    assert log.count("Scheduling Trial") == 2
    assert "trial failed" not in log
    assert {r.trial_run_id for r in trial.iter_metrics("validation")} == {1, 2}
    assert experiment.list_checkpoints()[0].metadata["steps_completed"] == 400


@pytest.mark.ours
def test_a_stopped_master_lets_trials_checkpoint(own_master, lab):
    client = own_master.client()
    experiment = client.create_experiment(lab.script_config("python3 train.py 200 0.02"), str(lab.CORE_SCRIPT))
    lab.wait_until(lambda: reported(experiment))
    own_master.stop()
    assert own_master.trial_processes() == []
    own_master.start()
    wait_for(lab, experiment, "COMPLETED")
    log = lab.logs_of(experiment)
    steps = int(re.search(r"leaving at step (\d+)", log).group(1))
    assert f"starting from step {steps}" in log
    assert "the master is stopping" in log
