"""A server of the room: on a socket of its own or one handed over, quick, limited, and without a trace when stopped."""

import asyncio
import http.client
import socket
import threading

import pytest
from starlette.responses import PlainTextResponse

from pdk.base.errors import Unavailable
from pdk.web.answers import Stream
from pdk.web.listening import HEADER_LIMIT, WebServer, listening_socket, port_of, url_of


async def hello(scope, receive, send):
    await PlainTextResponse(scope["path"])(scope, receive, send)


@pytest.fixture
def serve():
    running = []

    def start(app=hello, listener=None):
        listener = listener or listening_socket("127.0.0.1", 0, "the test")
        running.append(WebServer("test-http", lambda loop: app, listener))
        running[-1].start()
        return port_of(listener), running[-1]

    yield start
    for server in running:
        server.stop()


def get(port, path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_a_socket_that_was_handed_over_is_served_and_no_connection_is_refused_before(serve):
    handed = socket.create_server(("127.0.0.1", 0))
    early = http.client.HTTPConnection("127.0.0.1", port_of(handed), timeout=10)
    early.request("GET", "/early")
    serve(listener=handed)
    assert early.getresponse().read() == b"/early"


def test_a_taken_port_is_an_error_of_who_wants_it(serve):
    port, _ = serve()
    with pytest.raises(Unavailable, match=f"the test cannot listen on 127.0.0.1:{port}: .*Address already in use"):
        listening_socket("127.0.0.1", port, "the test")


def test_an_application_that_cannot_be_made_is_told_to_the_caller():
    def broken(loop):
        raise RuntimeError("no database")

    server = WebServer("test-http", broken, listening_socket("127.0.0.1", 0, "the test"))
    with pytest.raises(Unavailable, match="test-http did not start: no database"):
        server.start()
    server.stop()


def test_accepted_connections_do_not_wait_for_acknowledgements():
    with listening_socket("127.0.0.1", 0, "the test") as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_headers_over_the_limit_end_the_connection(serve):
    port, _ = serve()
    assert get(port, "/small", **{"x-small": "v" * (HEADER_LIMIT - 1000)})[0] == 200
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        get(port, **{"x-large": "v" * HEADER_LIMIT})


def test_stopping_ends_idle_connections_and_frees_the_port(serve):
    port, server = serve()
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    idle.request("GET", "/")
    idle.getresponse().read()
    server.stop()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        idle.request("GET", "/")
        idle.getresponse()
    listening_socket("127.0.0.1", port, "the test").close()
    assert "test-http" not in {thread.name for thread in threading.enumerate()}


def test_a_stream_whose_client_goes_is_closed(serve):
    closed = threading.Event()

    async def pieces():
        try:
            yield b"first"
            # Nothing more ever comes, as in a watch of something that does not change.
            await never.wait()
        finally:
            closed.set()

    never = None

    async def app(scope, receive, send):
        nonlocal never
        never = asyncio.Event()
        await Stream(pieces())(scope, receive, send)

    port, _ = serve(app)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while b"first" not in received:
            received += client.recv(4096)
    assert closed.wait(10)


def test_urls():
    assert url_of("http", "127.0.0.1", 80) == "http://127.0.0.1:80"
    assert url_of("https", "::1", 443) == "https://[::1]:443"
    assert url_of("http", "0.0.0.0", 1) == url_of("http", "::", 1) == "http://127.0.0.1:1"
