"""Sizes, times and counts beyond which a client is refused."""

import socket
import threading

import pytest
from ingress_bench import HOST, PREDICT, http_answer, request_bytes, talk
from waiting import wait_until


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


def test_buffered_bytes_of_a_request_that_is_answered_are_counted_and_given_back(ingress, model):
    release = threading.Event()
    model.answer = lambda seen: release.wait(20) and http_answer(200, b"{}")
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as connection:
        connection.sendall(request_bytes(b'"%b"' % (b"x" * 4998)))
        wait_until(lambda: model.seen)
        assert ingress.buffered == 5000
        release.set()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: ingress.buffered == 0)


@pytest.mark.parametrize("leave", [True, False], ids=["the client goes", "the client is cut off"])
def test_buffered_bytes_of_a_request_that_stays_half_are_counted_and_given_back(ingress, leave):
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as connection:
        connection.sendall(request_bytes(b"x" * 5000)[:-10])
        wait_until(lambda: ingress.buffered == 4990)
        if not leave:
            assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
            assert ingress.buffered == 0
    wait_until(lambda: ingress.buffered == 0)


def test_more_than_may_be_buffered_at_once_is_refused(ingress):
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=5) as connection:
        connection.sendall(request_bytes(b"x" * 18_000)[:-10])
        wait_until(lambda: ingress.buffered == 17_990)
        answer = talk(ingress, request_bytes(b"x" * 18_000))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"too much request data at once" in answer
