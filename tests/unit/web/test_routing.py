"""How handlers get routes, and how requests find them."""

import sys

import pytest

from pdk.web.routing import Kind, Route, Router, route, routes_of, segments_of


def name(master, call):
    return {}


ROUTER = Router(
    [
        Route("GET", "/trials/{trialId}", name),
        Route("GET", "/trials/metrics/all", name),
        Route("GET", "/trials/{trialId}/logs", name),
        Route("POST", "/trials/{trialId}", name),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "found", "parameters"),
    [
        ("GET", b"/trials/5", "/trials/{trialId}", {"trialId": "5"}),
        ("GET", b"/trials/5/", "/trials/{trialId}", {"trialId": "5"}),
        ("GET", b"/trials/metrics/all", "/trials/metrics/all", {}),
        ("GET", b"/trials/metrics/logs", "/trials/{trialId}/logs", {"trialId": "metrics"}),
        ("GET", b"/trials/metrics", "/trials/{trialId}", {"trialId": "metrics"}),
        ("GET", b"/trials/a%2Fb%20c", "/trials/{trialId}", {"trialId": "a/b c"}),
        ("GET", b"/trials/%20GET", "/trials/{trialId}", {"trialId": " GET"}),
        ("GET", b"/trials/{}", "/trials/{trialId}", {"trialId": "{}"}),
        ("DELETE", b"/trials/5", None, None),
        ("GET", b"/trials", None, None),
        ("GET", b"/", None, None),
    ],
)
def test_match(method, path, found, parameters):
    match = ROUTER.match(method, segments_of(path))
    assert (match and (match[0].path, match[1])) == (found and (found, parameters))


def test_two_routes_for_one_request_are_refused():
    with pytest.raises(ValueError, match="two routes"):
        Router([Route("GET", "/a/{b}", name), Route("GET", "/a/{c}", name)])


def test_a_path_that_is_not_utf_8_is_refused_or_mended():
    with pytest.raises(UnicodeDecodeError):
        segments_of(b"/a/%ff")
    assert segments_of(b"/a/%ff", "replace") == ["a", "\ufffd"]
    assert segments_of(b"/") == []


@route("GET", "/one", about="first")
@route("POST", "/two", about="second", kind=Kind.POLL, public=True)
def decorated(master, call):
    return "module"


class Handlers:
    @route("GET", "/three")
    def answer(self, request):
        return self

    @property
    def broken(self):
        raise AssertionError("looked at")


def test_a_handler_keeps_its_routes_in_the_order_they_are_read_in():
    first, second = routes_of(sys.modules[__name__])
    assert [(first.path, first.about, first.kind), (second.path, second.kind, second.public)] == [
        ("/one", "first", Kind.PLAIN),
        ("/two", Kind.POLL, True),
    ]
    assert first.handler(None, None) == "module"


def test_the_routes_of_an_object_lead_to_its_own_methods():
    one, two = Handlers(), Handlers()
    assert [each.handler(None) for each in routes_of(one, two)] == [one, two]
