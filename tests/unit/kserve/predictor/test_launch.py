"""From a model folder to a command line."""

import json
import sys
from pathlib import Path

import pytest
from predictor_node import write_archive

from pdk.base.errors import FailedPrecondition
from pdk.kserve.predictor.config_properties import parse_properties
from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.launch import (
    MAX_TEMP_PATH,
    Folders,
    LaunchBuilder,
    LaunchRequest,
    free_ports,
    torchserve_home,
)
from pdk.kserve.predictor.settings import PredictorSettings

MODEL = {"modelName": "churn", "modelVersion": "3", "handler": "handler.py"}


@pytest.fixture
def builder(tmp_path):
    temp = tmp_path / "temp"
    temp.mkdir()
    settings = PredictorSettings(tmp_path, "x/", Path(sys.executable), {"PATH": "/bin"}, temp, java=Path("/bin/java"))
    return LaunchBuilder(settings)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "r"
    probe = json.dumps({"instances": [1]})
    write_archive(folder / "models/model-store/churn.mar", MODEL, {"probe.json": probe})
    return folder


def request(folder, **environment):
    return LaunchRequest("x/1/serve", Folders(folder), folder / "pod.log", environment, cpus=3)


def test_the_command_runs_our_config_from_an_empty_folder(builder, folder):
    launch = builder.prepare(request(folder))
    argv = list(launch.child.argv)
    assert argv[0] == "/bin/java"
    assert f"-Djava.io.tmpdir={launch.temp}" in argv
    assert not any(each.startswith(".:") for each in argv)
    config = parse_properties(Path(argv[argv.index("-f") + 1]).read_text())
    assert config["model_store"] == str(folder / "models/model-store")
    assert config["inference_address"] == f"http://127.0.0.1:{launch.ports.inference}"
    assert list(launch.child.cwd.iterdir()) == []
    assert [(m.target, m.read_only) for m in launch.child.mounts] == [("/mnt/models", True)]
    assert json.loads((folder / "run/probe.json").read_text()) == {"request": {"instances": [1]}}
    assert f'fileName="{folder}/pod.log"' in (folder / "run/log4j2.xml").read_text()


def test_the_environment_is_ours_plus_what_the_spec_may_set(builder, folder):
    launch = builder.prepare(
        request(folder, GREETING="hello", OMP_NUM_THREADS="2", TS_INFERENCE_ADDRESS="http://0.0.0.0:1", LD_PRELOAD="x")
    )
    environment = launch.child.env
    assert environment["GREETING"] == "hello"
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["TS_SERVICE_ENVELOPE"] == "kserve"
    assert environment["TMPDIR"] == environment["TEMP"] == str(launch.temp)
    assert "TS_INFERENCE_ADDRESS" not in environment
    assert "LD_PRELOAD" not in environment
    assert len([note for note in launch.notes if "is ignored" in note]) == 2


def test_threads_follow_the_cpu_limit(builder, folder):
    assert builder.prepare(request(folder)).child.env["OMP_NUM_THREADS"] == "3"


def test_the_envelope_can_be_switched_off(builder, folder):
    launch = builder.prepare(request(folder, TS_SERVICE_ENVELOPE=""))
    assert launch.child.env["TS_SERVICE_ENVELOPE"] == ""
    assert "service_envelope" not in (folder / "run/config.properties").read_text()


def test_sockets_get_a_short_path(builder, folder, tmp_path):
    deep = tmp_path / ("d" * MAX_TEMP_PATH)
    deep.mkdir()
    folder.rename(deep / "r")
    assert builder.prepare(request(deep / "r")).temp.parent == tmp_path / "temp"
    # pytest's own folders may be too deep already
    short = len(str(tmp_path / "r2/t")) <= MAX_TEMP_PATH
    (deep / "r").rename(tmp_path / "r2")
    assert builder.prepare(request(tmp_path / "r2")).temp.parent == (tmp_path / "r2/t" if short else tmp_path / "temp")


def test_archives_beside_no_model_store(builder, folder):
    (folder / "models/model-store/churn.mar").rename(folder / "models/churn.mar")
    (folder / "models/model-store").rmdir()
    launch = builder.prepare(request(folder))
    assert "serving churn.mar as 'churn'" in launch.notes[0]


def test_no_archive(builder, folder):
    (folder / "models/model-store/churn.mar").unlink()
    with pytest.raises(ModelLoadFailed, match="holds 0 archives"):
        builder.prepare(request(folder))


def test_a_python_without_torchserve(tmp_path):
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho\n")
    bare.chmod(0o755)
    with pytest.raises(FailedPrecondition, match="pip install torchserve"):
        torchserve_home(bare)


def test_the_workers_own_torchserve_is_used(tmp_path):
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    assert torchserve_home(other) == torchserve_home(Path(sys.executable))


def test_the_heap_follows_the_largest_request(builder, folder):
    assert "-Xmx256m" in builder.prepare(request(folder)).child.argv
    (folder / "models/config").mkdir()
    text = 'max_request_size=104857600\nmodel_snapshot={"models": {"m": {"1": {"marName": "churn.mar"}}}}'
    (folder / "models/config/config.properties").write_text(text)
    assert "-Xmx800m" in builder.prepare(request(folder)).child.argv


def test_ports_differ():
    ports = free_ports()
    assert len(set(vars(ports).values())) == 5
