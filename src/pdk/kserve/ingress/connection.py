"""The client side of the ingress: one HTTP/1.1 connection, parsed with httptools.

Requests of one connection are answered in order, one at a time; a pipelining client is not read from meanwhile. Every
phase has a deadline (`check` is called every second), so a client that sends or reads a byte a minute is cut off.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httptools

from pdk.kserve.ingress.messages import (
    ClientAnswer,
    ClientRequest,
    HeaderPairs,
    IngressLimits,
    encode_answer,
    error_answer,
)

logger = logging.getLogger(__name__)

NEVER = float("inf")


@dataclass
class Connections:
    """The connections of one ingress and what they share; touched from its event loop only."""

    handler: Callable[[ClientRequest], Awaitable[ClientAnswer]]
    limits: IngressLimits
    open: "set[ClientConnection]" = field(default_factory=set)
    buffered: int = 0
    stopping: bool = False

    def sweep(self, now: float) -> None:
        """Cut off the clients that are past their deadline."""
        for connection in list(self.open):
            connection.check(now)

    async def drain(self, deadline: float) -> None:
        """Let requests under way end until the deadline, then close every connection."""
        while any(each.busy for each in self.open) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        for connection in list(self.open):
            connection.close()
        # One turn of the loop for the connections to be told.
        await asyncio.sleep(0)


class Refused(Exception):
    """The request on this connection cannot be read; `answer` is its last answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = error_answer(status, text, close=True)


