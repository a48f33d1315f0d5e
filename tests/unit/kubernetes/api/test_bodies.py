"""Request bodies, hostile ones above all."""

import pytest

from pdk.kubernetes.api.bodies import as_object, read_json, read_object, read_yaml
from pdk.kubernetes.api.http import Request
from pdk.kubernetes.errors import BadRequest, UnsupportedMediaType


def request(body, content_type="application/json", **query):
    return Request("POST", (), query, {"content-type": content_type}, body)


def test_json_and_yaml_give_the_same_object():
    wanted = {"a": [1, 2.5, None, True], "b": "é"}
    assert read_object(request('{"a": [1, 2.5, null, true], "b": "é"}'.encode())) == wanted
    assert read_object(request("a: [1, 2.5, null, true]\nb: é".encode(), "application/yaml; charset=utf-8")) == wanted


def test_times_and_numbered_keys_of_yaml_are_text():
    assert read_yaml(b"a: 2024-01-01T00:00:00Z\n1: x") == {"a": "2024-01-01T00:00:00Z", "1": "x"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b'{"\\uDFFF": 1}',
        b'{"a": "\xff"}',
        b"\xff\xfe{}",
        b'{"a": ' * 65 + b"1" + b"}" * 65,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_bodies_that_are_no_object(body):
    with pytest.raises(BadRequest):
        read_object(request(body))


def test_a_surrogate_pair_is_a_character():
    assert read_object(request(b'{"a": "\\ud83d\\ude00"}')) == {"a": "\N{GRINNING FACE}"}


@pytest.mark.parametrize(
    "body",
    [
        b"a: &x [1]\nb: *x",
        b"a: &a [x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]",
        b"!!python/object/apply:os.system [ls]",
        b"a: .nan",
        b"a: !!binary aGk=",
        b"? [a]\n: b",
        b"a: [",
        b"- " * 2000,
        b"\xff",
        b"a: 1\n---\nb: 2",
    ],
)
def test_yaml_that_is_refused(body):
    with pytest.raises(BadRequest):
        as_object(read_yaml(body))


def test_duplicate_fields_are_told_in_strict_mode_only():
    assert read_json(request(b'{"a": 1, "a": 2}')) == {"a": 2}
    with pytest.raises(BadRequest, match='strict decoding error: duplicate field "a"'):
        read_json(request(b'{"b": {"a": 1, "a": 2}}', fieldValidation="Strict"))


def test_other_types_are_unsupported():
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json"):
        read_object(request(b"a=b", "application/x-www-form-urlencoded"))
