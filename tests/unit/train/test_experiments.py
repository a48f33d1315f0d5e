import dataclasses
import json
import logging

import pytest
from train_job import experiments
from train_job.experiments import Lineage
from train_job.failure import TrainError

CONFIG = {
    "name": "churn",
    "workspace": "PDK Demos",
    "project": "x",
    "data": {"pachyderm": {"host": None, "token": None}, "refit": False},
    "labels": ["mine"],
    "searcher": {"name": "single", "metric": "val_auc", "max_length": {"batches": 1000}, "source_trial_id": 3},
}
AFRESH = Lineage("commit", None, "code", None, None)
CONTINUED = Lineage("commit", "before", "code", 4, "uuid")


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "model_def.py").write_text("")
    return folder


def create(determined, settings, code, **changes):
    config = experiments.fill_config({**CONFIG, **changes}, settings, AFRESH)
    return experiments.find_or_create(determined, config, code, settings)


def test_the_config_is_filled_in(settings):
    filled = experiments.fill_config(CONFIG, settings, CONTINUED)
    assert filled["data"]["pachyderm"] == {
        "host": "pachd", "port": 30650, "project": "churn", "repo": "customers", "branch": settings.job_id,
        "token": None, "previous_commit": "before",
    }  # fmt: skip
    assert filled["data"]["refit"] is False
    assert filled["data"]["lineage"]["code_commit"] == "code"
    assert filled["labels"] == ["mine", "customers", settings.job_id, "train"]
    assert filled["description"] == "train: continues version 4, on churn/customers@commit"
    assert filled["searcher"]["source_checkpoint_uuid"] == "uuid"
    assert "source_trial_id" not in filled["searcher"]
    assert CONFIG["data"]["pachyderm"] == {"host": None, "token": None}  # untouched


def test_a_first_training_keeps_the_starting_point_of_the_config(settings):
    filled = experiments.fill_config(CONFIG, settings, AFRESH)
    assert filled["searcher"] == CONFIG["searcher"]
    assert filled["data"]["pachyderm"]["previous_commit"] is None
    assert filled["description"] == "train: first training, on churn/customers@commit"
    assert "environment" not in filled


def test_thousands_of_files_leave_the_config_small(settings):
    names = tuple(f"/2024/part-{number:05d}.csv" for number in range(10_000))
    filled = experiments.fill_config(CONFIG, settings, dataclasses.replace(AFRESH, files=names, rows=7))
    lineage = filled["data"]["lineage"]
    assert len(json.dumps(filled)) < 32 * 1024
    assert lineage["files"] == list(names[: len(lineage["files"])])
    assert len(lineage["files"]) > 500
    assert (lineage["file_count"], lineage["rows"]) == (10_000, 7)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["PACH_TOKEN=t"]),
        ({"environment_variables": ["A=1"]}, ["A=1", "PACH_TOKEN=t"]),
        (
            {"environment_variables": {"cpu": ["A=1"], "cuda": None}},
            {"cpu": ["A=1", "PACH_TOKEN=t"], "cuda": ["PACH_TOKEN=t"]},
        ),
    ],
)
def test_a_token_travels_in_the_environment_of_the_trial(settings, environment, expected):
    with_token = dataclasses.replace(settings, pach_token="t")
    filled = experiments.fill_config({**CONFIG, "environment": environment}, with_token, AFRESH)
    assert filled["environment"]["environment_variables"] == expected
    assert filled["data"]["pachyderm"]["token"] is None
    without = dataclasses.replace(with_token, pass_token=False)
    assert "environment" not in experiments.fill_config(CONFIG, without, AFRESH)