class ClientConnection(asyncio.Protocol):
    """Reads requests, asks the handler, writes answers."""

    def __init__(self, shared: Connections) -> None:
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._parser: Any = httptools.HttpRequestParser(self)
        self._ready: deque[ClientRequest | Refused] = deque()
        self._task: asyncio.Task[None] | None = None
        self._read_deadline = self._write_deadline = NEVER
        self._writable = asyncio.Event()
        self._writable.set()
        self._refused = False
        self._start_message()

    def _start_message(self) -> None:
        self._url = b""
        self._headers: HeaderPairs = []
        self._body: list[bytes] = []
        self._body_size = 0
        self._header_bytes = 0
        self._received = 0
        self._in_headers = True

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport  # type: ignore[assignment]
        crowded = len(self._shared.open) >= self._shared.limits.max_connections
        self._shared.open.add(self)
        self._read_deadline = self._loop.time() + self._shared.limits.header_timeout
        if crowded:
            self._refuse(Refused(503, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio; nobody waits for the answer any more."""
        self._shared.open.discard(self)
        self._writable.set()
        self._forget_body()
        for request in self._ready:
            self._shared.buffered -= len(request.body) if isinstance(request, ClientRequest) else 0
        self._ready.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._refused:
            return
        if self._in_headers and self._received == 0:
            self._read_deadline = self._loop.time() + self._shared.limits.header_timeout
        try:
            self._feed(data)
        except Refused as refused:
            self._refuse(refused)

    def _feed(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # A whole request that also asks to switch protocols: it is answered as plain HTTP, then the line is closed.
            if not self._ready and self._task is None:
                raise Refused(501, "only plain HTTP/1.1 is served") from None
            self._refused = True
        except httptools.HttpParserError as error:
            cause = error.__context__ or error
            raise cause if isinstance(cause, Refused) else Refused(400, f"bad request: {error}") from None
        # A header line that never ends reaches no callback.
        if self._in_headers and self._received > self._shared.limits.max_header_bytes:
            raise self._too_long()

    def _too_long(self) -> Refused:
        return Refused(431, f"the request line and headers are over {self._shared.limits.max_header_bytes} bytes")

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._shared.limits.max_header_bytes:
            raise self._too_long()

    def pause_writing(self) -> None:
        """Called by asyncio when the client reads more slowly than it is answered."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._writable.set()

    def eof_received(self) -> bool:
        """Called by asyncio: who stops sending is taken to be gone, as nginx does; its request is given up."""
        return False

    # httptools' side

    def on_url(self, url: bytes) -> None:
        """Called by httptools, perhaps with a piece."""
        self._count_header(len(url))
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools."""
        self._count_header(len(name) + len(value) + 4)
        if b"\r" in value or b"\n" in value:
            raise Refused(400, "a header value is folded over lines")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Called by httptools: refuse early what will not fit, tell a waiting client to go on."""
        self._in_headers = False
        headers = dict(self._headers)
        hosts = [value for name, value in self._headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self._parser.get_http_version() == "1.1"):
            raise Refused(400, "a request needs exactly one Host header")
        length = headers.get(b"content-length", b"0")
        self._check_size(int(length) if length.isdigit() else 0)
        self._read_deadline = self._loop.time() + self._shared.limits.body_timeout
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_size(self, size: int) -> None:
        if size > self._shared.limits.max_body_bytes:
            raise Refused(413, f"the request body is larger than {self._shared.limits.max_body_bytes} bytes")
        if self._shared.buffered + size - self._body_size > self._shared.limits.max_buffered_bytes:
            raise Refused(503, "too much request data at once; try again later")

    def on_body(self, body: bytes) -> None:
        """Called by httptools."""
        self._check_size(self._body_size + len(body))
        self._body_size += len(body)
        self._shared.buffered += len(body)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by httptools: hand the request over, in turn."""
        try:
            request = self._finish_message()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError) as error:
            raise Refused(400, f"bad request target: {error}") from error
        self._ready.append(request)
        self._start_message()
        self._read_deadline = NEVER
        if self._task is None:
            self._task = self._loop.create_task(self._serve())
        else:
            self._transport.pause_reading()

    def _finish_message(self) -> ClientRequest:
        url = httptools.parse_url(self._url)
        version = self._parser.get_http_version()
        return ClientRequest(
            method=self._parser.get_method().decode("ascii"),
            path=unquote((url.path or b"/").decode("ascii"), errors="strict"),
            query=url.query or b"",
            headers=self._headers,
            body=b"".join(self._body),
            keep_alive=self._parser.should_keep_alive() and not self._parser.should_upgrade(),
            http_1_0=version == "1.0",
        )

    # answering

    async def _serve(self) -> None:
        """ClientAnswer what is ready, in order, until nothing is."""
        while self._ready:
            item = self._ready.popleft()
            if isinstance(item, Refused):
                await self._write(None, item.answer)
                break
            try:
                answer = await self._shared.handler(item)
            except Exception:
                logger.exception("ingress: %s %s", item.method, item.path)
                answer = error_answer(500, "internal error of the ingress; its log has the traceback", close=True)
            finally:
                self._shared.buffered -= len(item.body)
            await self._write(item, answer)
            if self._transport.is_closing():
                break
        self._task = None
        self._rest()

    async def _write(self, request: ClientRequest | None, answer: ClientAnswer) -> None:
        keep = request is not None and request.keep_alive and not answer.close and not self._shared.stopping
        head = request is not None and request.method == "HEAD"
        http_1_0 = request is not None and request.http_1_0
        self._transport.write(encode_answer(answer, keep, head, http_1_0))
        if not self._writable.is_set():
            self._write_deadline = self._loop.time() + self._shared.limits.write_timeout
            await self._writable.wait()
            self._write_deadline = NEVER
        if not keep:
            self._transport.close()

    def _rest(self) -> None:
        """Nothing is ready: wait for the next request, or for the rest of one."""
        if self._transport.is_closing():
            return
        if self._refused:
            self._transport.close()
            return
        limits = self._shared.limits
        allowed = limits.idle_timeout if not self._received else limits.header_timeout
        self._read_deadline = self._loop.time() + (allowed if self._in_headers else limits.body_timeout)
        self._transport.resume_reading()

    def _refuse(self, refused: Refused) -> None:
        """ClientAnswer what came before, then this, then close."""
        self._refused = True
        self._forget_body()
        self._ready.append(refused)
        if self._task is None:
            self._task = self._loop.create_task(self._serve())

    def _forget_body(self) -> None:
        self._shared.buffered -= self._body_size
        self._body, self._body_size = [], 0

    # called by the ingress

    @property
    def busy(self) -> bool:
        """True while a request is read or answered."""
        return self._task is not None or self._received > 0

    def check(self, now: float) -> None:
        """Cut a client off that is past its deadline."""
        if now >= self._write_deadline:
            self._transport.abort()
        elif self._task is None and now >= self._read_deadline:
            if self._received and not self._refused:
                self._refuse(Refused(408, "the request did not arrive in time"))
            else:
                self._transport.close()

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()
