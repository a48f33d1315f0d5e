"""What a trial's process is started with."""

import json

import pytest

from pdk.determined.master.cluster import Names
from pdk.determined.master.launch import CannotLaunch, RunFolders, TrialLaunch
from pdk.determined.master.settings import MasterSettings
from pdk.determined.store import experiments


@pytest.fixture
def prepare(bench):
    def run(isolated=True, trial_env=None, **changes):
        experiment_id = bench.submit(**changes)
        (trial,) = bench.trials_of(experiment_id)
        trial, allocation, tokens = bench.transitions.open_allocation(trial.id, 4)
        settings = MasterSettings(
            data_dir=bench.folder / f"data-{experiment_id}",
            marker_prefix="test/",
            python="/opt/venv/bin/python",
            trial_env=trial_env or {},
            max_concurrent_trials=1,
        )
        settings.data_dir.mkdir()
        folders = RunFolders(settings, Names("cluster", "master", "pdk", ""), "http://127.0.0.1:1")
        folders.clear()
        with bench.db.read() as conn:
            experiment = experiments.experiment(conn, experiment_id)
        definition = bench.definitions.get(experiment.model_definition)
        launch = TrialLaunch(trial, allocation, experiment, "determined", tokens, None, definition)
        return folders, launch, folders.prepare(launch, isolated)

    return run


def test_a_trial_class_runs_in_the_harness_itself(prepare):
    searcher = {"name": "single", "metric": "loss", "max_length": {"batches": 5}}
    _, launch, spec = prepare(entrypoint="model_def:MyTrial", searcher=searcher)
    assert list(spec.argv) == ["/opt/venv/bin/python", "-m", "determined.exec.harness", "model_def:MyTrial"]
    assert spec.marker == f"test/{launch.allocation.id}"
    assert str(spec.cwd) == "/run/determined/workdir"
    (mount,) = spec.mounts
    assert mount.target == "/run/determined"
    assert (mount.source / "workdir" / "train.py").is_file()
    assert (mount.source / "train" / "model" / "train.py").is_file()


@pytest.mark.parametrize(
    ("entrypoint", "argv"),
    [("python train.py | tee log", ["sh", "-c", "python train.py | tee log"]), (["a", "b c"], ["a", "b c"])],
)
def test_commands(prepare, entrypoint, argv):
    assert list(prepare(entrypoint=entrypoint)[2].argv) == argv


def test_environment(prepare):
    _, launch, spec = prepare(
        trial_env={"PACH_TOKEN": "t", "PYTHONPATH": "/lib/own", "OMP_NUM_THREADS": "3"},
        environment={"environment_variables": ["PACH_TOKEN=mine", "EMPTY=", "EQUALS=a=b"]},
        hyperparameters={"lr": 0.5},
    )
    env = spec.env
    assert (env["PACH_TOKEN"], env["EMPTY"], env["EQUALS"], env["OMP_NUM_THREADS"]) == ("mine", "", "a=b", "3")
    assert env["PATH"].startswith("/opt/venv/bin:/usr/local/sbin")
    assert env["PYTHONPATH"] == f"{env['PIP_TARGET']}:/lib/own"
    assert env["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert env["DET_SLOT_IDS"] == "[0]"
    assert env["DET_SESSION_TOKEN"] == launch.tokens.task
    assert json.loads(env["DET_HPARAMS"]) == {"lr": 0.5}
    assert env["DET_STEPS_COMPLETED"] == "0"
    assert "DET_LATEST_CHECKPOINT" not in env
    storage = json.loads(env["DET_EXPERIMENT_CONFIG"])["checkpoint_storage"]
    assert (storage["type"], set(storage)) == (
        "directory",
        {"type", "container_path", "save_experiment_best", "save_trial_best", "save_trial_latest"},
    )


def test_info_files_are_what_the_harness_reads_and_private(prepare):
    import determined as det  # noqa: PLC0415 - heavy
    from determined import _info  # noqa: PLC0415

    _, launch, spec = prepare()
    folder = spec.mounts[0].source / "info"
    info = det.ClusterInfo._from_file(str(folder / "cluster.json"))
    assert (info.allocation_id, info.session_token, info.slot_ids) == (launch.allocation.id, launch.tokens.task, [0])
    trial = _info.TrialInfo._from_file(str(folder / "trial.json"))
    assert (trial.trial_id, trial._trial_run_id) == (launch.trial.id, 1)
    assert _info.RendezvousInfo._from_file(str(folder / "rendezvous.json")).container_slot_counts == [1]
    assert _info.ResourcesInfo._from_file(str(folder / "resources.json")).gpu_uuids == []
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_without_namespaces_paths_are_redirected(prepare):
    _, _, spec = prepare(isolated=False)
    assert list(spec.mounts) == []
    root = spec.cwd.parent
    assert spec.env["PYTHONPATH"].split(":")[0] == str(root)
    assert (root / "sitecustomize.py").is_file()
    assert spec.env["DET_WORKDIR"] == str(spec.cwd)
    with pytest.raises(CannotLaunch, match="bind_mounts need mount namespaces"):
        prepare(isolated=False, bind_mounts=[{"host_path": "/tmp", "container_path": "x"}])


def test_bind_mounts_stay_where_they_may(prepare):
    with pytest.raises(CannotLaunch, match="leaves the working folder"):
        prepare(bind_mounts=[{"host_path": "/tmp", "container_path": "../../etc"}])
    _, _, spec = prepare(bind_mounts=[{"host_path": "/tmp", "container_path": "/data/in"}])
    assert [mount.target for mount in spec.mounts] == ["/run/determined", "/data/in"]


def test_nothing_is_left_of_a_run(prepare):
    folders, launch, spec = prepare()
    folders.remove(launch.allocation.id)
    folders.remove(launch.allocation.id)
    assert not spec.mounts[0].source.exists()
