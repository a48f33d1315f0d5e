from pathlib import Path

import pytest
from train_job import settings
from train_job.failure import TrainError

OPTIONS = ["--git-url", "u", "--repo", "r", "--model", "m"]
ENVIRON = {
    "PACH_JOB_ID": "j",
    "PPS_PIPELINE_NAME": "p",
    "PACHD_PEER_SERVICE_HOST": "h",
    "PACHD_PEER_SERVICE_PORT": "30653",
    "DET_MASTER": "http://m",
}


def test_defaults():
    read = settings.read(OPTIONS, ENVIRON)
    assert (read.git_ref, read.sub_dir, read.config) == ("", "experiment", "const.yaml")
    assert read.incremental
    assert read.pass_token
    assert (read.project, read.det_user, read.det_password) == ("default", "determined", "")
    assert read.out == Path("/pfs/out")
    assert read.pachd_port == 30653
    assert read.pach_token is None


@pytest.mark.seed("S2-25")
def test_options_and_environment():
    options = [
        *OPTIONS,
        "--git-ref",
        "v1",
        "--sub-dir",
        "s",
        "--config",
        "c.yaml",
        "--project",
        "x",
        "--no-incremental",
    ]
    environ = {**ENVIRON, "PFS_ROOT": "/tmp/p", "DET_USER": "ann", "DET_PASSWORD": "secret", "PPS_PROJECT_NAME": "y"}
    read = settings.read([*options, "--no-pass-token"], environ)
    assert (read.git_ref, read.sub_dir, read.config, read.project) == ("v1", "s", "c.yaml", "x")
    assert not read.incremental
    assert not read.pass_token
    assert (read.det_user, read.det_password, read.out) == ("ann", "secret", Path("/tmp/p/out"))
    assert settings.read(OPTIONS, environ).project == "y"
    assert "secret" not in repr(read)


def test_the_token_is_pachyderms_own_or_the_pipelines():
    assert settings.read(OPTIONS, {**ENVIRON, "PAC_TOKEN": "two"}).pach_token == "two"
    read = settings.read(OPTIONS, {**ENVIRON, "PACH_TOKEN": "one", "PAC_TOKEN": "two"})
    assert read.pach_token == "one"
    assert "one" not in repr(read)


@pytest.mark.parametrize("name", ["PACH_JOB_ID", "PPS_PIPELINE_NAME", "PACHD_PEER_SERVICE_HOST", "DET_MASTER"])
def test_a_missing_variable_is_named(name):
    with pytest.raises(TrainError, match=f"{name} is not set"):
        settings.read(OPTIONS, {key: value for key, value in ENVIRON.items() if key != name})


@pytest.mark.parametrize("port", ["tcp://10.0.0.1:30653", "0", "70000"])
def test_a_port_must_be_one(port):
    with pytest.raises(TrainError, match="PACHD_PEER_SERVICE_PORT is no port"):
        settings.read(OPTIONS, {**ENVIRON, "PACHD_PEER_SERVICE_PORT": port})


def test_wrong_options_are_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        settings.read(["--repo", "r"], ENVIRON)
    assert stop.value.code == 2
    assert "--git-url" in capsys.readouterr().err


def test_the_code_comes_from_one_place(capsys):
    options = ["--code", "pfs://p/r@master", "--repo", "r", "--model", "m"]
    assert settings.read(options, ENVIRON).code == "pfs://p/r@master"
    assert not settings.read(options, ENVIRON).code_starts_jobs
    assert settings.read(options, {**ENVIRON, "code_COMMIT": "c"}).code_starts_jobs
    with pytest.raises(SystemExit):
        settings.read([*options, "--git-url", "u"], ENVIRON)
    assert "not allowed with" in capsys.readouterr().err
