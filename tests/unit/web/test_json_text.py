"""JSON that later steps cannot hold is refused, with what is wrong and where."""

import math

import pytest

from pdk.web.json_text import Fault, UnsafeJson, check_value, compact, parse


@pytest.mark.parametrize(
    ("body", "fault", "text"),
    [
        (b"{", Fault.SYNTAX, "property name"),
        (b"\xff\xff", Fault.SYNTAX, "utf-8"),
        (b"{} {}", Fault.SYNTAX, "Extra data"),
        (b"NaN", Fault.CONSTANT, "NaN"),
        (b'{"a": -Infinity}', Fault.CONSTANT, "-Infinity"),
        (b"[1e999]", Fault.RANGE, "1e999"),
        (b"9" * 31, Fault.RANGE, "9" * 31 + "..."),
        (b'{"a": "\\ud800"}', Fault.SURROGATE, "surrogates not allowed"),
        (b'{"a": 1, "b": 2, "a": 3}', Fault.DUPLICATE, "a"),
        (b"[" * 5 + b"]" * 5, Fault.DEPTH, "more than 4 levels"),
        (b"[" * 100_000, Fault.DEPTH, "recursion"),
    ],
)
def test_unsafe_texts(body, fault, text):
    with pytest.raises(UnsafeJson) as caught:
        parse(body, max_digits=30, max_depth=4, unique_keys=True)
    assert caught.value.fault is fault
    assert text in caught.value.text


def test_safe_texts():
    assert parse(b'{"a": [1, 2.5, "\\ud83d\\ude00", null]}', max_depth=2) == {"a": [1, 2.5, "\U0001f600", None]}
    assert parse(b"9" * 400) == int("9" * 400)
    assert parse(b'{"a": 1, "a": 2}') == {"a": 2}


def test_a_value_is_as_deep_as_its_containers():
    check_value([[{}]], 3)
    check_value("text", 1)
    with pytest.raises(UnsafeJson):
        check_value([[{}]], 2)


def test_what_is_written_is_json():
    assert compact({"a": [1, "ä"]}) == b'{"a":[1,"\\u00e4"]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        compact(math.nan)
