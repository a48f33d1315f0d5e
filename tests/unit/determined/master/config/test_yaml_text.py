"""Reading configuration text: YAML 1.2 numbers, plain values only, bounded."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdk.determined.errors import InvalidConfig
from pdk.determined.master.config.yaml_text import parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),
        ("1.e-3", 0.001),
        ("1E5", 100000.0),
        ("-.5", -0.5),
        ("1.5", 1.5),
        ("10", 10),
        ("1e", "1e"),
        ("e5", "e5"),
        (".", "."),
        ("2024-01-02", "2024-01-02"),
        ("'1e-4'", "1e-4"),
        ("yes", True),
        ("~", None),
        ("0.38.1", "0.38.1"),
    ],
)
def test_scalars(text, value):
    read = parse(f"x: {text}")["x"]
    assert read == value
    assert type(read) is type(value)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_json_is_read_as_it_is(value):
    assert parse(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "not YAML"),
        ("- a\n- b", "must be a map"),
        ("", "must be a map"),
        ("a: 1\na: 2", "given twice"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML"),
        ("a: .nan", "<config>.a: nan is no number"),
        ("a: {b: .inf}", "<config>.a.b: inf is no number"),
        ("? [a, b]\n: c", "not YAML"),
        (r'a: "\ud800"', "half of a character"),
        (r'{"\udc00": 1}', "keys must be text"),
        ("a: !!binary aGk=", "bytes values are not supported"),
        ("a: &x [*x]", "deeper than"),
        ("a: " + "[" * 500 + "]" * 500, "<config>: "),
        ("a: " + "x" * (2**20 + 1), "longer than"),
    ],
)
def test_refused(text, problem):
    with pytest.raises(InvalidConfig) as caught:
        parse(text)
    assert problem in str(caught.value)


def test_aliases_cannot_blow_up():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(InvalidConfig, match="more than 100000 values"):
        parse("\n".join(lines))


def test_aliases_and_merge_keys_work():
    text = "base: &base {a: 1, b: 2}\nmore:\n  <<: *base\n  b: 3\n"
    assert parse(text)["more"] == {"a": 1, "b": 3}
