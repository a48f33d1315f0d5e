"""The ingress over real sockets, in front of a scripted model server."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time

import pytest

from pdk.base.errors import Unavailable
from pdk.kserve.ingress.messages import Limits
from pdk.kserve.ingress.server import Ingress
from pdk.kserve.predictor.routes import Backend, ServiceRoute, ServiceRoutes

HOST = "churn.default.example.com"
PREDICT = "/v1/models/churn:predict"
LIMITS = Limits(
    max_header_bytes=4096,
    max_body_bytes=20_000,
    max_response_bytes=50_000,
    max_connections=8,
    header_timeout=0.5,
    body_timeout=0.5,
    idle_timeout=1.0,
    connect_timeout=0.5,
)


class ModelServer:
    """Answers every request on a kept connection with `answer` (bytes, or a function of it); keeps what came."""

    def __init__(self):
        self.answer = http_answer(200, b'{"predictions": [1]}')
        self.seen = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                headers = {}
                while (header := stream.readline().strip()) != b"":
                    name, _, value = header.partition(b":")
                    headers[name.decode().lower()] = value.strip().decode()
                body = stream.read(int(headers.get("content-length", 0)))
                self.seen.append((line.decode().strip(), headers, body))
                answer = self.answer(self.seen[-1]) if callable(self.answer) else self.answer
                if answer is None:
                    return
                connection.sendall(answer)
                if b"connection: close" in answer:
                    return

    def close_connections(self):
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._listener.close()
        self.close_connections()


def http_answer(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def native_error(status, message, kind="InternalServerException"):
    body = json.dumps({"code": status, "type": kind, "message": message}).encode()
    return http_answer(status, body, connection="close", x_request_id="ts-id")


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


def talk(ingress, data, wait=5.0):
    """Send raw bytes; return all that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=wait) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def request_bytes(body=b'{"instances": [1]}', path=PREDICT, extra=b"", method=b"POST"):
    head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, path.encode(), HOST.encode())
    return head + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


# ---------------------------------------------------------------- V1


def test_predict_is_forwarded_and_signed(ask, model):
    status, headers, value = ask(
        "POST", PREDICT, '{"instances": [1]}', Content_Type="application/x-www-form-urlencoded"
    )
    assert (status, value) == (200, {"predictions": [1]})
    assert headers["content-type"] == "application/json"
    assert headers["x-pdk-revision"] == "churn-predictor-00001"
    assert headers["x-pdk-model-version"] == "7"
    assert len(headers["x-request-id"]) == 36
    line, sent, body = model.seen[0]
    assert line == f"POST {PREDICT} HTTP/1.1"
    assert sent["content-type"] == "application/json"
    assert body == b'{"instances": [1]}'


def test_an_annotation_cannot_add_a_header(ask, routes, model):
    value = "1\r\nset-cookie: evil=1\n\x00 \x7f\u20ac\u00e9"
    backend = Backend("churn-predictor-00001", model.port, ("churn",), (("x-pdk-model-version", value),))
    routes.set(ServiceRoute("default", "churn", (HOST,), ((backend, 100),)))
    for method, path in (("POST", PREDICT), ("GET", "/v1/models")):
        _, headers, _ = ask(method, path, "{}")
        assert headers["x-pdk-model-version"] == "1set-cookie: evil=1 \u00e9"
        assert "set-cookie" not in headers


def test_the_share_of_a_stable_revision_that_is_down_is_503(ask, routes, model, monkeypatch):
    canary = Backend("churn-predictor-00002", model.port, ("churn",))
    routes.set(
        ServiceRoute("default", "churn", (HOST,), ((canary, 20),), reason="revision churn-predictor-00001 failed")
    )
    monkeypatch.setattr(routes, "_choose", lambda: 0.2)
    status, headers, value = ask("POST", PREDICT, '{"instances": []}')
    assert (status, headers["retry-after"]) == (503, "2")
    assert "revision churn-predictor-00001 failed" in value["error"]
    assert "x-pdk-revision" not in headers
    monkeypatch.setattr(routes, "_choose", lambda: 0.19)
    assert ask("POST", PREDICT, '{"instances": []}')[1]["x-pdk-revision"] == "churn-predictor-00002"


