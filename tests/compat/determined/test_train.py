"""One trained experiment, seen through the SDK, the command line and the registry; then continued with other code."""

import io
import json
import re
import tarfile
import threading
import zipfile

import pytest
import requests
from determined.common.api import errors
from determined.common.experimental.trial import LogLevel
from determined.experimental import client as experimental
from targets import own

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def trained(client, lab):
    """An experiment trained to its end while its log was followed."""
    experiment = client.create_experiment(lab.toy_config(), str(lab.TOY))
    trial = experiment.await_first_trial()
    followed = []
    follower = threading.Thread(target=lambda: followed.extend(trial.iter_logs(follow=True)))
    follower.start()
    assert experiment.wait(interval=0.2) == experimental.ExperimentState.COMPLETED, lab.logs_of(experiment)
    follower.join(10)
    assert not follower.is_alive()
    experiment.followed = followed
    return experiment


def test_log_followed_equals_log_read_later(trained):
    lines = list(trained.list_trials()[0].iter_logs())
    assert trained.followed == lines
    assert all(line.endswith("\n") for line in lines)
    assert re.match(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\] {10}\|\| INFO: Scheduling Trial", lines[0])
    assert any(re.search(r"\] [0-9a-f]{8} \[rank=0\] \|\| INFO: ", line) for line in lines)
    assert "terminated: allocation stopped after resources exited successfully" in lines[-1]


def test_log_head_tail_and_filters(trained):
    trial = trained.list_trials()[0]
    lines = list(trial.iter_logs())
    assert list(trial.iter_logs(head=2)) == lines[:2]
    assert list(trial.iter_logs(tail=3)) == lines[-3:]
    assert list(trial.iter_logs(search_text="Scheduling Trial")) == lines[:1]
    assert list(trial.iter_logs(min_level=LogLevel.CRITICAL)) == []
    assert list(trial.iter_logs(sources=["master"])) == [line for line in lines if "          ||" in line]


def test_metrics_and_progress(client, trained):
    trained.reload()
    trial = trained.list_trials()[0]
    reports = list(trial.iter_metrics("validation"))
    assert [report.steps_completed for report in reports] == [100, 200, 300]
    losses = [report.metrics["val_loss"] for report in reports]
    assert losses == sorted(losses, reverse=True)
    assert trained.progress == 1.0
    summary = client.get_trial(trial.id).summary_metrics
    assert summary["validation_metrics"]["val_loss"]["last"] == losses[-1]
    assert summary["validation_metrics"]["val_loss"]["count"] == 3
    assert summary["avg_metrics"]["batches"]["max"] == 300
    assert {r.group for r in client.iter_trials_metrics([trial.id], "validation")} == {"validation"}


def test_the_best_and_the_latest_checkpoint_are_kept(trained):
    (best,) = trained.list_checkpoints()
    assert best.metadata["steps_completed"] == 300
    assert best.training.validation_metrics["avgMetrics"]["val_loss"] < 0.01
    assert best.training.experiment_id == trained.id
    states = [c.state.value for c in trained.list_trials()[0].list_checkpoints()]
    assert sorted(states) == ["STATE_COMPLETED", "STATE_DELETED", "STATE_DELETED"]


@pytest.mark.ours
def test_the_files_of_the_other_checkpoints_are_gone(trained, master):
    kept = [p.name for p in (master.data_dir / "checkpoints").iterdir() if UUID.fullmatch(p.name)]
    saved = {checkpoint.uuid for checkpoint in trained.list_trials()[0].list_checkpoints()}
    assert saved & set(kept) == {checkpoint.uuid for checkpoint in trained.list_checkpoints()}


def test_checkpoint_downloads_directly_and_through_the_master(trained, lab, tmp_path):
    (best,) = trained.list_checkpoints()
    direct = best.download(str(tmp_path / "direct"), mode=experimental.DownloadMode.DIRECT)
    through = best.download(str(tmp_path / "through"), mode=experimental.DownloadMode.MASTER)
    files = {p.relative_to(direct): p.read_bytes() for p in (tmp_path / "direct").rglob("*") if p.is_file()}
    assert files == {p.relative_to(through): p.read_bytes() for p in (tmp_path / "through").rglob("*") if p.is_file()}
    assert (tmp_path / "direct" / "code" / "model_def.py").read_text() == (lab.TOY / "model_def.py").read_text()


def test_checkpoint_loads_into_the_trial(trained, tmp_path):
    from determined.pytorch import load_trial_from_checkpoint_path  # noqa: PLC0415 - imports torch

    (best,) = trained.list_checkpoints()
    path = best.download(str(tmp_path / "checkpoint"))
    trial = load_trial_from_checkpoint_path(path, torch_load_kwargs={"weights_only": False})
    weights = trial.model.weight.detach().numpy().ravel()
    assert weights == pytest.approx([1, 1, 1, 1], abs=0.05)


