"""YAML: what the two dialects read alike, and what each refuses."""

import pytest

from pdk.web.yaml_text import UnsafeYaml, load_document, load_settings


@pytest.mark.parametrize("load", [load_document, load_settings])
def test_times_stay_text_and_tags_are_refused(load):
    assert load("at: 2024-01-01T00:00:00Z\nn: [1, 2.5, true, null]") == {
        "at": "2024-01-01T00:00:00Z",
        "n": [1, 2.5, True, None],
    }
    for text in ("!!python/object/apply:os.system [ls]", "a: [", "a: 1\n---\nb: 2"):
        with pytest.raises(UnsafeYaml):
            load(text)


def test_numbers():
    assert load_settings("[1e-4, .5, 1e3]") == [1e-4, 0.5, 1000.0]
    assert load_document("[1e-4]") == ["1e-4"]


def test_aliases():
    assert load_settings("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}
    with pytest.raises(UnsafeYaml, match="aliases are not allowed"):
        load_document("a: &x [1]\nb: *x")


def test_keys_given_twice():
    assert load_document("a: 1\na: 2") == {"a": 2}
    with pytest.raises(UnsafeYaml) as caught:
        load_settings("a: 1\na: 2")
    assert caught.value.one_line == "key 'a' is given twice (line 2, column 1)"