def test_the_clients_request_id_comes_back(ask):
    assert ask("GET", "/", x_request_id="mine-1")[1]["x-request-id"] == "mine-1"
    assert ask("GET", "/", x_request_id="a b")[1]["x-request-id"] != "a b"


def test_readiness_and_metadata(ask, model):
    assert ask("GET", "/")[2] == {"status": "alive"}
    assert ask("GET", "/v1/models")[2] == {"models": ["churn"]}
    status, headers, value = ask("GET", "/v1/models/churn")
    assert (status, value) == (200, {"name": "churn", "ready": True})
    assert headers["x-pdk-revision"] == "churn-predictor-00001"
    assert model.seen == []


def test_the_path_finds_a_service_too(ask, model):
    status, _, value = ask("POST", f"/serving/default/churn{PREDICT}", '{"instances": [1]}', host="127.0.0.1")
    assert (status, value) == (200, {"predictions": [1]})
    assert ask("GET", "/serving/default/churn", host="x")[2] == {"status": "alive"}
    status, _, value = ask("GET", "/serving/default/other/v1/models", host="x")
    assert status == 404
    assert "path /serving/default/other" in value["error"]


def test_explain_and_native_paths_pass(ask, model):
    assert ask("POST", "/v1/models/churn:explain", "{}")[0] == 200
    model.answer = native_error(404, "Model version not found", "ModelVersionNotFoundException")
    status, _, value = ask("POST", "/predictions/churn/9?x=1", "data", Content_Type="text/plain")
    assert (status, value) == (
        404,
        b'{"code": 404, "type": "ModelVersionNotFoundException", "message": "Model version not found"}',
    )
    line, sent, _ = model.seen[-1]
    assert line == "POST /predictions/churn/9?x=1 HTTP/1.1"
    assert sent["content-type"] == "text/plain"


def test_unknown_hosts_models_and_paths(ask, model):
    status, headers, value = ask("GET", "/v1/models", host="nobody.example.com")
    assert (status, value) == (
        404,
        {"error": f"no InferenceService answers for host 'nobody.example.com'; known hosts: {HOST}"},
    )
    assert "x-pdk-revision" not in headers
    assert ask("POST", "/v1/models/other:predict", "{}")[::2] == (
        404,
        {"error": "Model with name other does not exist."},
    )
    assert ask("GET", "/v1/models/other")[0] == 404
    assert ask("GET", "/metrics")[0] == 404
    assert ask("GET", "/models")[0] == 404
    assert ask("GET", "/v1/models/churn:predict:x")[0] == 404
    assert model.seen == []


def test_methods(ask):
    status, headers, _ = ask("GET", PREDICT)
    assert (status, headers["allow"]) == (405, "POST")
    status, headers, _ = ask("POST", "/v1/models", "{}")
    assert (status, headers["allow"]) == (405, "GET")


def test_v2_says_that_it_is_not_there(ask):
    status, _, value = ask("POST", "/v2/models/churn/infer", "{}")
    assert status == 501
    assert "V2" in value["error"]


def test_health_of_the_ingress_itself(ask):
    assert ask("GET", "/healthz", host="127.0.0.1")[::2] == (200, b"ok")


def test_head_has_no_body(ask):
    status, headers, value = ask("HEAD", "/v1/models")
    assert (status, value) == (200, b"")
    assert int(headers["content-length"]) > 0


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("answer", "body", "status", "words"),
    [
        (native_error(400, "row 0, column 'x': bad"), '{"instances": [1]}', 400, "row 0, column 'x': bad"),
        (native_error(501, "no explanations"), '{"instances": [1]}', 501, "no explanations"),
        (http_answer(400, b'{"error": "own shape"}'), '{"instances": [1]}', 400, "own shape"),
        (http_answer(503, b'{"error": "own refusal"}'), '{"instances": [1]}', 500, "own refusal"),
        (native_error(503, "Prediction failed"), '{"instances": [1]}', 500, "Prediction failed: the handler raised"),
        (native_error(503, "Prediction failed"), "{bad", 400, "Unrecognized request format"),
        (native_error(503, "Prediction failed"), '{"inputs": []}', 400, 'Expected "instances" to be a list'),
        (native_error(503, "Prediction failed"), "[" * 20_0, 400, "Unrecognized request format"),
        (native_error(500, "Worker died."), '{"instances": [1]}', 500, "Worker died."),
        (http_answer(413), '{"instances": [1]}', 413, "max_request_size"),
        (http_answer(500, b"<html>"), '{"instances": [1]}', 500, "<html>"),
        (http_answer(200, b'{"predictions": [NaN]}'), '{"instances": [1]}', 500, "answered NaN"),
    ],
)
def test_torchserve_errors_are_mapped(ask, model, answer, body, status, words):
    model.answer = answer
    found, headers, value = ask("POST", PREDICT, body)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert words in value["error"]


