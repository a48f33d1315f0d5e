"""The application under hostile requests."""

import json

import pytest

from pdk.kubernetes.api.bodies import BODY_LIMIT

MODELS = "/api/v1/namespaces/models"


def test_who_does_not_say_who_it_is_gets_401(api):
    for headers in (
        (),
        [("authorization", "Bearer wrong")],
        [("authorization", "Basic dDp0")],
        [("authorization", "t0ken")],
    ):
        code, found, body = api.raw("GET", MODELS + "/pods", headers=headers)
        assert code == 401
        assert json.loads(body)["reason"] == "Unauthorized"
        assert found["www-authenticate"] == "Bearer"
    assert api.raw("GET", "/healthz")[::2] == (200, b"ok")
    assert api.raw("GET", "/version/")[0] == 200
    assert api.raw("POST", "/version")[0] == 401


def test_bodies_over_the_limit(api):
    headers = [("authorization", "Bearer t0ken"), ("content-length", str(BODY_LIMIT + 1))]
    code, found, body = api.raw("POST", MODELS + "/secrets", b"{}", headers)
    assert (code, found["connection"]) == (413, "close")
    assert json.loads(body)["reason"] == "RequestEntityTooLarge"
    endless = (b"x" * 1024 * 1024 for _ in range(10))
    assert api.raw("POST", MODELS + "/secrets", headers=headers[:1], chunks=endless)[0] == 413


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nope",
        "/api/v2",
        "/api/v1/nodes",
        "/api/v1//pods",
        "/apis/serving.kserve.io",
        "/apis/serving.kserve.io/v9",
        "/apis/serving.kserve.io/v1beta1/inferenceservices/x",
        "/apis/serving.kserve.io/v1beta1/namespaces/models/trainedmodels",
        "/api/v1/namespaces/models/namespaces",
        MODELS + "/pods/x/y/z",
        MODELS + "/pods//log",
        MODELS + "/pods/..%2f..%2fetc%2fpasswd/log",
        MODELS + "/pods/%00/log",
        "/openapi/v3/apis/nope/v1",
        "/openapi/v1",
    ],
)
def test_what_is_not_there_is_a_status(api, path):
    code, status = api.call("GET", path)
    if path != "/apis/serving.kserve.io":
        assert (code, status["kind"], status["reason"]) == (404, "Status", "NotFound")
    else:
        assert (code, status["kind"]) == (200, "APIGroup")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/version"),
        ("DELETE", "/apis"),
        ("PUT", MODELS + "/pods"),
        ("PATCH", MODELS + "/secrets"),
        ("POST", MODELS + "/pods"),
        ("POST", "/api/v1/secrets"),
        ("POST", MODELS + "/pods/x/log"),
        ("DELETE", MODELS + "/pods/x/status"),
        ("OPTIONS", MODELS + "/secrets"),
        ("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/inferenceservices.serving.kserve.io"),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ],
)
def test_verbs_that_do_not_exist(api, method, path):
    code, status = api.call(method, path, {"metadata": {"name": "x"}})
    assert (code, status["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("verb", ["exec", "attach", "portforward", "proxy", "eviction"])
def test_what_is_not_implemented(api, verb):
    code, status = api.call("POST", MODELS + "/pods/x/" + verb)
    assert (code, status["reason"]) == (501, "NotImplemented")


def test_urls_that_are_no_text(api):
    headers = [("authorization", "Bearer t0ken")]
    assert api.raw("GET", b"/api/v1/namespaces/%ff/pods", headers=headers)[0] == 400
    assert api.raw("GET", MODELS + "/pods", headers=headers, query="labelSelector=%ff")[0] == 400
    assert api.raw("GET", MODELS + "/pods", headers=headers, query="&".join(f"a{n}=1" for n in range(300)))[0] == 400


@pytest.mark.parametrize(
    "query",
    [
        {"watch": "true", "timeoutSeconds": "soon"},
        {"watch": "true", "resourceVersion": "abc"},
        {"watch": "true", "resourceVersion": "9" * 40},
        {"labelSelector": "a%20b"},
        {"fieldSelector": "spec.secret=1"},
    ],
)
def test_queries_that_make_no_sense(api, query):
    code, status = api.call("GET", MODELS + "/pods", **query)
    assert (code, status["reason"]) == (400, "BadRequest")


def test_only_json_is_spoken(api):
    code, status = api.call("GET", MODELS + "/pods", accept="application/vnd.kubernetes.protobuf")
    assert (code, status["reason"]) == (406, "NotAcceptable")
    code, listing = api.call("GET", MODELS + "/pods", accept="application/vnd.kubernetes.protobuf,application/json")
    assert (code, listing["kind"]) == (200, "PodList")


def test_a_fault_of_the_server_shows_no_inside(api, store, monkeypatch, caplog):
    def break_down(*_):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(store, "get", break_down)
    code, status = api.call("GET", MODELS + "/pods/x")
    assert (code, status["reason"]) == (500, "InternalError")
    assert "secret detail" not in status["message"]
    assert "secret detail" in caplog.text