def test_a_config_is_read_as_determined_reads_it(tmp_path):
    path = tmp_path / "const.yaml"
    path.write_text("searcher: {name: single}\nhyperparameters: {lr: 1e-4, on: yes}\n")
    assert experiments.read_config(path)["hyperparameters"] == {"lr": 0.0001, "on": "yes"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a: [", "cannot read"), ("- a", "no searcher"), ("a: 1", "no searcher"), (None, "cannot read")],
)
def test_a_config_that_is_none_is_refused(tmp_path, text, reason):
    path = tmp_path / "const.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TrainError, match=reason):
        experiments.read_config(path)


def test_an_experiment_takes_the_current_code_along(determined, settings, code, master):
    experiment = create(determined, settings, code)
    assert master.experiments[experiment.id]["files"] == ["model_def.py"]


def test_a_job_finds_its_experiment_again(determined, settings, code, master):
    first = create(determined, settings, code)
    assert create(determined, settings, code).id == first.id
    assert len(master.posts("/api/v1/experiments")) == 1
    other = dataclasses.replace(settings, job_id="other")
    assert experiments.find(determined, other.job_id) is None
    assert create(determined, other, code).id != first.id


@pytest.mark.parametrize("state", ["ERROR", "CANCELED", "STOPPING_CANCELED"])
def test_a_failed_experiment_is_not_taken_up_again(determined, settings, code, master, state):
    first = create(determined, settings, code)
    master.experiments[first.id]["state"] = f"STATE_{state}"
    assert experiments.find(determined, settings.job_id) is None


def test_a_completed_experiment_is_taken_up_only_with_a_checkpoint(determined, settings, code, master):
    first = create(determined, settings, code)
    master.experiments[first.id]["state"] = "STATE_COMPLETED"
    assert experiments.find(determined, settings.job_id) is None
    master.add_checkpoint("x", first.id, 0.7)
    assert experiments.find(determined, settings.job_id).id == first.id


def test_a_label_that_only_looks_alike_is_not_this_job(determined, settings, code, master):
    first = create(determined, settings, code)
    master.experiments[first.id]["labels"] = [f"{settings.job_id}x"]
    assert experiments.find(determined, settings.job_id) is None


def test_a_refused_config_says_why_and_where(determined, settings, code):
    with pytest.raises(TrainError, match="workspace/project 'Elsewhere/x' not found") as error:
        create(determined, settings, code, workspace="Elsewhere")
    assert "Elsewhere/x" in error.value.remedy


def test_progress_is_logged_while_waiting(determined, settings, code, master, caplog):
    caplog.set_level(logging.INFO)
    master.script = [
        ("QUEUED", 0.0, None),
        ("RUNNING", 0.1, None),
        ("RUNNING", 0.4, 0.7),
        ("RUNNING", 0.4, 0.7),
        ("PAUSED", 0.4, 0.7),
        ("COMPLETED", 1.0, 0.78),
    ]
    experiment = create(determined, settings, code)
    master.outages = 2
    experiments.wait(experiment)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert said == [
        f"experiment {experiment.id} {text}"
        for text in (
            "is QUEUED",
            "is RUNNING",
            "has trained 100 of 1000 batches",
            "has trained 400 of 1000 batches, val_auc 0.7000",
            "is PAUSED",
            f"is paused: go on with `det experiment activate {experiment.id}`",
            "is COMPLETED",
            "has trained 1000 of 1000 batches, val_auc 0.7800",
        )
    ]
    best = experiments.best_checkpoint(experiment)
    assert best.uuid == f"checkpoint-{experiment.id}"
    assert experiments.metrics_of(best) == {"batches": 1000, "val_auc": 0.78, "val_loss": 0.5}


TRACEBACK = """\
[2024-01-02T03:04:05.678Z] 1dc1c446 [rank=0] || Traceback (most recent call last):
[2024-01-02T03:04:05.678Z] 1dc1c446 [rank=0] ||   File "model_def.py", line 90, in train_batch
[2024-01-02T03:04:05.678Z] 1dc1c446 [rank=0] || RuntimeError: the batch is broken
[2024-01-02T03:04:05.678Z]          || ERROR: resources failed with non-zero exit code
""".splitlines()
REFUSAL = """\
[2024-01-02T03:04:05.678Z] 1dc1c446 [rank=0] || INFO: [12] experiment.data: fetching
[2024-01-02T03:04:05.678Z] 1dc1c446 [rank=0] || ERROR: [12] experiment.trial: checkpoint x holds no feature_spec.json
[2024-01-02T03:04:05.678Z] 1dc1c446 [rank=0] || INFO: [12] determined.core: converting InvalidHP to exit(0)
""".splitlines()


@pytest.mark.parametrize("state", ["ERROR", "CANCELED"])
def test_a_failed_experiment_fails_with_the_cause_and_the_trials_last_lines(
    determined, settings, code, master, state, caplog
):
    master.script = [("RUNNING", 0.1, None), (state, 0.1, None)]
    master.log = [*(f"line {i}" for i in range(70)), *TRACEBACK]
    experiment = create(determined, settings, code)
    with pytest.raises(TrainError) as error:
        experiments.wait(experiment)
    first, *rest = error.value.what.splitlines()
    assert first == (
        f"experiment {experiment.id} ended as {state}, nothing is registered: RuntimeError: the batch is broken"
    )
    assert rest[1:] == [
        "    line 69",
        "    Traceback (most recent call last):",
        '      File "model_def.py", line 90, in train_batch',
        "    RuntimeError: the batch is broken",
        "    ERROR: resources failed with non-zero exit code",
    ]
    assert error.value.where == f"trial {10 + experiment.id} of experiment {experiment.id}"
    assert "--no-incremental" not in error.value.remedy
    assert "line 30" in caplog.text
    assert "line 20" not in caplog.text


def test_a_failed_warm_start_suggests_to_start_afresh(determined, settings, code, master):
    master.script = [("ERROR", 0.1, None)]
    config = experiments.fill_config(CONFIG, settings, CONTINUED)
    experiment = experiments.find_or_create(determined, config, code, settings)
    with pytest.raises(TrainError) as error:
        experiments.wait(experiment)
    assert "--no-incremental" in error.value.remedy


def test_an_experiment_without_a_checkpoint_is_a_failure(determined, settings, code, master):
    master.leaves_checkpoint = False
    master.log = REFUSAL
    experiment = create(determined, settings, code)
    experiments.wait(experiment)
    with pytest.raises(TrainError) as error:
        experiments.best_checkpoint(experiment)
    assert error.value.what.splitlines()[0] == (
        f"experiment {experiment.id} completed without a checkpoint, nothing is registered: "
        "experiment.trial: checkpoint x holds no feature_spec.json"
    )


@pytest.mark.parametrize("loss", ["NaN", "Infinity", float("nan")])
def test_a_training_that_diverged_leaves_nothing_to_register(determined, settings, code, master, loss):
    experiment = create(determined, settings, code)
    experiments.wait(experiment)
    checkpoint = master.checkpoints[f"checkpoint-{experiment.id}"]
    checkpoint["training"]["validationMetrics"]["avgMetrics"]["val_loss"] = loss
    with pytest.raises(TrainError, match=rf"diverged: val_loss is {loss} of the best checkpoint") as error:
        experiments.best_checkpoint(experiment)
    assert f"checkpoint-{experiment.id}" in error.value.where


def test_a_trial_that_says_nothing_is_a_failure_too(determined, settings, code, master):
    master.script = [("ERROR", 0.0, None)]
    master.log = []
    experiment = create(determined, settings, code)
    with pytest.raises(TrainError, match=r"its log names no error\n  the trial's last lines: none"):
        experiments.wait(experiment)
