import dataclasses

import betterproto
import pytest
from pachyderm_sdk.api import pfs, pps

from pdk.pachyderm.pps.spec_fields import ENUMS, FIELDS, ROOT, Kind, json_name

KINDS = {
    "string": Kind.STRING, "bool": Kind.BOOL, "int32": Kind.INT32, "int64": Kind.INT64, "uint64": Kind.UINT64,
    "float": Kind.FLOAT, "enum": Kind.ENUM, "map": Kind.STRING,
}  # fmt: skip
NATIVE = {"datetime": Kind.TIMESTAMP, "timedelta": Kind.DURATION, "int": Kind.INT64}


def sdk_messages():
    """Every message reachable from CreatePipelineRequest, by name."""
    found, todo = {}, [pps.CreatePipelineRequest]
    while todo:
        cls = todo.pop()
        if cls.__name__ in found:
            continue
        found[cls.__name__] = cls
        for sub in cls()._betterproto.cls_by_field.values():
            if (
                isinstance(sub, type)
                and issubclass(sub, betterproto.Message)
                and not sub.__module__.startswith("betterproto")
            ):
                todo.append(sub)
    return found


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_the_table_has_the_fields_of_the_official_messages(name):
    cls = sdk_messages()[name]
    fields = {field.name: field.metadata["betterproto"] for field in dataclasses.fields(cls)}
    assert set(FIELDS[name]) == set(fields)
    for field, meta in fields.items():
        sub = cls()._betterproto.cls_by_field[field]
        expected = KINDS.get(meta.proto_type) or NATIVE.get(sub.__name__, Kind.MESSAGE)
        assert FIELDS[name][field].kind is expected, field
        if expected in (Kind.MESSAGE, Kind.ENUM):
            assert FIELDS[name][field].type_name == sub.__name__


def test_the_table_misses_no_message():
    assert set(sdk_messages()) - {"Entry"} == set(FIELDS)  # Entry: what betterproto makes of a map
    assert ROOT in FIELDS


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_enums_are_the_official_ones_in_their_order(name):
    official = getattr(pps, name, None) or getattr(pfs, name)
    assert list(ENUMS[name]) == [official(number).name for number in range(len(ENUMS[name]))]


def test_json_names_are_lower_camel_case():
    assert json_name(ROOT, "parallelism_spec") == "parallelismSpec"
    assert json_name("Egress", "url") == "URL"
