import dataclasses
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from deployment import archive, storage, torchserve_config
from deployment.build import BuildOptions, run
from deployment.errors import ArchiveError, InputError
from deployment.modelinfo import read_built
from deployment.torchserve_config import Serving

CONTAINER = Path(torchserve_config.__file__).parents[1]


def options_for(source, output, **changes):
    filled = BuildOptions(
        source=source,
        output=output,
        served_name="customer-churn",
        job="b" * 32,
        pipeline="customer-churn-deploy",
        project="pdk-customer-churn",
        host=None,
        bucket=None,
        credentials_file=None,
        serving=Serving(),
    )
    return dataclasses.replace(filled, **changes)


def build(source, output, **changes):
    said = []
    document = run(options_for(source, output, **changes), said.append)
    return document, said


def test_layout_of_the_output_commit(built):
    _, output, document = built
    files = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    assert files == [
        "customer-churn/config/config.properties",
        "customer-churn/model-store/customer-churn-v3.mar",
        "model-info.yaml",
        "probe.json",
    ]
    assert yaml.safe_load((output / "model-info.yaml").read_text()) == document
    model, section = read_built(output)
    assert (model.version, model.document["experiment_id"], section.uri) == (3, 11, "")
    assert (section.pipeline, section.project) == ("customer-churn-deploy", "pdk-customer-churn")


