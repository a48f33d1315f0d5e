"""An ingress over real sockets, in front of a scripted model server."""

import asyncio
import contextlib
import http.client
import json

import pytest
from ingress_bench import HOST, LIMITS, ModelServer

from pdk.kserve.ingress.server import Ingress
from pdk.kserve.predictor.routes import Backend, ServiceRoute, ServiceRoutes


@pytest.fixture
def model():
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture
def routes(model):
    routes = ServiceRoutes()
    headers = (("x-pdk-model-version", "7"),)
    backend = Backend("churn-predictor-00001", model.port, ("churn",), headers, max_request_bytes=10_000)
    routes.set(ServiceRoute("default", "churn", (HOST, "churn.default.localhost"), ((backend, 100),)))
    return routes


@pytest.fixture(params=["uvloop", "asyncio"])
def ingress(routes, request, monkeypatch):
    if request.param == "asyncio":
        monkeypatch.setattr("pdk.kserve.ingress.server.new_event_loop", asyncio.new_event_loop)
    ingress = Ingress(routes, "127.0.0.1", 0, LIMITS)
    ingress.start()
    yield ingress
    ingress.stop(0.2)


@pytest.fixture
def ask(ingress):
    def ask(method, path, body=None, host=HOST, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", ingress.port, timeout=10)
        with contextlib.closing(connection):
            sent = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            raw = response.read()
            found = {name.lower(): value for name, value in response.getheaders()}
            value = json.loads(raw) if raw and "json" in found.get("content-type", "") else raw
            return response.status, found, value

    return ask
