"""What of a checkpoint goes into the archive, and how TorchServe finds it there."""

import json
import sys
import zipfile

import pytest
from deployment import archive, staging
from deployment.errors import ArchiveError, InputError
from deployment.staging import Given

HANDLER = """
import json
from pathlib import Path

class Handler:
    def initialize(self, context):
        root = Path(context.system_properties["model_dir"])
        self.factor = json.loads((root / "weights.json").read_text())["factor"]
        self.name = Path("names/first.txt").read_text()  # of the working directory, which is the archive's folder

    def handle(self, data, context):
        return [[self.factor * value["x"], self.name] for value in data]
"""
OWN = {"serving/handler.py": HANDLER, "serving/weights.json": {"factor": 3}, "serving/names/first.txt": "one"}
EXAMPLE = {"instances": [{"x": 2}, {"x": 4}]}


def unpacked(output, name="model"):
    with zipfile.ZipFile(output / name / "model-store" / f"{name}-v3.mar") as packed:
        files = {item: packed.read(item) for item in packed.namelist()}
    return files, json.loads(files["MAR-INF/MANIFEST.json"])["model"]


def test_a_folder_with_its_own_handler_is_packed_flat_and_asked_its_sample_request(build_files):
    output, document, said = build_files({**OWN, "serving/sample-request.json": EXAMPLE})
    files, manifest = unpacked(output)
    assert {"handler.py", "weights.json", "names/first.txt", "archive_info.json", "probe.json"} < set(files)
    assert not {"serving_folder.py", "v1_request.py"} & set(files)
    assert manifest["handler"] == "handler.py"
    assert json.loads(files["probe.json"]) == {"request": EXAMPLE, "predictions": [[6, "one"], [12, "one"]]}
    assert json.loads((output / "probe.json").read_text())["answer"] == {"predictions": [[6, "one"], [12, "one"]]}
    assert json.loads(files["archive_info.json"])["model_version"] == 3
    assert document["build"]["envelope"] is True
    assert "the archive answers with the kserve envelope" in said[-2]


def test_the_experiments_sample_request_serves_as_well(build_files):
    output, _, _ = build_files({**OWN, "code/sample-request.json": EXAMPLE})
    assert json.loads((output / "probe.json").read_text())["request"] == EXAMPLE


def test_without_an_example_the_archive_only_has_to_load(build_files):
    output, _, said = build_files(OWN)
    report = json.loads((output / "probe.json").read_text())
    assert (report["request"], report["answer"], report["envelope"]) == (None, None, True)
    assert "probe.json" not in unpacked(output)[0]
    assert "nothing was asked of it" in said[-2]


def test_a_function_handler_that_answers_otherwise_each_time_is_not_compared(build_files):
    handler = "import uuid\n\ndef handle(data, context):\n    return [str(uuid.uuid4()) for _ in data or []]\n"
    output, _, said = build_files({"serving/handler.py": handler, "serving/sample-request.json": {"instances": [1]}})
    assert json.loads((output / "probe.json").read_text())["answer"] is None
    assert "not compared later" in said[-2]


def test_its_signature_is_held_against_its_answer(build_files):
    signature = {"task": "free", "input": {"type": "object"}, "output": {"type": "array"}, "example": EXAMPLE}
    build_files({**OWN, "serving/signature.json": signature})
    signature["output"] = {"type": "number"}
    with pytest.raises(ArchiveError, match="output does not fit row 0 of the example"):
        build_files({**OWN, "serving/signature.json": signature})


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"serving/weights.json": {}}, "KeyError: 'factor'"),
        ({"serving/sample-request.json": "{"}, "sample-request.json is not JSON"),
        ({"serving/sample-request.json": [1]}, "must hold the object of a request, not list"),
        ({"serving/sample-request.json": {"instances": [{"y": 1}]}}, "KeyError: 'x'"),
        ({"serving/sample-request.json": {"instances": [{"x": 1e308}]}}, "NaN or infinity"),
        ({"serving/handler.py": "import absent_module"}, "No module named"),
    ],
)
def test_an_own_handler_that_does_not_answer_is_not_stored(build_files, files, text):
    with pytest.raises(ArchiveError) as error:
        build_files({**OWN, "serving/weights.json": {"factor": 30}, **files})
    assert text in str(error.value)


