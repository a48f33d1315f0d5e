"""Listening: a socket made here or handed over, and uvicorn on a thread of its own that serves an application on it.

    server = WebServer("determined", lambda loop: Application(...), listening_socket("127.0.0.1", 8080, "the master"))
    server.start(); server.stop()

A supervisor that keeps a port open across restarts of a server makes the socket itself and hands it over.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pdk.base.errors import Unavailable

logger = logging.getLogger(__name__)

BACKLOG = 1024
# Bytes of all headers of a request.
HEADER_LIMIT = 64 * 1024
IDLE_SECONDS = 75
START_SECONDS = 30.0
# How long requests under way may take once the server stops, and an idle TLS connection until it is cut.
GRACE_SECONDS = 3
CLOSE_SECONDS = 0.2
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def listening_socket(host: str, port: int, who: str) -> socket.socket:
    """Return a socket that listens on host and port (0: a free one). Raises Unavailable when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it. Without, each answer (headers and body are two sends) waits 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Unavailable(f"{who} cannot listen on {host}:{port}: {error}") from error
    return listener


def port_of(listener: socket.socket) -> int:
    """Return the port a socket listens on."""
    return int(listener.getsockname()[1])


def url_of(scheme: str, host: str, port: int) -> str:
    """Return the URL clients on this machine reach a server by, also one that listens on every address."""
    host = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def tls_context(certificate: Path, key: Path, ca_certificate: Path) -> ssl.SSLContext:
    """Return the server side of TLS: 1.2 or newer, client certificates of the CA welcome and not required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca_certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


class LoopThread:
    """An event loop on a thread of its own that runs one coroutine; started once."""

    def __init__(
        self,
        name: str,
        main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        """`main` is given the function that it calls as soon as it is ready."""
        self._name = name
        self._main = main
        self._new_event_loop = new_event_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Return once `main` is ready. Raises Unavailable with the reason when it ends or does not get that far."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failure is not None:
            raise Unavailable(f"{self._name} did not start: {self._failure}") from self._failure

    def call_soon(self, function: Callable[[], object]) -> None:
        """Run `function` on the event loop, if that turns."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def join(self, seconds: float) -> None:
        """Wait for the end of `main`, if it was started."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._new_event_loop) as runner:
                self._loop = runner.get_loop()
                runner.run(self._main(self._ready.set))
        except BaseException as error:
            self._failure = error
            logger.error("%s ended", self._name, exc_info=error)
        finally:
            self._ready.set()


class WebServer(LoopThread):
    """One application on one socket; started and stopped once."""

    def __init__(
        self,
        name: str,
        make_app: Callable[[asyncio.AbstractEventLoop], ASGIApp],
        listener: socket.socket,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`make_app` is called on the server's event loop before the first request; `listener` is closed in the end."""
        super().__init__(name, self._serve)
        self._make_app = make_app
        self._listener = listener
        self._tls = tls
        self._server: _Uvicorn | None = None

    def stop(self) -> None:
        """Let requests under way end for some seconds, close every connection and the socket; no thread is left."""
        if self._server is not None:
            self._server.should_exit = True
        self.join(GRACE_SECONDS + 7.0)
        self._listener.close()

    async def _serve(self, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            self._make_app(asyncio.get_running_loop()),
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        config.load()
        config.ssl = self._tls
        self._server = _Uvicorn(config, ready)
        await self._server.serve([self._listener])


class _Uvicorn(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


class _Protocol(HttpToolsProtocol):
    """Adds to uvicorn's protocol the peer's certificate, a limit on the size of headers, and a quick end."""

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(CLOSE_SECONDS, self._abort_when_idle)

    def _abort_when_idle(self) -> None:
        # Closing TLS waits for the client to say goodbye as well, and an idle client does not.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            self.loop.call_later(CLOSE_SECONDS, self._abort_when_idle)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_LIMIT:
            self.transport.abort()
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        tls: Any = self.transport.get_extra_info("ssl_object")
        if tls is not None:
            self.scope["extensions"] = {"peer_certificate": tls.getpeercert() or {}}
        super().on_headers_complete()
