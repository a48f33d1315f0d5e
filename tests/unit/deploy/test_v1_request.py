import base64
import json

import pytest
from v1_request import BadRequest, Question, Shape, parse_body, parse_form, parse_instances

TABLE = Shape(
    objects=True, names=("area", "months"), bytes_at=(), is_bytes=False,
    parameters={"probabilities": {"type": "boolean"}}, whole=False, max_rows=5,
)  # fmt: skip
VALUES = TABLE._replace(objects=False, names=None, parameters={})
FILES = VALUES._replace(is_bytes=True)
ROW = {"area": "OHIO AREA", "months": 12}
PNG = b"\x89PNG"
SENT = {"b64": base64.b64encode(PNG).decode()}


def test_rows_by_row_name_follow_the_first_column():
    data = {"area": {"7": "A", "3": "B"}, "months": {"3": 1, "7": 2}, "churn": {"7": 0}}
    rows = [*parse_instances([{"data": data}], TABLE).rows]
    assert rows == [{"area": "A", "months": 2}, {"area": "B", "months": 1}]


def test_lists_and_named_rows_may_stand_together():
    rows = parse_instances([{"data": {"area": ["A", "B"], "months": {"0": 1, "1": 2}}}], TABLE).rows.all()
    assert rows == [{"area": "A", "months": 1}, {"area": "B", "months": 2}]


def test_rows_and_columns_come_out_in_the_order_they_were_sent():
    columns = {"data": {"area": ["A", "B"], "months": [1, 2]}}
    request = parse_instances([ROW, columns, ROW], TABLE)
    assert [row["months"] for row in request.rows] == [12, 1, 2, 12]
    assert request.parameters is None


def test_parameters_of_the_body_hold_for_all_and_an_instance_may_differ():
    body = {"instances": [ROW, {**ROW, "parameters": {"probabilities": False}}], "parameters": {"probabilities": True}}
    request = parse_body(json.dumps(body).encode(), TABLE)
    assert request.parameters == [{"probabilities": True}, {"probabilities": False}]
    assert request.rows == [ROW, ROW]


def test_questions_to_the_server_stand_among_the_rows_or_beside_them():
    body = {"instances": [ROW, {"parameters": {"model_info": True}}, ROW], "parameters": {"signature": True}}
    request = parse_body(body, TABLE)
    assert request.rows == [ROW, ROW]
    assert request.questions == [Question(1, "model_info")]
    assert request.asked == ("signature",)


def test_instances_that_are_no_objects_pass_as_they_are():
    assert parse_body({"instances": [[1, 2], "text", None, {"data": {"a": [1]}}]}, VALUES).rows == [
        [1, 2], "text", None, {"data": {"a": [1]}},
    ]  # fmt: skip


def test_base64_becomes_bytes_where_the_signature_says_so():
    assert parse_body({"instances": [SENT, SENT]}, FILES).rows == [PNG, PNG]
    shape = TABLE._replace(names=("photo", "months"), bytes_at=("photo",))
    assert parse_body({"instances": [{"photo": SENT, "months": 1}]}, shape).rows == [{"photo": PNG, "months": 1}]
    assert parse_body({"instances": [SENT]}, VALUES).rows == [SENT]


def test_the_parts_of_a_form_are_files_or_the_properties_of_one_instance():
    assert parse_form({"first": bytearray(PNG), "second": PNG}, FILES).rows == [PNG, PNG]
    shape = TABLE._replace(names=("photo", "area"), bytes_at=("photo",))
    assert parse_form({"photo": bytearray(PNG), "area": b"A"}, shape).rows == [{"photo": PNG, "area": "A"}]
    with pytest.raises(BadRequest, match="takes no files"):
        parse_form({"first": PNG}, VALUES)


def test_a_whole_body_is_the_only_row():
    shape = VALUES._replace(whole=True)
    assert parse_body(b'{"anything": 1}', shape).rows == [{"anything": 1}]
    with pytest.raises(BadRequest, match="must be a JSON object, not a list"):
        parse_body(b"[1]", shape)


@pytest.mark.parametrize(
    ("value", "text"),
    [({"b64": "%%"}, "is not base64"), ("text", "must be bytes as"), ({"b64": 1}, "must be bytes as")],
)
def test_what_is_no_base64_is_refused(value, text):
    with pytest.raises(BadRequest, match=text):
        parse_body({"instances": [value]}, FILES)


BAD_BODIES = {
    "not an object": ([], "must be a JSON object"),
    "no instances": ({"inputs": []}, "must be a JSON object"),
    "not JSON": (b"{", "not JSON: "),
    "UTF-16": ("{}".encode("utf-16"), "is not UTF-8 text"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "NaN": (b'{"instances": [{"area": NaN}]}', "NaN is no JSON number"),
    "beyond a double": (b'{"instances": [{"area": 1e999}]}', "the number 1e999 is out of range"),
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
        parse_body(body, TABLE)
    assert text in str(refusal.value)
