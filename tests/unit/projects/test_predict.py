import json
from pathlib import Path

import pytest

from pdk.base.errors import InvalidArgument
from pdk.projects.predict import Local, request_of, rows_of, table_of

SIGNATURE = {
    "task": "classification",
    "input": {
        "type": "object",
        "properties": {"size": {"type": "number"}, "kind": {"type": "string"}, "age": {"type": ["number", "null"]}},
    },
    "output": {"type": "array"},
    "example": {"instances": [{"size": 1, "kind": "a", "age": 3}]},
    "parameters": {"probabilities": {"type": "boolean"}},
}
MODEL = """
class InvalidInput(Exception): pass

class Model:
    def preprocess(self, inputs):
        for row in inputs:
            if row["size"] is None:
                raise InvalidInput("row 0: no size")
        return inputs

    def predict(self, inputs):
        return [len(row["kind"]) / row["size"] for row in inputs]

    def postprocess(self, outputs, parameters=None):
        wanted = parameters or [{}] * len(outputs)
        return [["big", value] if given.get("probabilities") else ["big"] for value, given in zip(outputs, wanted)]
"""


@pytest.fixture
def folder(tmp_path):
    serving = tmp_path / "checkpoint" / "serving"
    serving.mkdir(parents=True)
    (serving / "model.py").write_text(MODEL)
    (serving / "signature.json").write_text(json.dumps(SIGNATURE))
    return serving


def put(tmp_path, name, text, encoding="utf-8"):
    (tmp_path / name).write_text(text, encoding=encoding)
    return tmp_path / name


def test_cells_become_what_the_signature_says_of_their_columns(tmp_path):
    path = put(tmp_path, "rows.csv", "kind,label,size,age\nabc,1,2.5,\nNA,0,much,4\n")
    assert request_of(path, SIGNATURE, probabilities=True) == {
        "instances": [{"size": 2.5, "kind": "abc", "age": None}, {"size": "much", "kind": None, "age": 4.0}],
        "parameters": {"probabilities": True},
    }


def test_a_file_is_read_as_the_models_data_is_written(tmp_path):
    signature = {**SIGNATURE, "csv": {"separator": ";", "decimal": ",", "encoding": "latin-1", "strip": True}}
    path = put(tmp_path, "rows.csv", "size; kind\n2,5; größe \n", "latin-1")
    assert request_of(path, signature, probabilities=False)["instances"] == [{"size": 2.5, "kind": "größe"}]


def test_json_goes_as_it_is_and_a_list_is_rows(tmp_path):
    rows = put(tmp_path, "rows.json", '[{"size": 1}]')
    assert request_of(rows, None, probabilities=True) == {"instances": [{"size": 1}]}
    body = put(tmp_path, "body.json", '{"instances": [], "parameters": {"a": 1}}')
    given = request_of(body, SIGNATURE, probabilities=True)
    assert given["parameters"] == {"a": 1, "probabilities": True}


def test_any_file_goes_to_a_model_that_takes_files(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    signature = {"input": {"type": "string", "contentEncoding": "base64"}}
    given = request_of(tmp_path / "photo.png", signature, probabilities=True)
    assert given == {"instances": [{"b64": "iVBORw=="}]}


@pytest.mark.parametrize(
    ("name", "text", "signature", "reason"),
    [
        ("rows.csv", "a,b\n1,2\n", None, "does not say what its columns are: send JSON"),
        ("rows.csv", "size,kind\n", SIGNATURE, "has no rows below its header"),
        ("rows.csv", 'size\n"1', SIGNATURE, "is not CSV as this model's data is written"),
        ("rows.json", "{", None, "is not JSON"),
        ("rows.json", "3", None, "must hold rows, or an object with instances"),
    ],
)
def test_a_file_that_cannot_be_asked_for_is_named(tmp_path, name, text, signature, reason):
    with pytest.raises(InvalidArgument, match=reason):
        request_of(put(tmp_path, name, text), signature, probabilities=False)
    with pytest.raises(InvalidArgument, match="no such file"):
        request_of(tmp_path / "other.csv", signature, probabilities=False)


def test_a_folder_answers_in_this_process_as_a_server_would(folder):
    before = Path.cwd()
    model = Local(folder.parent)  # a checkpoint
    assert model.signature() == SIGNATURE
    body = {"instances": [{"data": {"size": {"0": 2}, "kind": {"0": "abc"}, "age": {"0": 1}}}]}
    assert model.ask(body) == {"predictions": [["big"]]}
    assert model.ask({**body, "parameters": {"probabilities": True}}) == {"predictions": [["big", 1.5]]}
    with pytest.raises(InvalidArgument, match="row 0: no size"):
        model.ask({"instances": [{"size": None, "kind": "a"}]})
    with pytest.raises(InvalidArgument, match="the model failed: predict raised ZeroDivisionError"):
        model.ask({"instances": [{"size": 0, "kind": "a"}]})
    assert Path.cwd() == before


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(InvalidArgument, match=r"cannot be asked: signature\.json is missing"):
        Local(tmp_path)


def test_the_table_shows_rows_answers_and_probabilities():
    rows = rows_of({"instances": [{"data": {"a": [1, 2], "b": {"0": "x", "1": "y"}}}, {"a": 3, "b": "z"}]})
    assert rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
    header, lines = table_of(rows, [["yes", 0.75], ["no"], ["yes", [0.25, 0.75]]])
    assert header == ["row", "a", "b", "answer", "probability"]
    assert lines == [["0", "1", "x", "yes", "0.75"], ["1", "2", "y", "no", ""], ["2", "3", "z", "yes", "0.25 0.75"]]
    assert table_of([[1, 2]], [0.5]) == (["row", "answer"], [["0", "0.5"]])
