"""The whole job, with everything beneath the SDKs in memory."""

import data
import generate
import pytest
import train
import yaml
from train_job import commits as train_commits
from train_job.failure import TrainError

JOB = "a" * 12 + "4" + "a" * 19
LATER = "d" * 12 + "4" + "d" * 19
EARLIER = "b" * 12 + "4" + "b" * 19


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def job(settings, determined, commits, master, monkeypatch, tmp_path):
    """Run the job; checkpoints are downloaded, and data is read, from memory."""
    client = type("Client", (), {"pfs": commits})()
    monkeypatch.setattr(train, "connect", lambda _: determined)
    monkeypatch.setattr(train_commits, "Client", lambda *_: client)
    monkeypatch.setattr(data, "Client", lambda *_: client)
    monkeypatch.setattr(
        train.Checkpoint, "download", lambda self, path: (settings.out / "checkpoint").mkdir(parents=True)
    )

    def run(**changes):
        train.run(train.settings.Settings(**{**vars(settings), **changes}))
        return yaml.safe_load((settings.out / "model-info.yaml").read_text())

    return run


@pytest.fixture
def churn_csv(tmp_path):
    first, second = generate.generate(tmp_path / "csv", rows=20)
    return first.read_bytes(), second.read_bytes()


def test_a_first_commit_is_trained_on_afresh_and_registered(job, commits, master, churn_csv, settings):
    commits.commits[JOB] = (JOB, {"/data_part1.csv": churn_csv[0]})
    info = job()
    (experiment,) = master.experiments.values()
    assert experiment["config"]["data"]["pachyderm"]["previous_commit"] is None
    assert "source_checkpoint_uuid" not in experiment["config"]["searcher"]
    assert {"model_def.py", "features.py", "contract.json"} <= set(experiment["files"])
    code = info.pop("code_commit")
    assert len(code.removesuffix("-dirty")) in (40, 71)
    assert info == {
        "name": "customer-churn", "version": 1, "version_name": JOB, "pipeline": "train", "project": "churn",
        "repo": "customers", "checkpoint": "checkpoint-1", "data_commit": JOB, "previous_commit": None,
            "files": ["/data_part1.csv"], "file_count": 1, "rows": 20,
        "source_version": None, "experiment_id": 1, "trial_id": 11,
        "metrics": {"batches": 1000, "val_auc": 0.78, "val_loss": 0.5},
    }  # fmt: skip
    (version,) = master.versions["customer-churn"]
    assert version["metadata"]["data_commit"] == JOB
    assert version["metadata"]["code_commit"] == code


def test_a_later_commit_goes_on_from_the_last_version_with_the_current_code(job, commits, master, churn_csv):
    first, second = churn_csv
    master.add_version("customer-churn", EARLIER, data_commit=EARLIER)
    commits.commits[EARLIER] = (EARLIER, {"/data_part1.csv": first})
    commits.commits[JOB] = (JOB, {"/data_part1.csv": first, "/data_part2.csv": second})
    info = job()
    (experiment,) = master.experiments.values()
    assert experiment["config"]["searcher"]["source_checkpoint_uuid"] == "checkpoint-0"
    assert experiment["config"]["data"]["pachyderm"]["previous_commit"] == EARLIER
    assert experiment["config"]["data"]["pachyderm"]["branch"] == JOB
    assert "model_def.py" in experiment["files"]
    assert (info["version"], info["source_version"], info["previous_commit"]) == (2, 1, EARLIER)


@pytest.mark.seed("S2-17")
def test_not_incremental_is_afresh_on_everything(job, commits, master, churn_csv):
    master.add_version("customer-churn", EARLIER, data_commit=EARLIER)
    commits.commits[JOB] = (JOB, {"/data_part1.csv": churn_csv[0]})
    info = job(incremental=False)
    (experiment,) = master.experiments.values()
    assert "source_checkpoint_uuid" not in experiment["config"]["searcher"]
    assert (info["version"], info["source_version"], info["previous_commit"]) == (2, None, None)


def test_code_that_changed_alone_trains_afresh_on_everything(job, commits, master, churn_csv):
    """Where the code is an input; where it is not, the same commit done again goes on from where it went on from."""
    first, second = churn_csv
    commits.commits[EARLIER] = (EARLIER, {"/data_part1.csv": first})
    commits.commits[JOB] = (LATER, {"/data_part1.csv": first, "/data_part2.csv": second})
    master.add_version("customer-churn", EARLIER, data_commit=EARLIER)
    master.add_version("customer-churn", LATER, data_commit=LATER, code_commit="older")
    info = job(code_starts_jobs=True)
    assert (info["source_version"], info["previous_commit"], info["rows"]) == (None, None, 40)