def test_nan_in_a_text_is_no_nan(ask, model):
    model.answer = http_answer(200, b'{"predictions": ["NaN"]}')
    assert ask("POST", PREDICT, '{"instances": [1]}')[::2] == (200, {"predictions": ["NaN"]})


def test_a_full_queue_says_when_to_come_back(ask, model):
    text = 'Model "churn" has no worker to serve inference request. Please use scale workers API to add workers.'
    model.answer = native_error(503, text, "ServiceUnavailableException")
    status, headers, _ = ask("POST", PREDICT, '{"instances": [1]}')
    assert (status, headers["retry-after"]) == (503, "1")


def test_no_ready_revision(ask, routes, model):
    routes.set(
        ServiceRoute("default", "churn", (HOST,), (), ("churn",), "revision churn-predictor-00001 is loading its model")
    )
    for method, path, body in (("POST", PREDICT, "{}"), ("GET", "/v1/models/churn", None)):
        status, headers, value = ask(method, path, body)
        assert (status, headers["retry-after"]) == (503, "2")
        assert "is loading its model" in value["error"]
    assert ask("GET", "/v1/models/other")[0] == 404
    assert model.seen == []


def test_a_revision_that_cannot_be_reached(ask, routes):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = Backend("churn-predictor-00001", unused.getsockname()[1], ("churn",))
        told = []
        routes.report_unreachable = told.append
        routes.set(ServiceRoute("default", "churn", (HOST,), ((gone, 100),)))
        status, headers, value = ask("POST", PREDICT, "{}")
    assert (status, headers["retry-after"]) == (503, "1")
    assert "churn-predictor-00001" in value["error"]
    assert told == ["default/churn"]


def test_a_broken_answer_is_not_repeated(ask, model):
    model.answer = None
    status, _, value = ask("POST", PREDICT, '{"instances": [1]}')
    assert status == 502
    assert "not repeated" in value["error"]
    assert len(model.seen) == 1
    model.answer = b"garbage\r\n\r\n"
    assert ask("POST", PREDICT, '{"instances": [1]}')[0] == 502


def test_a_slow_model(ask, routes, model, monkeypatch):
    monkeypatch.setattr("pdk.kserve.ingress.upstream.GRACE_SECONDS", 0.0)
    slow = Backend("churn-predictor-00001", model.port, ("churn",), response_timeout=0.2)
    routes.set(ServiceRoute("default", "churn", (HOST,), ((slow, 100),)))
    model.answer = lambda seen: time.sleep(1)
    status, _, value = ask("POST", PREDICT, "{}")
    assert (status, value) == (504, {"error": "revision churn-predictor-00001 did not answer within 0.2 s"})
    assert routes.in_flight("churn-predictor-00001", model.port) == 0


def test_container_concurrency(ask, routes, model):
    limited = Backend("churn-predictor-00001", model.port, ("churn",), max_in_flight=1)
    routes.set(ServiceRoute("default", "churn", (HOST,), ((limited, 100),)))
    routes.acquire("default/churn")
    status, headers, value = ask("POST", PREDICT, "{}")
    assert (status, headers["retry-after"]) == (503, "1")
    assert "containerConcurrency" in value["error"]


# ---------------------------------------------------------------- sizes


def test_request_limits(ask, model):
    status, headers, value = ask("POST", PREDICT, "x" * 10_001)
    assert (status, headers["x-pdk-revision"]) == (413, "churn-predictor-00001")
    assert "at most 10000" in value["error"]
    assert ask("POST", PREDICT, "x" * 20_001)[0] == 413
    assert model.seen == []