def test_the_archive_holds_code_spec_weights_and_where_it_comes_from(built):
    _, output, _ = built
    with zipfile.ZipFile(output / "customer-churn" / "model-store" / "customer-churn-v3.mar") as stored:
        names = set(stored.namelist())
        info = json.loads(stored.read("archive_info.json"))
        manifest = json.loads(stored.read("MAR-INF/MANIFEST.json"))["model"]
        probe = json.loads(stored.read("probe.json"))
    served = ("model.py", "network.py", "features.py", "feature_spec.json", "model_config.json", "weights.pt")
    assert {*(f"serving/{name}" for name in served), "serving/signature.json", "handler.py"} < names
    assert not any("state_dict" in name or name.endswith(".pth") for name in names)
    assert (manifest["modelName"], manifest["modelVersion"]) == ("customer-churn", "3")
    assert (info["model_version"], info["data_commit"], info["code_commit"]) == (3, "0123456789abcdef" * 2, "5a5a5a5")
    # The build (`+cpu`) is left out: the installed package may not name it where torch itself does.
    assert info["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    answered = json.loads((output / "probe.json").read_text())
    assert answered["predictions"][-1] == info
    # What a controller compares holds numbers only: the model info of another build of the same model differs.
    assert probe["predictions"] == answered["predictions"][:-1]
    assert all(len(row) == 2 for row in probe["predictions"])
    assert len(probe["predictions"]) == 2
    assert probe["request"]["instances"] == answered["request"]["instances"][:-1]


def test_the_stored_archive_gives_the_predictions_it_carries(built, expected):
    path = built[1] / "customer-churn" / "model-store" / "customer-churn-v3.mar"
    with zipfile.ZipFile(path) as stored:
        assert stored.testzip() is None
        probe = json.loads(stored.read("probe.json"))
    (instance,) = probe["request"]["instances"]
    assert [row[1] for row in probe["predictions"]] == pytest.approx(expected(instance["data"]))


def test_a_damaged_archive_is_noticed_when_the_probe_is_added(tmp_path):
    path = tmp_path / "m.mar"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("weights.pt", b"weights")
    path.write_bytes(path.read_bytes().replace(b"weights", b"weighty").replace(b"weighty.pt", b"weights.pt"))
    with pytest.raises(
        ArchiveError, match=r"m\.mar is damaged after adding probe\.json \(first bad file: weights\.pt\)"
    ):
        archive.add(path, "probe.json", {})


class Objects:
    """A bucket in memory."""

    def __init__(self):
        self.content = {}

    def upload(self, path, key):
        self.content[key] = path.read_bytes()

    def list(self, prefix):
        return {key: len(value) for key, value in self.content.items() if key.startswith(prefix)}

    def read(self, key):
        return self.content[key]


def test_a_second_try_records_the_archive_that_is_stored(make_trained, tmp_path, monkeypatch):
    bucket = Objects()
    monkeypatch.setattr(storage, "open_bucket", lambda *arguments: bucket)
    source = make_trained(tmp_path / "model")
    monkeypatch.setattr(archive, "versions", lambda: {"try": "first"})
    first, _ = build(source, tmp_path / "first", host="gcp", bucket="models")
    monkeypatch.setattr(archive, "versions", lambda: {"try": "second"})
    second, said = build(source, tmp_path / "second", host="gcp", bucket="models")
    stored = bucket.content[f"customer-churn/v3-{'b' * 32}/model-store/customer-churn-v3.mar"]
    assert first["build"]["archive_sha256"] == hashlib.sha256(stored).hexdigest()
    assert second["build"] == first["build"]
    assert any("completed by an earlier try" in text for text in said)


@pytest.mark.seed("S2-37")
def test_config_properties_are_what_both_wrappers_need(built):
    _, output, _ = built
    text = (output / "customer-churn" / "config" / "config.properties").read_text()
    properties = dict(line.split("=", 1) for line in text.splitlines())
    needed = {"inference_address", "management_address", "grpc_inference_port", "model_store", "model_snapshot"}
    assert needed < set(properties)
    assert not {"8080", "8081"} & {properties[key].rpartition(":")[2] for key in properties if "address" in key}
    assert (properties["enable_envvars_config"], properties["disable_token_authorization"]) == ("true", "true")
    snapshot = json.loads(properties["model_snapshot"])
    (entry,) = snapshot["models"]["customer-churn"].values()
    assert (entry["marName"], entry["batchSize"]) == ("customer-churn-v3.mar", 1)


def test_names_with_quotes_stay_json():
    text = torchserve_config.render('churn"\\', "1", "a.mar", Serving())
    (line,) = [line for line in text.splitlines() if line.startswith("model_snapshot=")]
    assert list(json.loads(line.split("=", 1)[1])["models"]) == ['churn"\\']


def write(text):
    return lambda path: path.write_text(text)


def remove(name):
    return lambda source: (source / name).unlink()


def truncate(name):
    return lambda source: (source / name).write_text("")


BAD_INPUTS = {
    "no model-info": (remove("model-info.yaml"), "model-info.yaml is missing: the upstream job did not write it"),
    "empty model-info": (truncate("model-info.yaml"), "is empty: is the input of this pipeline marked empty_files?"),
    "model-info no YAML": (lambda s: (s / "model-info.yaml").write_text("a: [1"), "is not YAML"),
    "model-info a list": (lambda s: (s / "model-info.yaml").write_text("- a"), "must hold keys and values, not list"),
    "no serving folder": (remove("checkpoint/serving/model.py"), "serving/model.py is missing: an experiment leaves"),
}


@pytest.mark.parametrize(("damage", "text"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_input_is_named_and_nothing_is_stored(make_trained, tmp_path, damage, text):
    source = make_trained(tmp_path / "model")
    damage(source)
    with pytest.raises(InputError) as error:
        build(source, tmp_path / "out")
    assert text in str(error.value)
    assert not list((tmp_path / "out").rglob("*"))


BAD_FOLDERS = {
    "no weights": ("weights.pt", Path.unlink, "weights.pt"),
    "empty weights": ("weights.pt", write(""), "load raised"),
    "no spec": ("feature_spec.json", Path.unlink, "feature_spec.json"),
    "no module": ("features.py", Path.unlink, "No module named 'features'"),
    "config no JSON": ("model_config.json", write("{"), "load raised JSONDecodeError"),
    "no signature": ("signature.json", Path.unlink, "signature.json is missing: it says what goes in"),
    "signature no JSON": ("signature.json", write("{"), "signature.json cannot be read as JSON"),
    "no class": ("model.py", write("x = 1"), "model.py has no class Model"),
    "no predict": ("model.py", write("class Model:\n    pass"), "class Model of model.py has no method predict"),
    "syntax": ("model.py", write("class Model("), "importing model.py raised SyntaxError"),
    "exits": ("model.py", write("import os\nos._exit(3)"), "exit code 3"),
    "nothing": ("model.py", write("class Model:\n    def predict(self, inputs): pass"), "answered with nothing (None)"),
    "too short": ("model.py", write("class Model:\n    def predict(self, inputs): return [1]"), "1 predictions for 2"),
}


@pytest.mark.parametrize(("name", "damage", "text"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_a_serving_folder_that_cannot_answer_is_not_stored(make_trained, tmp_path, name, damage, text):
    source = make_trained(tmp_path / "model")
    damage(source / "checkpoint" / "serving" / name)
    with pytest.raises(ArchiveError, match="nothing was stored") as error:
        build(source, tmp_path / "out")
    assert text in str(error.value)
    assert not list((tmp_path / "out").rglob("*"))


BAD_SIGNATURES = {
    "no task": ({"task": "guessing"}, "task must be one of classification, regression, free"),
    "no schema": ({"input": {"type": "colour"}}, "input is no JSON Schema"),
    "no schema either": ({"output": {"minimum": {}}}, "signature.json"),
    "no input": ({"input": {"type": "array"}}, "input does not fit"),
    "no output": ({"output": {"type": "string"}}, "output does not fit row 0 of the example"),
    "unknown key": ({"outputs": {}}, "unknown key 'outputs'"),
    "no example": ({"example": []}, "example must be an object"),
}


@pytest.mark.parametrize(("changes", "text"), BAD_SIGNATURES.values(), ids=BAD_SIGNATURES)
def test_a_signature_that_does_not_hold_fails_the_build(make_trained, tmp_path, changes, text):
    source = make_trained(tmp_path / "model")
    path = source / "checkpoint" / "serving" / "signature.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ArchiveError) as error:
        build(source, tmp_path / "out")
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": "three"}, "version must be the number of the model version (1, 2, ...), not 'three'"),
        ({"version": True}, "not True"),
        ({"version": 0}, "not 0"),
        ({"version": None}, "not None"),
        ({"name": None}, "name must be a text, not None"),
        ({"data_commit": ["a"]}, "data_commit must be a text, not ['a']"),
    ],
)
def test_malformed_model_info_is_named(make_trained, tmp_path, changes, text):
    source = make_trained(tmp_path / "model", **changes)
    with pytest.raises(InputError) as error:
        build(source, tmp_path / "out")
    assert text in str(error.value)


def test_an_empty_input_folder_is_named(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="is empty; the upstream job wrote nothing"):
        build(tmp_path / "model", tmp_path / "out")


class Touch:
    """Pickled, it creates a file when it is loaded by anything that trusts pickles."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_weights_with_code_inside_are_not_loaded(make_trained, tmp_path):
    source = make_trained(tmp_path / "model")
    torch.save({"weight": Touch(tmp_path / "ran")}, source / "checkpoint" / "serving" / "weights.pt")
    with pytest.raises(ArchiveError, match="nothing was stored"):
        build(source, tmp_path / "out")
    assert not (tmp_path / "ran").exists()
    assert not list((tmp_path / "out").rglob("*"))


def test_a_model_that_answers_nan_is_not_stored(make_trained, network, tmp_path):
    state = {name: torch.full_like(tensor, float("nan")) for name, tensor in network.state_dict().items()}
    source = make_trained(tmp_path / "model", state=state)
    with pytest.raises(ArchiveError, match="no finite number"):
        build(source, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


def test_a_column_that_no_request_could_name_is_refused(make_trained, feature_spec, tmp_path):
    columns = tuple("data" if name == "rv" else name for name in feature_spec.columns)
    numeric = {"data" if name == "rv" else name: scale for name, scale in feature_spec.numeric.items()}
    spec = dataclasses.replace(feature_spec, columns=columns, numeric=numeric)
    with pytest.raises(ArchiveError, match="columns called data cannot be asked for"):
        build(make_trained(tmp_path / "model", spec=spec), tmp_path / "out")


def deploy(*arguments, **environment):
    """Run the command line as a job does; gives the finished process."""
    command = [sys.executable, str(CONTAINER / "deploy.py"), *arguments]
    surroundings = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_builds(make_trained, tmp_path):
    source = make_trained(tmp_path / "model")
    job = {"PACH_JOB_ID": "b" * 32, "PPS_PIPELINE_NAME": "p", "PPS_PROJECT_NAME": "q", "CLOUD_MODEL_HOST": ""}
    result = deploy("build", "--deployment-name=churn", f"--input={source}", f"--output={tmp_path / 'out'}", **job)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "churn" / "model-store" / "churn-v3.mar").is_file()


def test_the_last_line_of_a_failed_command_is_the_reason(tmp_path):
    result = deploy("build", "--deployment-name=churn", f"--input={tmp_path / 'nothing'}")
    assert result.returncode == 1
    assert (
        result.stderr.splitlines()[-1]
        == "error: PACH_JOB_ID is not set: Pachyderm sets it for every job; outside of one, set it yourself"
    )
    job = {"PACH_JOB_ID": "b" * 32, "PPS_PIPELINE_NAME": "p"}
    result = deploy("build", "--deployment-name=churn", f"--input={tmp_path / 'nothing'}", **job)
    assert "nothing does not exist; name the input with --input" in result.stderr.splitlines()[-1]
    result = deploy("build", "--deployment-name=churn", "--cloud-model-host=gcp", **job)
    assert "belong together" in result.stderr.splitlines()[-1]
