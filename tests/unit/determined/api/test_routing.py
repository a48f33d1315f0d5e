"""How the parts of requests are read, and how errors look."""

import pytest

from pdk.base import errors as categories
from pdk.determined import errors as domain
from pdk.determined.api import errors
from pdk.determined.api.app import HANDLERS, json_of
from pdk.determined.api.call import Fields, RestCall, camel_case, snake_case
from pdk.determined.errors import InvalidRequest
from pdk.web.routing import Router, routes_of


def test_no_two_handlers_answer_one_request():
    Router(routes_of(*HANDLERS.values()))


def test_parameters_of_paths_and_queries():
    call = RestCall({"id": "7"}, {"states": ["STATE_ACTIVE", "STATE_PAUSED"], "limit": ["5"], "archived": ["false"]})
    assert call.id("id", int) == 7
    assert call.enums("states", "STATE_") == ["ACTIVE", "PAUSED"]
    assert (call.page().limit, call.flag("archived"), call.flag("absent"), call.descending()) == (5, False, None, None)
    for bad in ("x", "1.5", "", "9" * 12, "1e3", "0x1"):
        with pytest.raises(InvalidRequest):
            RestCall({"id": bad}).id("id", int)
    with pytest.raises(InvalidRequest):
        RestCall({}, {"archived": ["maybe"]}).flag("archived")


def test_fields_of_bodies():
    fields = Fields({"checkpoint_uuid": "u", "isRaw": True, "count": "12", "inner": {"a": 1}, "none": None})
    assert fields.text("checkpointUuid") == "u"
    assert (fields.flag("isRaw"), fields.number("count"), fields.text("none")) == (True, 12, None)
    assert fields.fields("inner").number("a") == 1
    for act in (
        lambda: fields.text("isRaw"),
        lambda: fields.number("isRaw"),
        lambda: fields.objects("inner"),
        lambda: fields.required("absent"),
        lambda: fields.real("count"),
        lambda: Fields([1]),
        lambda: Fields({"l": [1]}).texts("l"),
    ):
        with pytest.raises(InvalidRequest):
            act()


def test_names():
    assert snake_case("checkpointUuid") == "checkpoint_uuid"
    assert camel_case("timeout_seconds") == "timeoutSeconds"
    assert camel_case("experimentIdFilter.incl") == "experimentIdFilter.incl"


@pytest.mark.parametrize("body", [b"", b"  ", b"null"])
def test_empty_bodies(body):
    assert json_of(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xff",
        b"NaN",
        b'{"a": Infinity}',
        b"1e999",
        b"9" * 301,
        b"{} {}",
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_bodies_that_are_no_json(body):
    with pytest.raises(InvalidRequest, match="not JSON"):
        json_of(body)


def subclasses(kind):
    return {kind, *(s for child in kind.__subclasses__() for s in subclasses(child))}


def test_every_error_has_a_status():
    kinds = subclasses(categories.PdkError) - {categories.PdkError}
    # The other systems' errors are in the same tree when their tests ran in the same process; they never get here.
    ours = [kind for kind in kinds if kind.__module__.startswith(("pdk.base", "pdk.determined"))]
    assert domain.NoSuchThing in ours
    for kind in ours:
        error = kind(["p"]) if kind is domain.InvalidConfig else kind("text")
        status = errors.status_of(error)
        assert 400 <= status.http < 600
        assert status is not errors.UNKNOWN, kind


def test_error_objects():
    gateway = errors.body_of(domain.NoSuchThing("gone"), "/api/v1/x")
    assert gateway == {"error": {"code": 5, "reason": "NotFound", "error": "gone"}}
    assert errors.body_of(domain.NoSuchThing("gone"), "/checkpoints/x") == {"message": "gone"}
    hidden = errors.body_of(RuntimeError("password geheim"), "/api/v1/x")
    assert hidden["error"]["code"] == 13
    assert "geheim" not in str(hidden)
    assert errors.stream_error(domain.NoSuchThing("gone"))["error"]["httpCode"] == 404
