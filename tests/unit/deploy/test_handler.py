"""The handler in-process, from an unpacked archive, as TorchServe's own loader gives it."""

import importlib
import json
import math
import os
import random
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from ts.context import Context, RequestProcessor
from ts.utils.util import PredictionException


@pytest.fixture(scope="module")
def folder(built, tmp_path_factory):
    _, output, _ = built
    unpacked = tmp_path_factory.mktemp("archive")
    with zipfile.ZipFile(output / "customer-churn" / "model-store" / "customer-churn-v3.mar") as archive:
        archive.extractall(unpacked)
    return unpacked


@pytest.fixture(scope="module")
def loaded(folder):
    """The archive's own copy of handler and request module, loaded once."""
    own = ("handler", "v1_request", "serving_folder", "answers", "batch")
    before = {name: sys.modules.pop(name, None) for name in own}
    cwd = Path.cwd()
    sys.path.insert(0, str(folder))
    try:
        handler = importlib.import_module("handler").ModelHandler()
    finally:
        sys.path.remove(str(folder))
    manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text())
    handler.initialize(Context("customer-churn", str(folder), manifest, 1, None, "0.12.0"))
    yield handler
    os.chdir(cwd)  # a worker stays in its model's folder
    handler.served.unload()
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def make_context(count=1, **headers):
    context = Context("customer-churn", "", {}, count, None, "0.12.0")
    context.request_ids = {index: f"request-{index}" for index in range(count)}
    context.request_processor = [RequestProcessor(dict(headers)) for _ in range(count)]
    return context


def ask(handler, *bodies):
    """Send bodies as one batch, without envelope; gives [(status, parsed answer)]."""
    context = make_context(len(bodies))
    answers = handler.handle([{"body": body} for body in bodies], context)
    return [(context.get_response_status(i)[0], json.loads(answer)) for i, answer in enumerate(answers)]


def rows_of(sample):
    return [{name: values[row] for name, values in sample.items()} for row in sample["churn"]]


def with_probabilities(*instances):
    return {"instances": list(instances), "parameters": {"probabilities": True}}


def test_every_shape_gives_the_same_answer(loaded, sample, expected):
    rows = rows_of(sample)
    shuffled = list(sample.items())
    random.Random(3).shuffle(shuffled)
    unlabelled = {name: list(values.values()) for name, values in sample.items() if name != "churn"}
    shapes = [
        [{"data": sample}],
        [{"data": dict(shuffled)}],
        [{"data": unlabelled}],
        rows,
        [{"data": {name: list(values.values())[:4] for name, values in sample.items()}}, *rows[4:]],
    ]
    numbers = expected(sample)
    for shape in shapes:
        ((status, answer),) = ask(loaded, with_probabilities(*shape))
        assert status == 200
        assert [label for label, _ in answer["predictions"]] == [int(number >= 0.5) for number in numbers]
        assert [number for _, number in answer["predictions"]] == pytest.approx(numbers, abs=1e-6)


def test_the_answer_has_the_original_shape(loaded, sample):
    ((_, answer),) = ask(loaded, {"instances": [{"data": sample}]})
    assert set(answer) == {"predictions"}
    assert all(prediction in ([0], [1]) for prediction in answer["predictions"])
    assert len(answer["predictions"]) == 10


def test_the_envelope_gets_the_predictions_alone(loaded, sample):
    """With the kserve envelope the instances arrive as they are, and the list of predictions goes back."""
    assert (
        loaded.handle([{"data": sample}], make_context())
        == ask(loaded, {"instances": [{"data": sample}]})[0][1]["predictions"]
    )


