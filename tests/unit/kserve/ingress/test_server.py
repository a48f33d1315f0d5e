"""Start, stop, and switches of revisions under load."""

import http.client
import socket
import threading
import time

import pytest
from ingress_bench import HOST, LIMITS, PREDICT, ModelServer, http_answer, request_bytes, talk
from waiting import wait_until

from pdk.base.errors import Unavailable
from pdk.kserve.ingress.server import Ingress
from pdk.kserve.predictor.routes import Backend, ServiceRoute


def test_a_taken_port_is_named(ingress, routes):
    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{ingress.port}"):
        Ingress(routes, "127.0.0.1", ingress.port).start()


def test_a_socket_that_was_handed_over_is_served(routes):
    handed = socket.create_server(("127.0.0.1", 0))
    ingress = Ingress(routes, "127.0.0.1", 0, LIMITS, listener=handed)
    ingress.start()
    assert ingress.port == handed.getsockname()[1]
    assert talk(ingress, request_bytes(extra=b"Connection: close\r\n")).startswith(b"HTTP/1.1 200 ")
    ingress.stop(0.2)


def test_stop_lets_requests_end(routes, model):
    ingress = Ingress(routes, "127.0.0.1", 0, LIMITS)
    ingress.start()
    model.answer = lambda seen: time.sleep(0.5) or http_answer(200, b"{}")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(talk(ingress, request_bytes())))
    thread.start()
    wait_until(lambda: model.seen)
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
    wait_until(lambda: len(answers) > 100)
    backend = Backend("churn-predictor-00002", other.port, ("churn",))
    routes.set(ServiceRoute("default", "churn", (HOST,), ((backend, 100),)))
    wait_until(lambda: routes.in_flight("churn-predictor-00001", model.port) == 0)
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
