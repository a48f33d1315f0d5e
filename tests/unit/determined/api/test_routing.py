"""How requests find routes, and how their parts are read."""

import pytest

from pdk.base import errors as categories
from pdk.determined import errors as domain
from pdk.determined.api import errors
from pdk.determined.api.app import is_local_name, json_of
from pdk.determined.api.call import Call, Fields, camel_case, snake_case
from pdk.determined.api.routes import ROUTES
from pdk.determined.api.routing import Route, Router
from pdk.determined.errors import BadRequest


def name(master, call):
    return {}


ROUTER = Router(
    [
        Route("GET", "/trials/{trialId}", name, ""),
        Route("GET", "/trials/metrics/all", name, ""),
        Route("GET", "/trials/{trialId}/logs", name, ""),
        Route("POST", "/trials/{trialId}", name, ""),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "found", "parameters"),
    [
        ("GET", "/trials/5", "/trials/{trialId}", {"trialId": "5"}),
        ("GET", "/trials/5/", "/trials/{trialId}", {"trialId": "5"}),
        ("GET", "/trials/metrics/all", "/trials/metrics/all", {}),
        ("GET", "/trials/metrics/logs", "/trials/{trialId}/logs", {"trialId": "metrics"}),
        ("GET", "/trials/metrics", "/trials/{trialId}", {"trialId": "metrics"}),
        ("GET", "/trials/a%2Fb%20c", "/trials/{trialId}", {"trialId": "a/b c"}),
        ("GET", "/trials/%20GET", "/trials/{trialId}", {"trialId": " GET"}),
        ("DELETE", "/trials/5", None, None),
        ("GET", "/trials", None, None),
        ("GET", "/", None, None),
    ],
)
def test_match(method, path, found, parameters):
    match = ROUTER.match(method, path)
    assert (match and (match[0].path, match[1])) == (found and (found, parameters))


def test_two_routes_for_one_request_are_refused():
    with pytest.raises(ValueError, match="two routes"):
        Router([Route("GET", "/a/{b}", name, ""), Route("GET", "/a/{c}", name, "")])


def test_the_table_has_no_doubles():
    Router(ROUTES)


def test_parameters_of_paths_and_queries():
    call = Call({"id": "7"}, {"states": ["STATE_ACTIVE", "STATE_PAUSED"], "limit": ["5"], "archived": ["false"]})
    assert call.id("id") == 7
    assert call.enums("states", "STATE_") == ["ACTIVE", "PAUSED"]
    assert (call.page().limit, call.flag("archived"), call.flag("absent"), call.descending()) == (5, False, None, None)
    for bad in ("x", "1.5", "", "9" * 12, "1e3", "0x1"):
        with pytest.raises(BadRequest):
            Call({"id": bad}).id("id")
    with pytest.raises(BadRequest):
        Call({}, {"archived": ["maybe"]}).flag("archived")


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
        with pytest.raises(BadRequest):
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
    with pytest.raises(BadRequest, match="not JSON"):
        json_of(body)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:8080", True),
        ("localhost", True),
        ("[::1]:8080", True),
        ("10.0.0.5:80", True),
        ("master:8080", True),
        ("pdk.localhost:8080", True),
        ("", True),
        ("evil.example.com:8080", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_host_names_a_local_master_answers_to(host, local):
    assert is_local_name(host) == local


def subclasses(kind):
    return {kind, *(s for child in kind.__subclasses__() for s in subclasses(child))}


def test_every_error_has_a_status():
    kinds = subclasses(categories.PdkError) - {categories.PdkError}
    # The other systems' errors are in the same tree when their tests ran in the same process; they never get here.
    for kind in [kind for kind in kinds if kind.__module__.startswith(("pdk.base", "pdk.determined"))]:
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
