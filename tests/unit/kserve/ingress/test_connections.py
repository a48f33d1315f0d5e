"""HTTP itself: kept connections, pieces, pipelines, broken requests, slow clients."""

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
from ingress_bench import HOST, LIMITS, PREDICT, http_answer, native_error, request_bytes, talk
from waiting import wait_until


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


@pytest.mark.timeout(30)
def test_slow_clients_are_cut_off(ingress):
    assert talk(ingress, b"POST / HT").startswith(b"HTTP/1.1 408 ")
    assert talk(ingress, request_bytes()[:-3]).startswith(b"HTTP/1.1 408 ")
    assert talk(ingress, b"") == b""


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
        wait_until(lambda: routes.in_flight("churn-predictor-00001", model.port) == 1)
    wait_until(lambda: routes.in_flight("churn-predictor-00001", model.port) == 0)
    release.set()
