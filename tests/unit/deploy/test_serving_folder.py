"""A serving folder asked without a server: how it is opened, and whose fault an error is."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import serving_folder
import v1_request
from answers import ModelFailed
from checkpoint_files import write_files
from serving_folder import BadInput, FolderError

SIGNATURE = {
    "task": "free",
    "input": {"type": "object", "properties": {"x": {"type": "number"}}},
    "output": {"type": "number"},
    "example": {"instances": [{"x": 1}]},
    "parameters": {"times": {"type": "number"}},
}
MODEL = """
import json
from pathlib import Path

import helper


class Model:
    def __init__(self, folder, config):
        self.folder, self.config = folder, config

    def load(self):
        self.offset = json.loads(Path("offset.json").read_text())

    def preprocess(self, inputs):
        return [row["x"] for row in inputs]

    def predict(self, inputs):
        return [helper.add(value, self.offset) for value in inputs]

    def postprocess(self, outputs, parameters=None):
        times = [given.get("times", 1) for given in parameters] if parameters else [1] * len(outputs)
        return [value * factor for value, factor in zip(outputs, times)]
"""
FILES = {"model.py": MODEL, "helper.py": "def add(a, b):\n    return a + b\n", "offset.json": "10"}


@pytest.fixture
def open_folder(tmp_path):
    """Give a function that loads a folder of the given files; what it loaded is forgotten at the end."""
    opened = []

    def load(name="folder", signature=SIGNATURE, **files):
        write_files(tmp_path / name, {**FILES, "signature.json": signature, **files})
        opened.append(serving_folder.load(tmp_path / name))
        return opened[-1]

    yield load
    for served in reversed(opened):
        served.unload()


def model(body, **more):
    lines = [f"    def {signature}:\n        {line}\n" for signature, line in more.items()]
    return f"class Model:\n{''.join(lines)}    def predict(self, inputs):\n        {body}\n"


def ask(served, *rows, **parameters):
    body = {"instances": list(rows), **({"parameters": parameters} if parameters else {})}
    return served.answer(v1_request.parse_body(body, served.signature.shape(100)))


def test_all_steps_run_with_files_modules_config_and_parameters(open_folder):
    before = Path.cwd()
    served = open_folder(**{"config.yaml": "threshold: 0.7\n"})
    assert Path.cwd() == before
    assert ask(served, {"x": 1}, {"x": 2}) == [11, 12]
    assert ask(served, {"x": 1}, {"x": 2, "parameters": {"times": 3}}) == [11, 36]
    assert ask(served, {"x": 1}, {"x": 2, "parameters": {"times": 3}}, times=2) == [22, 36]
    assert (served.model.config, served.model.folder) == ({"threshold": 0.7}, served.folder)


def test_the_column_form_becomes_rows_unless_the_model_works_by_column(open_folder):
    columns = {"data": {"x": {"a": 1, "b": 2}}}
    assert ask(open_folder(), columns) == [11, 12]
    by_column = MODEL + "\n    def preprocess_columns(self, columns):\n        return [-x for x in columns['x']]\n"
    assert ask(open_folder("other", **{"model.py": by_column}), columns, {"x": 5}) == [11, 12, 15]
    assert ask(open_folder("third", **{"model.py": by_column}), columns) == [9, 8]


def test_two_folders_with_modules_of_one_name_do_not_meet(open_folder):
    first = open_folder("first")
    second = open_folder("second", **{"helper.py": "def add(a, b):\n    return a * b\n"})
    assert (ask(first, {"x": 2}), ask(second, {"x": 2})) == ([12], [20])


def test_unloading_puts_back_what_the_folder_hid(tmp_path):
    import json as shadowed  # noqa: PLC0415

    write_files(tmp_path, {"model.py": model("return inputs"), "signature.json": SIGNATURE, "helper.py": ""})
    sys.modules["helper"] = shadowed
    try:
        served = serving_folder.load(tmp_path)
        assert "helper" not in sys.modules
        served.unload()
        assert sys.modules["helper"] is shadowed
        assert str(tmp_path) not in sys.path
    finally:
        del sys.modules["helper"]


REFUSALS = """
class InvalidInput(Exception):
    pass

class Named(InvalidInput):
    pass

class RowError(Exception):
    def __init__(self, row, column, reason):
        self.row, self.column, self.reason = row, column, reason