def test_a_commit_done_again_with_other_code_goes_on_from_the_same_version(job, commits, master, churn_csv):
    first, second = churn_csv
    commits.commits[EARLIER] = (EARLIER, {"/data_part1.csv": first})
    commits.commits[JOB] = (LATER, {"/data_part1.csv": first, "/data_part2.csv": second})
    master.add_version("customer-churn", EARLIER, data_commit=EARLIER)
    master.add_version("customer-churn", LATER, data_commit=LATER, code_commit="older")
    info = job()
    assert (info["source_version"], info["previous_commit"], info["rows"]) == (1, EARLIER, 20)


@pytest.mark.parametrize("dies_in", ["wait", "best_checkpoint", "register", "write"])
def test_a_job_run_again_after_a_crash_neither_trains_nor_registers_twice(
    job, commits, master, churn_csv, monkeypatch, dies_in
):
    commits.commits[JOB] = (JOB, {"/data_part1.csv": churn_csv[0]})
    owner = {"wait": train.experiments, "best_checkpoint": train.experiments, "write": train.output}.get(
        dies_in, train.registry.Registry
    )

    def die(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, dies_in, die)
        with pytest.raises(Killed):
            job()
    info = job()
    assert (info["version"], info["experiment_id"]) == (1, 1)
    assert len(master.experiments) == len(master.versions["customer-churn"]) == 1


def test_a_crash_after_the_version_was_registered_only_writes_the_output(job, commits, master, churn_csv, settings):
    commits.commits[JOB] = (JOB, {"/data_part1.csv": churn_csv[0]})
    before = job()
    train.output.shutil.rmtree(settings.out)
    master.requests.clear()
    assert job() == before
    assert not master.posts("")


def test_a_failed_experiment_registers_nothing_and_a_second_run_tries_again(job, commits, master, churn_csv, settings):
    commits.commits[JOB] = (JOB, {"/data_part1.csv": churn_csv[0]})
    master.script = [("ERROR", 0.1, None)]
    with pytest.raises(TrainError, match="ended as ERROR"):
        job()
    assert not master.versions
    assert not settings.out.exists()
    master.script = [("COMPLETED", 1.0, 0.8)]
    assert job()["experiment_id"] == 2


def test_bad_data_creates_no_experiment(job, commits, master, settings):
    commits.commits[JOB] = (JOB, {"/data_part1.csv": b"not,churn\n1,2\n"})
    with pytest.raises(TrainError, match="the data breaks its contract"):
        job()
    assert not master.experiments
    assert not master.models
    assert not settings.out.exists()


def test_a_pipeline_that_is_run_again_on_the_same_commit_trains_on_the_same_rows(job, commits, master, churn_csv):
    first, second = churn_csv
    master.add_version("customer-churn", EARLIER, data_commit=EARLIER)
    master.add_version("customer-churn", "c" * 12 + "4" + "c" * 19, data_commit="latest", uuid="checkpoint-00")
    commits.commits[EARLIER] = (EARLIER, {"/data_part1.csv": first})
    commits.commits[JOB] = ("latest", {"/data_part1.csv": first, "/data_part2.csv": second})
    info = job()
    assert (info["data_commit"], info["previous_commit"], info["source_version"]) == ("latest", EARLIER, 1)


ENVIRON = {"PACH_JOB_ID": JOB, "PPS_PIPELINE_NAME": "train", "PACHD_PEER_SERVICE_HOST": "h", "DET_MASTER": "http://m"}
OPTIONS = ["--git-url", "u", "--repo", "r", "--model", "m"]


def test_an_expected_error_is_told_without_a_traceback(monkeypatch, capsys):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)

    def refuse(_):
        raise TrainError("the data breaks its contract", "here", "mend it")

    monkeypatch.setattr(train, "run", refuse)
    assert train.main(OPTIONS) == 1
    assert capsys.readouterr().err == "error: the data breaks its contract\n  where: here\n  what to do: mend it\n"
    monkeypatch.setattr(train, "run", lambda _: None)
    assert train.main(OPTIONS) == 0


def test_a_missing_variable_is_an_expected_error(monkeypatch, capsys):
    for name in ENVIRON:
        monkeypatch.delenv(name, raising=False)
    assert train.main(OPTIONS) == 1
    assert "error: PACH_JOB_ID is not set" in capsys.readouterr().err


def test_a_wrong_password_says_which_secret(settings, monkeypatch):
    def refuse(*_, **__):
        raise train.errors.InvalidCredentialsException

    monkeypatch.setattr(train, "Determined", refuse)
    with pytest.raises(TrainError, match="does not let user 'determined' in") as error:
        train.connect(settings)
    assert "det_password" in error.value.remedy
