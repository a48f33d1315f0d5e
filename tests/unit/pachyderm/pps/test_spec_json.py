import json

import pytest

from pdk.pachyderm.pps.errors import InvalidSpec
from pdk.pachyderm.pps.spec_json import canonicalise, decode, duration_seconds, merge, render


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"a": 1, "a": 2}', 'field "a" occurs twice'),
        ("[" * 100_000, "nested too deep"),
        ('"' + "x" * (1 << 20) + '"', "longer than"),
    ],
)
def test_what_is_no_object_is_refused(text, message):
    with pytest.raises(InvalidSpec, match=message):
        decode(text)


def test_names_in_camel_case_and_snake_case_mean_the_same():
    snake = canonicalise({"datum_tries": 2, "input": {"pfs": {"empty_files": True}}})
    assert canonicalise({"datumTries": 2, "input": {"pfs": {"emptyFiles": True}}}) == snake


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"trnsform": {}}, r'unknown field "trnsform" \(did you mean "transform"\?\) at trnsform'),
        ({"transform": {"comand": []}}, r'unknown field "comand" .* at transform.comand'),
        ({"transform": {"secrets": [{"nme": "x"}]}}, r'unknown field "nme" .* at transform.secrets\[0\].nme'),
        ({"input": {"cross": [{}, {"pfs": {"qqqq": 1}}]}}, r'unknown field "qqqq" at input.cross\[1\].pfs.qqqq'),
        ({"datum_tries": 1, "datumTries": 1}, "given twice"),
        ({"transform": {"cmd": "sh"}}, "must be a list at transform.cmd"),
        ({"transform": {"cmd": ["sh", 1]}}, r"must be a string, not 1 at transform.cmd\[1\]"),
        ({"transform": {"env": {"A": 1}}}, "must be a string, not 1 at transform.env.A"),
        ({"transform": {"env": []}}, "must be an object at transform.env"),
        ({"transform": []}, "must be an object at transform"),
        ({"autoscaling": "yes"}, "must be true or false"),
        ({"datum_tries": 1.5}, "must be a whole number"),
        ({"datum_tries": True}, "must be a whole number"),
        ({"parallelism_spec": {"constant": -1}}, "not negative"),
        ({"datum_timeout": "5 minutes"}, "a duration such as"),
        ({"resource_limits": {"cpu": "NaN"}}, "must be a number"),
        ({"tolerations": [{"operator": "LIKE"}]}, "must be one of EMPTY, EXISTS, EQUAL"),
        ({"input": {"cron": {"start": "yesterday"}}}, "a time such as"),
        ({"description": "a\0b"}, "must be a string"),
        ({"description": "a\ud800b"}, "must be a string"),
    ],
)
def test_an_error_names_field_and_place(spec, message):
    with pytest.raises(InvalidSpec, match=message):
        canonicalise(spec)


def test_values_become_canonical():
    spec = canonicalise(
        {
            "datum_tries": "3",
            "parallelism_spec": {"constant": 2.0},
            "tolerations": [{"operator": 1, "effect": "NO_SCHEDULE"}],
            "resource_limits": {"cpu": 1},
            "job_timeout": "1.5s",
            "description": None,
        }
    )
    assert spec == {
        "datum_tries": 3,
        "parallelism_spec": {"constant": 2},
        "tolerations": [{"operator": "EXISTS", "effect": "NO_SCHEDULE"}],
        "resource_limits": {"cpu": 1.0},
        "job_timeout": "1.5s",
        "description": None,
    }
    assert duration_seconds(spec["job_timeout"]) == 1.5


def test_merging_follows_rfc_7396():
    target = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 1}
    assert merge(target, {"a": {"b": None, "x": {"y": None}}, "d": [3], "e": None}) == {
        "a": {"c": 2, "x": {}},
        "d": [3],
    }
    assert target["a"] == {"b": 1, "c": 2}


def test_rendering_gives_camel_case_all_the_way_down():
    canonical = canonicalise(
        {"input": {"cross": [{"pfs": {"empty_files": True}}]}, "transform": {"env": {"a_b": "c_d"}}}
    )
    text = json.dumps(render(canonical))
    assert json.loads(text) == {
        "input": {"cross": [{"pfs": {"emptyFiles": True}}]},
        "transform": {"env": {"a_b": "c_d"}},
    }
    assert canonicalise(json.loads(text)) == canonical