def test_archive_formats(trained, master):
    (best,) = trained.list_checkpoints()
    token = requests.post(f"{master.url}/api/v1/auth/login", data='{"username": "determined", "password": ""}').json()

    def fetch(accept):
        headers = {"Authorization": f"Bearer {token['token']}", "Accept": accept}
        return requests.get(f"{master.url}/checkpoints/{best.uuid}", headers=headers)

    names = {name.rstrip("/") for name in best.resources}
    with tarfile.open(fileobj=io.BytesIO(fetch("application/x-tar").content)) as archive:
        assert set(archive.getnames()) == names
    with tarfile.open(fileobj=io.BytesIO(fetch("application/gzip").content), mode="r:gz") as archive:
        assert set(archive.getnames()) == names
    with zipfile.ZipFile(io.BytesIO(fetch("application/zip").content)) as archive:
        assert {name.rstrip("/") for name in archive.namelist()} == names
    refused = fetch("text/html")
    assert refused.status_code == 400
    assert "application/gzip" in refused.json()["message"]


def test_registering_versions(client, trained):
    (best,) = trained.list_checkpoints()
    model = client.create_model(own("toy model"), labels=["a", "b"], metadata={"data": "churn"})
    assert model.get_version() is None
    version = model.register_version(best.uuid)
    version.set_name("job-1")
    version.set_notes("first")
    assert version.model_version == 1
    found = client.get_model(own("toy model")).get_version()
    assert (found.name, found.notes, found.checkpoint.uuid) == ("job-1", "first", best.uuid)
    assert found.checkpoint.training.experiment_id == trained.id
    assert model.register_version(best.uuid).model_version == 2
    model.get_version(2).delete()
    assert [v.model_version for v in model.list_versions()] == [1]
    assert model.register_version(best.uuid).model_version == 2
    with pytest.raises(errors.APIException, match="model registry"):
        best.delete()
    with pytest.raises(errors.APIException, match="model registry"):
        trained.delete()
    model.archive()
    with pytest.raises(errors.APIException, match="archived and cannot register"):
        model.register_version(best.uuid)
    model.unarchive()
    model.delete()


def test_checkpoint_metadata(client, trained):
    (best,) = trained.list_checkpoints()
    best.add_metadata({"note": "good"})
    assert client.get_checkpoint(best.uuid).metadata["note"] == "good"
    best.remove_metadata(["note"])
    assert "note" not in client.get_checkpoint(best.uuid).metadata


def test_the_command_line_shows_it(det, trained, tmp_path):
    number = trained.id
    assert f"{number} | determined | toy" in det("experiment", "list")
    described = det("experiment", "describe", number, "--metrics")
    assert "COMPLETED" in described
    assert "Validation Metric: val_loss" in described
    assert "Scheduling Trial" in det("experiment", "logs", number)
    assert "val_loss" in det("trial", "describe", trained.list_trials()[0].id)
    assert "state_dict.pth" in det("experiment", "list-checkpoints", number, "--best", 1)
    (best,) = trained.list_checkpoints()
    assert best.uuid in det("checkpoint", "describe", best.uuid)
    det("checkpoint", "download", best.uuid, "-o", tmp_path / "by-cli", "--mode", "master")
    assert (tmp_path / "by-cli" / "state_dict.pth").is_file()
    assert "model_def:ToyTrial" in det("experiment", "config", number)
    det("experiment", "download-model-def", number, "--output-dir", tmp_path)
    with tarfile.open(tmp_path / f"experiment_{number}_model_def.tgz") as archive:
        assert archive.getnames() == ["const.yaml", "model_def.py"]
    described = json.loads(det("experiment", "describe", number, "--json"))
    assert described[0]["experiment"]["progress"] == 1


def test_preview_of_a_policy(det, trained):
    answer = det(
        "e", "set", "gc-policy", trained.id, "--save-experiment-best", 0, "--save-trial-best", 0,
        "--save-trial-latest", 0, status=0, stdin="n\n",
    )  # fmt: skip
    assert "0 checkpoints with validations and 1 checkpoints without validations" in answer
    assert "Aborting operations" in answer


def test_labels_names_and_archiving(det, client, trained):
    det("experiment", "label", "add", trained.id, "good")
    det("experiment", "set", "description", trained.id, "a better line")
    trained.reload()
    assert (trained.labels, trained.description) == ({"good"}, "a better line")
    trained.remove_label("good")
    trained.set_name("renamed")
    trained.archive()
    found = [e for e in client.list_experiments() if e.id == trained.id]
    assert (found[0].archived, found[0].name) == (True, "renamed")
    trained.unarchive()
    assert f"{trained.id} " in det("experiment", "list")


def test_continuing_with_other_code_from_a_checkpoint(client, trained, lab, tmp_path):
    (best,) = trained.list_checkpoints()
    code = lab.copy_of_toy(tmp_path / "code", ("class ToyTrial", "print('the second code')\n\n\nclass ToyTrial"))
    config = lab.toy_config(searcher__source_checkpoint_uuid=best.uuid, searcher__max_length={"batches": 100})
    continued = lab.submit(client, config, code, parent_id=trained.id)
    assert continued.wait(interval=0.2) == experimental.ExperimentState.COMPLETED, lab.logs_of(continued)
    assert "the second code" in lab.logs_of(continued)
    (checkpoint,) = continued.list_checkpoints()
    # A cold start is at 0.1 after 100 batches: the weights were taken over, the counters began anew.
    assert checkpoint.metadata["steps_completed"] == 100
    before = best.training.validation_metrics["avgMetrics"]["val_loss"]
    assert checkpoint.training.validation_metrics["avgMetrics"]["val_loss"] < before
    assert client.get_experiment(continued.id).config["searcher"]["source_checkpoint_uuid"] == best.uuid