def test_model_info_beside_the_predictions_and_among_them(loaded, sample):
    row = rows_of(sample)[0]
    ((_, answer),) = ask(loaded, {"instances": [row], "parameters": {"model_info": True}})
    ((_, alone),) = ask(loaded, {"instances": [{"parameters": {"model_info": True}}]})
    assert answer["model_info"] == alone["predictions"][0]
    assert answer["model_info"]["model_version"] == 3
    # The build (`+cpu`) is left out: the installed package may not name it where torch itself does.
    assert answer["model_info"]["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


def test_a_batch_goes_through_the_model_once_and_each_request_gets_its_own(loaded, sample, expected, monkeypatch):
    calls = []
    model = loaded.served.model
    predict = type(model).predict
    monkeypatch.setattr(model, "predict", lambda data: (calls.append(len(data)), predict(model, data))[1])
    rows, numbers = rows_of(sample), expected(sample)
    bodies = [
        with_probabilities(rows[0]),
        b"nonsense",
        {"instances": [{"parameters": {"model_info": True}}]},
        json.dumps(with_probabilities(*rows[1:4])).encode(),
        {"instances": [{**rows[0], "months": None}]},
    ]
    answers = ask(loaded, *bodies)
    assert [status for status, _ in answers] == [200, 400, 200, 200, 400]
    assert calls == [4]
    assert [n for _, n in answers[0][1]["predictions"]] == pytest.approx(numbers[:1], abs=1e-6)
    assert [n for _, n in answers[3][1]["predictions"]] == pytest.approx(numbers[1:4], abs=1e-6)
    assert "row 0, column 'months': has no value" in answers[4][1]["error"]


BAD_VALUES = {
    "missing column": ("eqpdays", ..., "row 7, column 'eqpdays': is missing"),
    "text for a number": ("rev_Mean", "12.5", "row 7, column 'rev_Mean': expected a number, got '12.5'"),
    "boolean for a number": ("rev_Mean", True, "row 7, column 'rev_Mean': expected a number, got True"),
    "NaN": ("rev_Mean", math.nan, "row 7, column 'rev_Mean': has no value"),
    "infinity": ("rev_Mean", math.inf, "row 7, column 'rev_Mean': expected a finite number"),
    "beyond float32": ("rev_Mean", 1e300, "row 7, column 'rev_Mean': is out of range"),
    "huge integer": ("rev_Mean", 10**400, "row 7, column 'rev_Mean': expected a finite number"),
    "object for a number": ("rev_Mean", {}, "row 7, column 'rev_Mean': expected a number"),
    "null category": ("area", None, "row 7, column 'area': has no value"),
    "number for a category": ("area", 3, "row 7, column 'area': expected a text"),
    "unknown category": ("area", "ATLANTIS", "row 7, column 'area': unknown category 'ATLANTIS'"),
}


@pytest.mark.parametrize(("column", "value", "text"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_bad_value_is_a_400_that_names_row_column_and_reason(loaded, sample, column, value, text):
    """Row 7 of the request, behind five rows sent by column and two of its own part."""
    rows = rows_of(sample)
    bad = {name: v for name, v in {**rows[7], column: value}.items() if v is not ...}
    five = {"data": {name: list(values.values())[:5] for name, values in sample.items()}}
    instances = [five, rows[5], rows[6], bad]
    ((status, answer),) = ask(loaded, {"instances": instances})
    assert (status, text in answer["error"]) == (400, True), answer
    with pytest.raises(PredictionException) as refusal:
        loaded.handle(instances, make_context())
    assert (refusal.value.error_code, text in refusal.value.message) == (400, True)


def test_a_missing_column_in_column_form(loaded, sample):
    data = {name: values for name, values in sample.items() if name != "eqpdays"}
    ((status, answer),) = ask(loaded, {"instances": [{"data": data}]})
    assert (status, answer) == (400, {"error": "row 0, column 'eqpdays': the column is missing"})


def test_no_nan_ever_leaves(loaded, sample, monkeypatch):
    """A model that gives NaN for one request fails that request only."""
    rows = rows_of(sample)

    def poisoned(data):
        answer = torch.zeros(len(data), 1)
        answer[1] = math.nan
        return answer

    monkeypatch.setattr(loaded.served.model, "network", poisoned)
    answers = ask(loaded, {"instances": [rows[0]]}, {"instances": [rows[1]]}, {"instances": [rows[2]]})
    assert [status for status, _ in answers] == [200, 500, 200]
    assert "row 0: the model gave no finite number" in answers[1][1]["error"]
    with pytest.raises(PredictionException) as refusal:
        loaded.handle(rows[:2], make_context())
    assert (refusal.value.error_code, "row 1" in refusal.value.message) == (500, True)


def test_an_enveloped_batch_says_how_to_serve_it(loaded, sample):
    with pytest.raises(PredictionException, match="batchSize 1, or set TS_SERVICE_ENVELOPE"):
        loaded.handle([{"data": sample}], make_context(2))


def test_an_instance_with_a_column_called_body_is_still_an_instance(loaded, sample, expected):
    row = rows_of(sample)[0]
    enveloped = loaded.handle([{**row, "body": "athletic"}], make_context())
    assert enveloped == [[int(expected(sample)[0] >= 0.5)]]


def test_describe_gives_the_models_own_name(loaded):
    (info,) = loaded.handle([{}], make_context(describe="True"))
    assert info["model"] == "customer-churn"
