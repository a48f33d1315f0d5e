import json

import pytest
from pachyderm_sdk.api import pps

from pdk.pachyderm.api import spec_json
from pdk.pachyderm.api.spec_json import SCALARS, decode
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pps.errors import InvalidSpec

REQUEST = Wire().descriptor(pps.CreatePipelineRequest)


def canonicalise(spec):
    return spec_json.canonicalise(spec, REQUEST)


def messages():
    """Every message that can occur in a CreatePipelineRequest, by name."""
    found, todo = {}, [REQUEST]
    while todo:
        message = todo.pop()
        found[message.full_name] = message
        subs = [field.message_type for field in message.fields if field.message_type]
        todo += [sub for sub in subs if sub.full_name not in found and sub.full_name not in SCALARS]
    return found


def test_every_field_of_the_official_messages_can_be_read():
    fields = [field for message in messages().values() for field in message.fields]
    assert {"input", "pfs", "toleration_seconds", "start"} <= {field.name for field in fields}
    assert all(field.message_type or field.enum_type or field.type in SCALARS for field in fields)
    assert not [name for name in messages() if name.startswith("google.")]


def test_every_enum_is_numbered_from_nought_without_gaps():
    enums = [field.enum_type for message in messages().values() for field in message.fields if field.enum_type]
    assert enums
    assert all([value.number for value in enum.values] == list(range(len(enum.values))) for enum in enums)


def test_the_field_whose_name_is_in_capitals_is_known_in_small_letters_too():
    assert canonicalise({"egress": {"url": "s3://x"}}) == canonicalise({"egress": {"URL": "s3://x"}})


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
            "tolerations": [{"operator": 1, "effect": "NO_SCHEDULE", "toleration_seconds": "9"}],
            "resource_limits": {"cpu": 1},
            "job_timeout": "1.5s",
            "description": None,
        }
    )
    assert spec == {
        "datum_tries": 3,
        "parallelism_spec": {"constant": 2},
        "tolerations": [{"operator": "EXISTS", "effect": "NO_SCHEDULE", "toleration_seconds": 9}],
        "resource_limits": {"cpu": 1.0},
        "job_timeout": "1.5s",
        "description": None,
    }


def test_rendering_gives_camel_case_all_the_way_down():
    canonical = canonicalise(
        {"input": {"cross": [{"pfs": {"empty_files": True}}]}, "transform": {"env": {"a_b": "c_d"}}}
    )
    text = json.dumps(spec_json.render(canonical, REQUEST))
    assert json.loads(text) == {
        "input": {"cross": [{"pfs": {"emptyFiles": True}}]},
        "transform": {"env": {"a_b": "c_d"}},
    }
    assert canonicalise(json.loads(text)) == canonical
