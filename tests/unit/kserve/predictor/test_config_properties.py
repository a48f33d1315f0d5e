"""The user's config.properties is read, ours is written."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdk.kserve.predictor.config_properties import (
    Ports,
    ServedModel,
    ServingConfig,
    parse_properties,
    read_config,
    render_config,
)
from pdk.kserve.predictor.failures import ModelLoadFailed

NUMBERS = {"minWorkers": 1, "maxWorkers": 5, "batchSize": 1, "maxBatchDelay": 100, "responseTimeout": 120}
SNAPSHOT = {
    "name": "startup.cfg",
    "modelCount": 1,
    "models": {
        "customer-churn": {
            "1.0": {
                "defaultVersion": True, "marName": "customer-churn.mar", "minWorkers": 1, "maxWorkers": 5,
                "batchSize": 1, "maxBatchDelay": 100, "responseTimeout": 120,
            }
        }
    },
}  # fmt: skip
ORIGINAL = f"""inference_address=http://0.0.0.0:8085
management_address=http://0.0.0.0:8083
metrics_address=http://0.0.0.0:8082
grpc_inference_port=7070
grpc_management_port=7071
enable_metrics_api=true
metrics_format=prometheus
number_of_netty_threads=4
job_queue_size=10
enable_envvars_config=true
model_store=/mnt/models/model-store
model_snapshot={json.dumps(SNAPSHOT)}
"""


def read(tmp_path, text, archives=("customer-churn.mar",), envelope="kserve"):
    path = tmp_path / "config.properties"
    path.write_text(text)
    return read_config(path, list(archives), envelope)


def snapshot(**changes):
    entry = {**SNAPSHOT["models"]["customer-churn"]["1.0"], **changes}
    return "model_snapshot=" + json.dumps({**SNAPSHOT, "models": {"customer-churn": {"1.0": entry}}})


def test_the_file_of_the_original_example(tmp_path):
    config = read(tmp_path, ORIGINAL)
    assert config.models == (ServedModel("customer-churn", "1.0", "customer-churn.mar", NUMBERS),)
    assert config.options == {"number_of_netty_threads": "4", "job_queue_size": "10"}
    assert config.notes == ()
    assert config.max_request_bytes == 6_553_500
    assert config.response_timeout == 120


def test_properties_syntax():
    text = "# c\n! c\n\na=1\nb : 2\n  c   3\nd=x\\\n   y\na=4\nbare\ne=a=b:c\n"
    assert parse_properties(text) == {"a": "4", "b": "2", "c": "3", "d": "xy", "bare": "", "e": "a=b:c"}


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text):
    parsed = parse_properties(text)
    assert all(isinstance(key, str) for key in parsed)


def test_ignored_keys_are_named(tmp_path):
    config = read(tmp_path, ORIGINAL + "plugins_path=/x\nvmargs=-Xmx9g\n")
    assert config.notes == ("config.properties: plugins_path is ignored", "config.properties: vmargs is ignored")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model_snapshot={", "model_snapshot is not JSON"),
        ("model_snapshot=[]", 'has no "models"'),
        ('model_snapshot={"models": {"m": {}}}', "must be {version"),
        ('model_snapshot={"models": {"a/b": {"1": {"marName": "x.mar"}}}}', "letters, digits"),
        ('model_snapshot={"models": {"m": {"1": {}}}}', "marName is missing"),
        (snapshot(marName="other.mar"), "but model-store holds customer-churn.mar"),
        (snapshot(minWorkers=0), "minWorkers=0 must be a whole number from 1 to 64"),
        (snapshot(minWorkers=True), "minWorkers=True must be"),
        (snapshot(batchSize="many"), "batchSize='many' must be"),
        (snapshot(responseTimeout=-1), "responseTimeout=-1 must be"),
        ("job_queue_size=0\n" + snapshot(), "job_queue_size='0' must be"),
        ("limit_max_image_pixels=maybe\n" + snapshot(), "must be true or false"),
        ("load_models=../../etc/x.mar", "letters, digits"),
    ],
)
def test_bad_values_are_refused_with_their_place(tmp_path, text, words):
    with pytest.raises(ModelLoadFailed) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


def test_without_a_file_the_only_archive_is_served(tmp_path):
    config = read_config(tmp_path / "missing", ["m.mar"], "kserve")
    assert config.models == (ServedModel("m", "1.0", "m.mar"),)
    assert "serving m.mar as 'm'" in config.notes[0]
    with pytest.raises(ModelLoadFailed, match="holds 2 archives"):
        read_config(tmp_path / "missing", ["a.mar", "b.mar"], "kserve")


def test_load_models(tmp_path):
    two = ("a.mar", "b.mar")
    assert [m.name for m in read(tmp_path, "load_models=all", two).models] == ["a", "b"]
    assert [(m.name, m.archive) for m in read(tmp_path, "load_models=x=b.mar", two).models] == [("x", "b.mar")]
    with pytest.raises(ModelLoadFailed, match=r"holds no \.mar"):
        read(tmp_path, "load_models=all", ())


def test_one_version_of_a_model_is_served(tmp_path):
    entry = SNAPSHOT["models"]["customer-churn"]["1.0"]
    both = {"1.0": {**entry, "defaultVersion": False}, "2.0": entry}
    config = read(tmp_path, "model_snapshot=" + json.dumps({"models": {"customer-churn": both}}))
    assert config.models[0].version == "2.0"
    assert "only version 2.0 is served" in config.notes[0]


def test_batches_need_the_envelope_off(tmp_path):
    enveloped = read(tmp_path, snapshot(batchSize=8))
    assert enveloped.models[0].numbers["batchSize"] == 1
    assert "batchSize 8 is served as 1" in enveloped.notes[0]
    assert read(tmp_path, snapshot(batchSize=8), envelope="").models[0].numbers["batchSize"] == 8


def test_ours_is_closed_and_on_loopback(tmp_path):
    config = read(tmp_path, ORIGINAL)
    ours = parse_properties(render_config(config, Ports(1, 2, 3, 4, 5), Path("/models/store"), "kserve"))
    assert ours["inference_address"] == "http://127.0.0.1:1"
    assert ours["management_address"] == "http://127.0.0.1:2"
    assert ours["metrics_address"] == "http://127.0.0.1:3"
    assert (ours["grpc_inference_address"], ours["grpc_management_address"]) == ("127.0.0.1", "127.0.0.1")
    assert (ours["grpc_inference_port"], ours["grpc_management_port"]) == ("4", "5")
    assert ours["enable_envvars_config"] == ours["enable_model_api"] == ours["install_py_dep_per_model"] == "false"
    assert ours["disable_token_authorization"] == "true"
    assert ours["service_envelope"] == "kserve"
    assert ours["model_store"] == "/models/store"
    assert json.loads(ours["model_snapshot"])["models"].keys() == {"customer-churn"}
    assert "0.0.0.0" not in str(ours)


def test_no_envelope_when_it_is_switched_off():
    config = ServingConfig((ServedModel("m", "1", "m.mar"),))
    assert "service_envelope" not in render_config(config, Ports(1, 2, 3, 4, 5), Path("/s"), "")