EAGER = "class Net:\n    pass\n"
CONTRACT = "class Model:\n    def predict(self, inputs):\n        return inputs\n"


@pytest.mark.parametrize(
    ("files", "serialized", "model_file"),
    [
        ({"a.pt": "x", "model.py": EAGER}, "a.pt", "model.py"),
        ({"a.pth": "x"}, "a.pth", None),
        ({"a.pt": "x", "b.pth": "x"}, None, None),
        ({"a.pt": "x", "scriptmodule.pt": "x"}, "scriptmodule.pt", None),
        ({"a.pt": "x", "model.py": CONTRACT}, "a.pt", None),
        ({"model.py": "class Model(Base):\n    pass"}, None, "model.py"),
        ({}, None, None),
    ],
)
def test_which_files_torchserve_is_told_of(tmp_path, files, serialized, model_file):
    (tmp_path / "c" / "serving").mkdir(parents=True)
    for name, text in {"handler.py": "", **files}.items():
        (tmp_path / "c" / "serving" / name).write_text(text)
    staged = staging.stage(tmp_path / "c", tmp_path / "staged", None, pytest.fail)
    assert staged.serialized == (serialized and staged.folder / serialized)
    assert staged.model_file == (model_file and staged.folder / model_file)


def test_a_folder_over_the_size_limit_is_refused(build_files, monkeypatch):
    monkeypatch.setattr(staging, "LARGEST_FOLDER", 100)
    with pytest.raises(InputError, match=r"holds \d+ bytes, more than the 100 an archive may have"):
        build_files(OWN)
    with pytest.raises(InputError, match="more than the 100"):
        build_files({"code/own.py": "#" * 101}, given=Given("own.py"))


def test_a_handler_that_hangs_is_given_up(build_files, monkeypatch):
    monkeypatch.setattr(archive, "GATE_SECONDS", 8)
    with pytest.raises(ArchiveError, match="did not load and answer its example within 8 s"):
        build_files({**OWN, "serving/handler.py": "import time\n\ndef handle(data, context):\n    time.sleep(600)\n"})


@pytest.mark.parametrize("name", ["MAR-INF", "archive_info.json", "probe.json"])
def test_a_file_that_the_archive_would_write_over_is_refused(build_files, name):
    with pytest.raises(InputError, match=f"{name} of the model would be written over"):
        build_files({**OWN, f"serving/{name}/x" if name == "MAR-INF" else f"serving/{name}": "{}"})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Given("absent.py"), "absent.py is neither"),
        (Given("notes.txt"), "is no Python file"),
        (Given("own.py", ["absent"]), "absent is neither"),
        (Given("own.py", ["own.py"]), "the archive has a own.py already"),
        (Given("own.py", ["scriptmodule.pt"]), "the archive has a scriptmodule.pt already"),
    ],
)
def test_files_on_the_command_line_that_cannot_be_packed_are_named(build_files, given, text):
    code = {"code/own.py": "", "code/notes.txt": "", "code/scriptmodule.pt": ""}
    with pytest.raises(InputError, match=text):
        build_files(code, given=given)


def test_a_serving_folder_and_a_handler_on_the_command_line_exclude_each_other(build_files):
    with pytest.raises(InputError, match="leave one of them out"):
        build_files(OWN, given=Given("own.py"))


@pytest.mark.parametrize(
    ("files", "least"),
    [
        ({"model.py": "x = 1"}, ">=3.9"),
        ({"model.py": "match x:\n    case 1:\n        pass"}, ">=3.10"),
        ({"model.py": "try:\n    pass\nexcept* ValueError:\n    pass"}, ">=3.11"),
        ({"model.py": "x = 1", "requirements.txt": "numpy"}, f">={sys.version_info[0]}.{sys.version_info[1]}"),
    ],
)
def test_the_python_an_archive_needs(tmp_path, files, least):
    (tmp_path / "c" / "serving").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "c" / "serving" / name).write_text(text)
    staged = staging.stage(tmp_path / "c", tmp_path / "staged", None, pytest.fail)
    assert staged.requires_python() == least
