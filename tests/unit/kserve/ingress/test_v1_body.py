"""Which V1 bodies reach a model, and what the others are told."""

import json

import pytest
from ingress_bench import PREDICT, native_error, request_bytes, talk

EXPLAIN = PREDICT.replace("predict", "explain")
LIST = 'Expected "instances" to be a list'
REFUSED = {
    b'{"instances": "abc"}': LIST,
    b'{"instances": {"a": 1}}': LIST,
    b'{"instances": null}': LIST,
    b'\xef\xbb\xbf{"instances": [1]}': "byte order mark",
    '{"instances": [1]}'.encode("utf-16"): "UTF-16",
    '{"instances": [1]}'.encode("utf-16-le"): "UTF-16",
    '{"instances": [1]}'.encode("utf-16-be"): "UTF-16",
    '{"instances": [1]}'.encode("utf-32"): "UTF-32",
    b'{"instances": ["\xe9"]}': "not UTF-8 text: invalid continuation byte at byte 16",
    b'{"instances": [NaN]}': "NaN is not JSON: char 15",
    '{"\u00e9": Infinity}'.encode(): "Infinity is not JSON: char 6",
    b'{"instances": [-Infinity]}': "-Infinity is not JSON: char 15",
    b'{"instances": [1e999]}': "number is infinity when parsed as double: line 1 column 16",
    b'{"instances": ["\\ud800"]}': "no low surrogate",
    b"": "empty document",
    b"a=1": "line 1 column 1",
    b"[" * 2000: "depth limit",
}
TAKEN = [
    b'{"instances": []}',
    b'{"a": 1}',
    b"[1]",
    b'{"instances": [1], "instances": [2]}',
    '{"\u00e9": "NaN"}'.encode(),
]
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="x"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\x89PNG\xff\r\n--b--\r\n"
)


@pytest.mark.parametrize("body", REFUSED)
@pytest.mark.parametrize("path", [PREDICT, EXPLAIN])
def test_what_no_kserve_server_reads_is_told_why_and_never_reaches_the_model(ask, model, body, path):
    status, headers, value = ask("POST", path, body)
    assert (status, headers["content-type"]) == (400, "application/json")
    assert REFUSED[body] in value["error"]
    assert value["error"].startswith((LIST, "Unrecognized request format: "))
    assert model.seen == []


@pytest.mark.parametrize("body", TAKEN)
def test_everything_else_reaches_the_model_as_it_was_sent(ask, model, body):
    assert ask("POST", PREDICT, body)[0] == 200
    assert model.seen[0][2] == body


def test_torchserves_own_road_takes_any_body(ask, model):
    assert ask("POST", "/predictions/churn", b"\xff\xfe", Content_Type="image/jpeg")[0] == 200
    assert model.seen[0][1]["content-type"] == "image/jpeg"


@pytest.mark.parametrize("path", [PREDICT, EXPLAIN, "/predictions/churn"])
def test_a_form_reaches_the_model_with_its_boundary(ask, model, path):
    content_type = 'Multipart/Form-Data; boundary="b"'
    assert ask("POST", path, FORM, Content_Type=content_type)[0] == 200
    _, headers, body = model.seen[0]
    assert (headers["content-type"], body) == (content_type, FORM)


def test_a_form_that_the_envelope_does_not_open_is_told_what_it_needs(ask, model):
    model.answer = native_error(503, "Prediction failed")
    status, _, value = ask("POST", PREDICT, FORM, Content_Type="multipart/form-data; boundary=b")
    assert status == 500
    assert "TS_SERVICE_ENVELOPE" in value["error"]


def test_a_body_over_the_limit_is_not_read_as_json(ask, model):
    status, _, value = ask("POST", PREDICT, b"x" * 10_001)
    assert (status, model.seen) == (413, [])
    assert "max_request_size" in value["error"]


def test_the_connection_stays_open_after_a_refused_body(ingress, model):
    bad, good = request_bytes(b'{"instances": 1}'), request_bytes(extra=b"Connection: close\r\n")
    answers = talk(ingress, bad + good)
    assert answers.count(b"HTTP/1.1 400") == answers.count(b"HTTP/1.1 200") == 1
    assert json.loads(answers.rpartition(b"\r\n\r\n")[2]) == {"predictions": [1]}