"""
BAD_INPUT = {
    "ValueError": ("raise ValueError('too much')", "too much"),
    "its subclass": ("'x'.encode('utf-16').decode('utf-8')", "'utf-8' codec can't decode"),
    "InvalidInput": ("raise InvalidInput('not so')", "not so"),
    "a subclass": ("raise Named('not so')", "not so"),
    "RowError": ("raise RowError(3, 'x', 'is missing')", "row 3, column 'x': is missing"),
    "RowError of a row": ("raise RowError(3, None, 'is missing')", "row 3: is missing"),
}


@pytest.mark.parametrize(("body", "text"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_what_a_model_refuses_is_the_requests_fault(open_folder, body, text):
    served = open_folder(**{"model.py": REFUSALS + model("return inputs", **{"preprocess(self, inputs)": body})})
    with pytest.raises(BadInput) as error:
        ask(served, {"x": 1})
    assert text in str(error.value)


def test_a_refusal_by_name_counts_in_every_step_and_a_value_error_in_preprocess_alone(open_folder):
    served = open_folder(**{"model.py": REFUSALS + model("raise InvalidInput('no')")})
    with pytest.raises(BadInput, match=r"^no$"):
        ask(served, {"x": 1})
    served = open_folder("other", **{"model.py": model("raise ValueError('no')")})
    with pytest.raises(ModelFailed, match=r"^predict raised ValueError: no$"):
        ask(served, {"x": 1})


FAILURES = {
    "None": ("return None", "answered with nothing (None)"),
    "a number": ("return 3", "answered with builtins.int, not with a list of one prediction per row"),
    "a text": ("return 'ab'", "answered with builtins.str"),
    "an object": ("return {'a': 1}", "answered with builtins.dict"),
    "too few": ("return [1]", "gave 1 predictions for 2 rows"),
    "too many": ("return [1, 2, 3]", "gave 3 predictions for 2 rows"),
    "KeyError": ("return inputs[0]['y']", "predict raised KeyError: 'y'"),
}


@pytest.mark.parametrize(("body", "text"), FAILURES.values(), ids=FAILURES)
def test_an_answer_that_is_none_is_the_models_fault(open_folder, body, text):
    with pytest.raises(ModelFailed) as error:
        ask(open_folder(**{"model.py": model(body)}), {"x": 1}, {"x": 2})
    assert text in str(error.value)


def test_an_array_is_a_list_of_one_prediction_per_row(open_folder):
    served = open_folder(**{"model.py": "import numpy as np\n" + model("return np.ones((len(inputs), 2))")})
    assert ask(served, {"x": 1}, {"x": 2}) == np.ones((2, 2)).tolist()


CANNOT_LOAD = {
    "no model.py": ({"model.py": None}, "model.py is missing: it holds the class Model"),
    "no class": ({"model.py": "Model = 3"}, "model.py has no class Model"),
    "no predict": ({"model.py": "class Model:\n    pass"}, "has no method predict"),
    "absent module": ({"model.py": "import absent_module"}, "importing model.py raised ModuleNotFoundError"),
    "load": ({"offset.json": "{"}, "load raised JSONDecodeError"),
    "__init__": ({"model.py": model("return 1", **{"__init__(self)": "pass"})}, "Model(folder, config) raised TypeErr"),
    "config a list": ({"config.yaml": "- a"}, "config.yaml must hold keys and values, not list"),
    "config no YAML": ({"config.yaml": "a: ["}, "config.yaml cannot be read"),
    "no signature": ({"signature.json": None}, "signature.json is missing"),
    "signature a list": ({"signature.json": "[]"}, "must hold an object, not list"),
    "signature not UTF-8": ({"signature.json": b"\xff"}, "signature.json cannot be read as JSON"),
    "body": ({"signature.json": {**SIGNATURE, "body": "part"}}, "body must be 'rows' or 'whole', not 'part'"),
    "parameters": ({"signature.json": {**SIGNATURE, "parameters": [1]}}, "parameters must be JSON Schemas by name"),
    "questions": (
        {"signature.json": {**SIGNATURE, "parameters": {"model_info": {}}}},
        "the server answers these itself",
    ),
}


@pytest.mark.parametrize(("files", "text"), CANNOT_LOAD.values(), ids=CANNOT_LOAD)
def test_a_folder_that_cannot_be_loaded_says_why_and_leaves_nothing(tmp_path, files, text):
    path = [*sys.path]
    named = {**FILES, "signature.json": SIGNATURE, **files}
    write_files(tmp_path, {name: content for name, content in named.items() if content is not None})
    with pytest.raises(FolderError) as error:
        serving_folder.load(tmp_path)
    assert text in str(error.value)
    assert sys.path == path
    assert "helper" not in sys.modules


@pytest.mark.parametrize("name", ["data", "parameters", "body"])
def test_a_property_that_no_request_could_name_is_refused(tmp_path, name):
    schema = {"type": "object", "properties": {name: {}}}
    write_files(tmp_path, {"signature.json": {**SIGNATURE, "input": schema}})
    with pytest.raises(FolderError, match=f"columns called {name} cannot be asked for"):
        serving_folder.read_signature(tmp_path).shape(1)
    (tmp_path / "signature.json").write_text(json.dumps({**SIGNATURE, "input": schema, "body": "whole"}))
    assert serving_folder.read_signature(tmp_path).shape(1).whole


def test_a_model_of_whole_bodies_gets_the_object_and_gives_one(open_folder):
    signature = {**SIGNATURE, "body": "whole", "example": {"text": "a"}}
    served = open_folder(signature=signature, **{"model.py": model("return {'given': inputs}")})
    request = v1_request.parse_body({"text": "a", "instances": 3}, served.signature.shape(1))
    assert served.answer(request) == {"given": {"text": "a", "instances": 3}}
    served = open_folder("other", signature=signature, **{"model.py": model("return [inputs]")})
    with pytest.raises(ModelFailed, match=r"not with an object \(its signature says whole\)"):
        served.answer(request)
