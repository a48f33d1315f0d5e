"""Values of numpy, torch, pandas and the standard library as JSON, and none that is no number."""

import base64
import datetime
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from answers import ModelFailed, has_no_number, plain_list, to_json

PLAIN = {
    "float32": (np.float32(0.5), 0.5),
    "int64": (np.int64(3), 3),
    "bool": (np.bool_(True), True),
    "text": (np.str_("a"), "a"),
    "array": (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    "tensor": (torch.tensor([1.5, 2.5], requires_grad=True), [1.5, 2.5]),
    "one number's tensor": (torch.tensor(2), 2),
    "bfloat16": (torch.tensor([0.5], dtype=torch.bfloat16), [0.5]),
    "series": (pd.Series([1, 2], index=[7, 8]), [1, 2]),
    "frame": (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
    "time": (pd.Timestamp("2024-05-06"), "2024-05-06T00:00:00"),
    "date": (datetime.date(2024, 5, 6), "2024-05-06"),
    "tuple": ((1, (2,)), [1, [2]]),
    "bytes": (b"\x00\xff", {"b64": base64.b64encode(b"\x00\xff").decode()}),
    "nested": ({"p": [np.float64(0.25), {"q": (np.int32(1),)}]}, {"p": [0.25, {"q": [1]}]}),
}


@pytest.mark.parametrize(("value", "plain"), PLAIN.values(), ids=PLAIN)
def test_what_models_give_is_written_as_json(value, plain):
    assert json.loads(to_json({"predictions": [value]})) == {"predictions": [plain]}


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor([[1], [2]]), [[1], [2]]),
        (pd.DataFrame({"a": [1]}), [{"a": 1}]),
        (np.float64(1), None),
        ("ab", None),
        (b"ab", None),
        ({"a": 1}, None),
        (None, None),
        (3, None),
        (iter([1]), None),
    ],
)
def test_what_is_a_list_of_predictions(value, rows):
    assert plain_list(value) == rows


NO_NUMBERS = [
    math.nan,
    np.float32("inf"),
    [1, -math.inf],
    {"a": [math.nan]},
    np.array([1, np.nan]),
    torch.tensor(math.inf),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=str)
def test_the_row_without_a_finite_number_is_named(value):
    assert has_no_number(value)
    with pytest.raises(ModelFailed, match=r"^row 1: the model gave no finite number"):
        to_json({"predictions": [[0.5], value]})


@pytest.mark.parametrize("value", [0.5, 10**400, "NaN", None, True, [], {}, {"a": "inf"}, np.array(["a"]), object()])
def test_what_is_no_missing_number(value):
    assert not has_no_number(value)


def test_what_has_no_json_form_is_named():
    with pytest.raises(ModelFailed, match=r"cannot be written as JSON: builtins\.object has no JSON form"):
        to_json({"predictions": [object()]})
    endless = []
    endless.append(endless)
    with pytest.raises(ModelFailed, match="cannot be written as JSON"):
        to_json({"predictions": [{"a": endless}]})
    with pytest.raises(ModelFailed, match="keys must be str"):
        to_json({"predictions": [{(1, 2): 3}]})
