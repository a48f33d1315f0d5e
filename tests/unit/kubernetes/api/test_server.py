"""The server under raw sockets: TLS, limits, broken clients, start and stop."""

import http.client
import json
import socket
import ssl
import threading

import pytest
from waiting import wait_until, within

from pdk.base.errors import Unavailable
from pdk.kubernetes.api import watch_hub
from pdk.kubernetes.api.pki import make_tls_files
from pdk.kubernetes.api.server import KubernetesApi

TOKEN = "t0ken"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def tls(tmp_path):
    return make_tls_files(tmp_path / "tls")


@pytest.fixture
def server(store, logs, tls):
    api = KubernetesApi(store, logs, tls, TOKEN, port=0)
    api.start()
    yield api
    api.stop()


def trusting(tls):
    return ssl.create_default_context(cafile=str(tls.ca_certificate))


def connect(server, tls):
    return http.client.HTTPSConnection("127.0.0.1", server.port, context=trusting(tls), timeout=10)


def raw(server, tls, data):
    """Send bytes over TLS, return what comes back until the server closes."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with trusting(tls).wrap_socket(plain, server_hostname="localhost") as secure:
        try:
            secure.sendall(data)
            received = b""
            while chunk := secure.recv(65536):
                received += chunk
        except (ConnectionError, ssl.SSLError):
            return b""
        return received


def still_answers(server, tls):
    connection = connect(server, tls)
    connection.request("GET", "/readyz")
    body = connection.getresponse().read()
    connection.close()
    return body == b"ok"


def test_one_connection_serves_many_requests(server, tls):
    connection = connect(server, tls)
    for _ in range(3):
        connection.request("GET", "/api/v1/namespaces/models/secrets", headers=HEADERS)
        answer = connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["kind"] == "SecretList"
    assert server.url == f"https://127.0.0.1:{server.port}"
    connection.close()


def test_head_has_no_body(server, tls):
    connection = connect(server, tls)
    connection.request("HEAD", "/healthz", headers=HEADERS)
    answer = connection.getresponse()
    assert (answer.status, answer.read(), answer.headers["content-length"]) == (200, b"", "2")
    connection.close()


def test_a_socket_that_was_handed_over_is_served(store, logs, tls):
    handed = socket.create_server(("127.0.0.1", 0))
    api = KubernetesApi(store, logs, tls, TOKEN, listener=handed)
    api.start()
    assert api.port == handed.getsockname()[1]
    assert still_answers(api, tls)
    api.stop()


def test_old_tls_and_plain_http_are_refused(server, tls):
    context = trusting(tls)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in plain.recv(1000)
    assert still_answers(server, tls)


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 1000 + b"\r\n\r\n",
        b"GET / SPDY/9\r\n\r\n",
        b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_bytes_that_are_no_request(server, tls, data):
    answer = raw(server, tls, data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert still_answers(server, tls)


@pytest.mark.parametrize("fields", [b"X: " + b"y" * 200_000, b"\r\n".join(b"X%d: y" % n for n in range(20_000))])
def test_a_head_that_is_too_long(server, tls, fields):
    answer = raw(server, tls, b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n\r\n")
    # Nothing when the reset (there was more to read) overtakes the answer.
    assert answer[:13] in (b"", b"HTTP/1.1 400 ")
    assert still_answers(server, tls)


def test_a_body_that_is_too_long_is_cut_off(server, tls):
    head = b"POST /api/v1/namespaces/models/secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    answer = raw(server, tls, head + b"x" * 1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"Request entity too large" in answer


def test_a_client_that_hangs_up_leaves_no_watch_behind(server, tls, monkeypatch):
    monkeypatch.setattr(watch_hub, "WATCH_LIMIT", 5)

    def watch():
        connection = connect(server, tls)
        connection.request("GET", "/api/v1/pods?watch=true&sendInitialEvents=true", headers=HEADERS)
        stream = connection.getresponse()
        if stream.status == 200:
            stream.readline()  # the bookmark after the objects of now: the watch is open
        return stream, connection

    opened = [watch() for _ in range(5)]
    assert watch()[0].status == 429
    for stream, connection in opened:
        stream.close()
        connection.close()
    wait_until(lambda: watch()[0].status == 200, what="room for one more watch")


def test_a_watch_delivers_at_once(server, tls, store):
    connection = connect(server, tls)
    connection.request("GET", f"/api/v1/configmaps?watch=true&resourceVersion={store.revision()}", headers=HEADERS)
    stream = connection.getresponse()
    threading.Timer(0.1, store.create, ("configmaps", {"metadata": {"name": "c", "namespace": "models"}})).start()
    event = json.loads(within(3, stream.readline))
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "c")
    connection.close()


def test_stopping_ends_watches_and_idle_connections_quickly(store, logs, tls):
    server = KubernetesApi(store, logs, tls, TOKEN, port=0)
    server.start()
    idle, watching = connect(server, tls), connect(server, tls)
    idle.request("GET", "/readyz")
    idle.getresponse().read()
    watching.request("GET", "/api/v1/pods?watch=true", headers=HEADERS)
    stream = watching.getresponse()
    within(3, server.stop)
    assert stream.read() == b""
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(("kube", "watch"))] == []
    idle.close()
    watching.close()


def test_a_port_in_use_is_told(server, store, logs, tls):
    second = KubernetesApi(store, logs, tls, TOKEN, port=server.port)
    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{server.port}"):
        second.start()
