import json

import pytest
from v1_request import BadRequest, Flags, Limits, parse_body, parse_instances

LIMITS = Limits(("area", "months"), 5)
ROW = {"area": "OHIO AREA", "months": 12}


def test_rows_by_row_name_follow_the_first_column():
    data = {"area": {"7": "A", "3": "B"}, "months": {"3": 1, "7": 2}, "churn": {"7": 0}}
    (part,) = parse_instances([{"data": data}], LIMITS).parts
    assert part.columns == {"area": ["A", "B"], "months": [2, 1]}
    assert part.rows == 2


def test_lists_and_named_rows_may_stand_together():
    (part,) = parse_instances([{"data": {"area": ["A", "B"], "months": {"0": 1, "1": 2}}}], LIMITS).parts
    assert part.columns == {"area": ["A", "B"], "months": [1, 2]}


def test_single_rows_that_follow_each_other_become_one_part():
    columns = {"data": {"area": ["A"], "months": [1]}}
    request = parse_instances([ROW, ROW, columns, ROW], LIMITS)
    assert [(part.first_row, part.rows) for part in request.parts] == [(0, 2), (2, 1), (3, 1)]
    assert request.rows == 4


def test_flags_of_the_body_hold_for_all_and_an_instance_may_differ():
    body = {"instances": [ROW, {**ROW, "parameters": {"probabilities": False}}], "parameters": {"probabilities": True}}
    request = parse_body(json.dumps(body).encode(), LIMITS)
    assert [part.flags for part in request.parts] == [Flags(probabilities=True), Flags()]


def test_model_info_is_an_instance_of_its_own():
    request = parse_instances([ROW, {"parameters": {"model_info": True}}], LIMITS)
    assert [(part.rows, part.flags.model_info) for part in request.parts] == [(1, False), (0, True)]


BAD_BODIES = {
    "not an object": ([], "must be a JSON object"),
    "no instances": ({"inputs": []}, "must be a JSON object"),
    "not JSON": (b"{", "not JSON: "),
    "not UTF-8": (b"\xff\xfe{}", "not JSON: "),
    "nested too deep": (b"[" * 100_000, "not JSON: "),
    "instances no list": ({"instances": {}}, "must be a list, not an object"),
    "empty": ({"instances": []}, "is empty"),
    "instance a list": (
        {"instances": [[1, 2]]},
        "instances[0] must be an object with values by column name, not a list",
    ),
    "instance null": (
        {"instances": [ROW, None]},
        "instances[1] must be an object with values by column name, not null",
    ),
    "instance empty": ({"instances": [{}]}, "instances[0] is empty"),
    "only flags": ({"instances": [{"parameters": {"probabilities": True}}]}, "instances[0] is empty"),
    "data empty": ({"instances": [{"data": {}}]}, "none of the columns this model uses (area, months"),
    "no rows": ({"instances": [{"data": {"area": {}, "months": {}}}]}, "has no rows (column 'area' is empty)"),
    "no rows in lists": ({"instances": [{"data": {"area": [], "months": []}}]}, "has no rows"),
    "ragged lists": (
        {"instances": [{"data": {"area": ["A"], "months": [1, 2]}}]},
        "column 'months' of instances[0] has 2 rows, 'area' has 1",
    ),
    "a row without a value": (
        {"instances": [{"data": {"area": {"0": "A", "1": "B"}, "months": {"0": 1}}}]},
        "row '1', column 'months' of instances[0]: no value",
    ),
    "a row too many": (
        {"instances": [{"data": {"area": {"0": "A"}, "months": {"0": 1, "9": 1}}}]},
        "row '9', column 'months' of instances[0]: column 'area' has no such row",
    ),
    "scalar column": ({"instances": [{"data": {"area": "A", "months": 1}}]}, "column 'area' of instances[0] must be"),
    "too many rows": ({"instances": [ROW] * 6}, "too many rows: this model answers at most 5 per request"),
    "unknown flag": ({"instances": [ROW], "parameters": {"proba": True}}, "unknown parameter 'proba' in the body"),
    "flag no boolean": (
        {"instances": [{**ROW, "parameters": {"probabilities": "yes"}}]},
        "parameter 'probabilities' in instances[0] must be true or false, not a string",
    ),
    "flags no object": ({"instances": [ROW], "parameters": 1}, '"parameters" of the body must be an object'),
    "rows and model_info": (
        {"instances": [{**ROW, "parameters": {"model_info": True}}]},
        "put that into an instance of its own",
    ),
}


@pytest.mark.parametrize(("body", "text"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_refusals_say_what_and_where(body, text):
    with pytest.raises(BadRequest) as refusal:
        parse_body(body, LIMITS)
    assert text in str(refusal.value)
