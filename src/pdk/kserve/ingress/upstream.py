"""The TorchServe side of the ingress: kept-alive connections, one request at a time on each.

Only connecting is retried. Once a byte of a request has left, its failure is the client's to know: a predict may have
run.
A connection TorchServe says it will close (it does so after every error) is not used again.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

import httptools

from pdk.base.errors import Unavailable
from pdk.kserve.ingress.messages import HeaderPairs, IngressLimits
from pdk.kserve.predictor.routes import Backend

logger = logging.getLogger(__name__)

CONNECT_TRIES = 3
# TorchServe answers by itself when a model is too slow; this much later it is TorchServe that hangs.
GRACE_SECONDS = 5.0
# An older kept connection is closed instead of used: the other side may be about to close it.
MAX_IDLE_SECONDS = 20.0
MAX_KEPT = 64


class ConnectFailed(Unavailable):
    """No connection to the revision: nothing was sent."""


class BrokenUpstream(Unavailable):
    """The revision closed the connection, or sent no HTTP, after the request had left."""


class ResponseTooLarge(BrokenUpstream):
    """The revision's answer is over the limit."""


@dataclass
class UpstreamResponse:
    """A whole response of TorchServe."""

    status: int
    headers: HeaderPairs
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return the first value of header `name` (lower case), empty when absent."""
        return next((value for key, value in self.headers if key == name), b"")


class UpstreamConnection(asyncio.Protocol):
    """One connection; `exchange` sends a request and returns its response."""

    def __init__(self, max_response_bytes: int) -> None:
        self._max = max_response_bytes
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[UpstreamResponse] | None = None
        self._reset()
        self.idle_since = 0.0

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: HeaderPairs = []
        self._body: list[bytes] = []
        self._size = 0
        self._framed = False
        self._headers_done = False

    @property
    def usable(self) -> bool:
        """True while another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, data: bytes) -> UpstreamResponse:
        """Send `data`, a whole request, and wait for the response; raise BrokenUpstream."""
        if self._transport is None or self._transport.is_closing():
            raise BrokenUpstream("the connection to the model server is closed")
        self._reset()
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        try:
            return await self._waiter
        finally:
            if not self._waiter.done() or self._waiter.cancelled():
                self.close()
            self._waiter = None

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenUpstream(f"the model server sent no valid HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio. A response without length ends here."""
        if self._waiter is not None and not self._waiter.done():
            if self._headers_done and not self._framed and exc is None:
                self._finish()
            else:
                self._fail(BrokenUpstream("the model server closed the connection before it answered"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools."""
        lower = name.lower()
        self._framed = self._framed or lower in (b"content-length", b"transfer-encoding")
        self._headers.append((lower, value))

    def on_headers_complete(self) -> None:
        """Called by httptools."""
        self._headers_done = True

    def on_body(self, body: bytes) -> None:
        """Called by httptools."""
        self._size += len(body)
        if self._size > self._max:
            self._fail(ResponseTooLarge(f"the model's answer is larger than {self._max} bytes"))
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by httptools; a `100 Continue` is no answer."""
        if self._parser.get_status_code() >= 200:
            self._finish()

    def _finish(self) -> None:
        response = UpstreamResponse(self._parser.get_status_code(), self._headers, b"".join(self._body))
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(response)

    def _fail(self, error: BrokenUpstream) -> None:
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class UpstreamPool:
    """Kept connections by address; used from the ingress' event loop only."""

    def __init__(self, limits: IngressLimits) -> None:
        self._limits = limits
        self._kept: dict[tuple[str, int], deque[UpstreamConnection]] = {}

    async def request(self, backend: Backend, data: bytes) -> UpstreamResponse:
        """Send `data`; raise ConnectFailed, BrokenUpstream, or TimeoutError after the backend's response time-out."""
        async with asyncio.timeout(backend.response_timeout + GRACE_SECONDS):
            connection = self._take((backend.host, backend.port)) or await self._connect(backend)
            response = await connection.exchange(data)
        self._keep((backend.host, backend.port), connection)
        return response

    def _take(self, address: tuple[str, int]) -> UpstreamConnection | None:
        kept = self._kept.get(address)
        oldest = asyncio.get_running_loop().time() - MAX_IDLE_SECONDS
        while kept:
            connection = kept.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    async def _connect(self, backend: Backend) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        problem: Exception | None = None
        for attempt in range(CONNECT_TRIES):
            if attempt:
                await asyncio.sleep(0.05 * attempt)
            try:
                async with asyncio.timeout(self._limits.connect_timeout):
                    _, connection = await loop.create_connection(
                        lambda: UpstreamConnection(self._limits.max_response_bytes), backend.host, backend.port
                    )
            except (OSError, TimeoutError) as error:
                problem = error
            else:
                return connection
        raise ConnectFailed(f"no connection to revision {backend.revision}: {problem}")

    def _keep(self, address: tuple[str, int], connection: UpstreamConnection) -> None:
        if not connection.usable:
            return
        connection.idle_since = asyncio.get_running_loop().time()
        kept = self._kept.setdefault(address, deque())
        kept.append(connection)
        if len(kept) > MAX_KEPT:
            kept.popleft().close()

    def sweep(self) -> None:
        """Close what has been idle for long; forget addresses without connections."""
        oldest = asyncio.get_running_loop().time() - MAX_IDLE_SECONDS
        for address, kept in list(self._kept.items()):
            while kept and (not kept[0].usable or kept[0].idle_since < oldest):
                kept.popleft().close()
            if not kept:
                del self._kept[address]

    def close(self) -> None:
        """Close every kept connection."""
        for kept in self._kept.values():
            for connection in kept:
                connection.close()
        self._kept.clear()