def test_a_declared_length_over_the_limit_is_refused_before_the_body(ingress):
    answer = talk(
        ingress, request_bytes(extra=b"", body=b"").replace(b"Content-Length: 0", b"Content-Length: 99999999")
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_a_chunked_body_over_the_limit(ingress):
    head = b"POST %b HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % (PREDICT.encode(), HOST.encode())
    answer = talk(ingress, head + b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(6)))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_headers_over_the_limit(ingress):
    for extra in (
        b"X: " + b"x" * 5000 + b"\r\n",
        b"".join(b"X-%d: y\r\n" % n for n in range(600)),
        b"X: " + b"x" * 9000,
    ):
        answer = talk(ingress, request_bytes(extra=extra))
        assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_large_answer_of_the_model(ask, model):
    model.answer = http_answer(200, b'{"predictions": ["' + b"x" * 60_000 + b'"]}')
    status, _, value = ask("POST", PREDICT, '{"instances": [1]}')
    assert status == 502
    assert "larger than 50000 bytes" in value["error"]


def test_a_large_answer_within_the_limit(ask, model):
    model.answer = http_answer(200, b'{"predictions": ["' + b"x" * 40_000 + b'"]}')
    assert len(ask("POST", PREDICT, '{"instances": [1]}')[2]["predictions"][0]) == 40_000


# ---------------------------------------------------------------- HTTP


def test_keep_alive_and_the_pool(ingress, model):
    connection = http.client.HTTPConnection("127.0.0.1", ingress.port, timeout=5)
    with contextlib.closing(connection):
        for _ in range(5):
            connection.request("POST", PREDICT, '{"instances": [1]}', {"Host": HOST})
            assert json.loads(connection.getresponse().read()) == {"predictions": [1]}
    assert (len(model.seen), model.connections) == (5, 1)


def test_a_kept_connection_that_was_closed_meanwhile_is_not_used(ask, model):
    for count in range(1, 4):
        assert ask("POST", PREDICT, '{"instances": [1]}')[0] == 200
        model.close_connections()
        time.sleep(0.05)
        assert model.connections == count


def test_a_connection_torchserve_closes_is_not_kept(ask, model):
    model.answer = native_error(400, "bad")
    assert [ask("POST", PREDICT, "{}")[0] for _ in range(3)] == [400, 400, 400]
    assert model.connections == 3


def test_chunked_requests_and_answers(ingress, model):
    model.answer = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
    head = b"POST %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = talk(ingress, head % (PREDICT.encode(), HOST.encode()) + b'4\r\n{"in\r\n3\r\n": \r\n2\r\n1}\r\n0\r\n\r\n')
    assert answer.endswith(b'{"a": 1}')
    assert b"content-length: 8" in answer
    assert model.seen[0][2] == b'{"in": 1}'


def test_an_answer_that_ends_with_the_connection(ask, model):
    model.answer = b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{"predictions": [2]}'
    assert ask("POST", PREDICT, "{}")[2] == {"predictions": [2]}


def test_pipelined_requests_are_answered_in_order(ingress, model):
    model.answer = lambda seen: http_answer(200, b'{"predictions": %b}' % seen[2])
    data = b"".join(request_bytes(b"%d" % n) for n in range(4)) + request_bytes(b"4", extra=b"Connection: close\r\n")
    answer = talk(ingress, data)
    found = [int(part.partition(b"}")[0]) for part in answer.split(b'{"predictions": ')[1:]]
    assert found == [0, 1, 2, 3, 4]


def test_a_body_that_comes_in_pieces(ingress, model):
    data = request_bytes(extra=b"Connection: close\r\n")
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as connection:
        for place in range(0, len(data), 20):
            connection.sendall(data[place : place + 20])
            time.sleep(0.005)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert model.seen[0][2] == b'{"instances": [1]}'


