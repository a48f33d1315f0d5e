"""The master over real sockets: who it answers, what it refuses, start and stop."""

import http.client
import json
import socket
import threading

import pytest

from pdk.base.errors import Unavailable
from pdk.determined.api.server import DeterminedServer
from pdk.determined.master.master import Master
from pdk.determined.master.settings import MasterSettings

MEGABYTE = 1024 * 1024


def master(folder):
    return Master(MasterSettings(data_dir=folder, marker_prefix="test-server/", python="python3"))


@pytest.fixture
def server(tmp_path):
    server = DeterminedServer(master(tmp_path), port=0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ask(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def ask(method, path, body=None, **headers):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    yield ask
    connection.close()


@pytest.fixture
def token(ask):
    return ask("POST", "/api/v1/auth/login", '{"username": "admin", "password": ""}')[1]["token"]


def test_what_is_public_and_what_is_not(ask, token):
    assert ask("GET", "/health")[1]["status"] == "up"
    refused = {"error": {"code": 16, "reason": "Unauthenticated", "error": "token missing"}}
    assert ask("GET", "/api/v1/me") == (401, refused)
    assert ask("GET", "/api/v1/me", Authorization="Bearer wrong")[0] == 401
    for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"auth={token}"}):
        assert ask("GET", "/api/v1/me", **headers)[1]["user"]["username"] == "admin"
    assert ask("GET", "/api/v1/me", Grpc_Metadata_x_allocation_token=f"Bearer {token}")[0] == 200


def test_another_web_pages_name_is_refused(ask):
    status, answer = ask("GET", "/info", Host="evil.example.com")
    assert (status, answer["message"][:30]) == (403, "this master listens on this ma")
    assert ask("GET", "/info", Host="localhost:1")[0] == 200


def test_paths_nobody_answers(ask):
    assert ask("GET", "/nope") == (404, {"message": "Not Found"})
    status, answer = ask("GET", "/api/v1/webhooks")
    assert (status, answer["error"]["reason"]) == (501, "Unimplemented")
    assert answer["error"]["error"] == "GET /api/v1/webhooks is not available on this master"


def test_bodies_that_are_refused(ask):
    status, answer = ask("POST", "/api/v1/auth/login", "{")
    assert status == 400
    assert answer["error"]["error"].startswith("the request body is not JSON: Expecting property name")
    for body, words in (
        ("NaN", "NaN is no JSON"),
        ("1e999", "1e999 is too large"),
        ("9" * 301, f"{'9' * 40}... is too large"),
    ):
        status, answer = ask("POST", "/api/v1/auth/login", body)
        assert (status, answer["error"]["error"]) == (400, f"the request body is not JSON: {words}")


def test_a_body_over_the_routes_limit_is_refused_before_it_is_sent(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: {33 * MEGABYTE}\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(65536)
        while b"bytes" not in answer:
            answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert f"the request body is larger than {32 * MEGABYTE} bytes".encode() in answer


def test_what_goes_wrong_before_the_first_line_of_a_stream_is_an_ordinary_error(ask, token):
    status, answer = ask("GET", "/api/v1/trials/metrics/trial_metrics", Authorization=f"Bearer {token}")
    assert (status, answer["error"]["error"]) == (400, "must specify at least one trialId to fetch metrics for")


def test_a_socket_that_was_handed_over_is_served(tmp_path):
    handed = socket.create_server(("127.0.0.1", 0))
    server = DeterminedServer(master(tmp_path), listener=handed)
    server.start()
    assert server.url == f"http://127.0.0.1:{handed.getsockname()[1]}"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    server.stop()
    connection.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("determined-")]


def test_a_taken_port_is_named(server, tmp_path):
    second = DeterminedServer(master(tmp_path / "second"), port=server.port)
    with pytest.raises(Unavailable, match=f"the master cannot listen on 127.0.0.1:{server.port}"):
        second.start()
    second.stop()