def test_expect_continue(ingress):
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as connection:
        head, body = request_bytes(extra=b"Expect: 100-continue\r\n").split(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_http_1_0(ingress):
    answer = talk(ingress, b"GET /v1/models HTTP/1.0\r\nHost: %b\r\n\r\n" % HOST.encode())
    assert b'{"models": ["churn"]}' in answer


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_bad_http_is_answered_400_and_the_line_closed(ingress, model, data):
    answer = talk(ingress, data)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"connection: close" in answer
    assert model.seen == []


def test_a_good_request_before_a_bad_one_is_answered(ingress):
    answer = talk(ingress, request_bytes() + b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in answer


def test_protocol_switches_are_not_made(ingress):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    answer = talk(ingress, request_bytes(method=b"GET", path="/v1/models", extra=upgrade, body=b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    connect = talk(ingress, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n")
    assert connect.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 "))


def test_slow_clients_are_cut_off(ingress):
    started = time.monotonic()
    assert talk(ingress, b"POST / HT").startswith(b"HTTP/1.1 408 ")
    assert talk(ingress, request_bytes()[:-3]).startswith(b"HTTP/1.1 408 ")
    assert talk(ingress, b"") == b""
    assert time.monotonic() - started < 8


def test_idle_connections_are_closed(ingress):
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as connection:
        connection.sendall(request_bytes())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert connection.recv(65536) == b""


def test_a_long_answer_time_is_no_idle_time(ask, model):
    model.answer = lambda seen: time.sleep(2.2) or http_answer(200, b"{}")
    assert ask("POST", PREDICT, "{}")[0] == 200


def test_too_many_connections(ingress):
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.max_connections):
            stack.enter_context(socket.create_connection(("127.0.0.1", ingress.port), timeout=5))
        assert talk(ingress, b"").startswith(b"HTTP/1.1 503 ")


def test_a_client_that_goes_away_releases_the_revision(ingress, routes, model):
    release = threading.Event()
    model.answer = lambda seen: http_answer(200, b"{}") if release.wait(20) else None
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as connection:
        connection.sendall(request_bytes())
        wait_for(lambda: routes.in_flight("churn-predictor-00001", model.port) == 1)
    wait_for(lambda: routes.in_flight("churn-predictor-00001", model.port) == 0)
    release.set()


def test_buffered_bytes_are_given_back(ingress, ask):
    for _ in range(3):
        ask("POST", PREDICT, "x" * 5000)
        talk(ingress, request_bytes(b"x" * 5000)[:-10])
    wait_for(lambda: ingress._server.buffered == 0)


def wait_for(predicate, timeout=5.0):
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---------------------------------------------------------------- start and stop


def test_a_taken_port_is_named(ingress, routes):
    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{ingress.port}"):
        Ingress(routes, "127.0.0.1", ingress.port).start()


def test_stop_lets_requests_end(routes, model):
    ingress = Ingress(routes, "127.0.0.1", 0, LIMITS)
    ingress.start()
    model.answer = lambda seen: time.sleep(0.5) or http_answer(200, b"{}")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(talk(ingress, request_bytes())))
    thread.start()
    wait_for(lambda: model.seen)
    ingress.stop(3.0)
    thread.join(5)
    assert answers[0].startswith(b"HTTP/1.1 200 ")
    with pytest.raises(ConnectionError):
        talk(ingress, b"")


def test_a_switch_under_load_loses_nothing(ingress, routes, model):
    other = ModelServer()
    other.answer = http_answer(200, b'{"predictions": [2]}')
    answers = []

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", ingress.port, timeout=5)
        for _ in range(150):
            connection.request("POST", PREDICT, '{"instances": [1]}', {"Host": HOST})
            response = connection.getresponse()
            answers.append((response.status, response.getheader("x-pdk-revision"), response.read()))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(answers) > 100)
    backend = Backend("churn-predictor-00002", other.port, ("churn",))
    routes.set(ServiceRoute("default", "churn", (HOST,), ((backend, 100),)))
    wait_for(lambda: routes.in_flight("churn-predictor-00001", model.port) == 0)
    model.stop()
    for thread in threads:
        thread.join(20)
    other.stop()
    assert len(answers) == 600
    assert {status for status, _, _ in answers} == {200}
    assert {(revision, body) for _, revision, body in answers} == {
        ("churn-predictor-00001", b'{"predictions": [1]}'),
        ("churn-predictor-00002", b'{"predictions": [2]}'),
    }
