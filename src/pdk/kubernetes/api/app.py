"""The API server as an ASGI application: reads a request, finds out who sent it, lets the router answer, sends the answer.

Run by `server.py`. Handlers work on threads, because the object store blocks; streams (watches, followed logs) run on the
event loop. No answer ever carries a traceback.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from pdk.base.errors import PdkError
from pdk.kubernetes.api.authentication import Authenticator
from pdk.kubernetes.api.bodies import BODY_LIMIT
from pdk.kubernetes.api.http import JSON, Answer, Request, Response, Stream, json_response
from pdk.kubernetes.api.router import Router
from pdk.kubernetes.api.status import failure, failure_status
from pdk.kubernetes.errors import BadRequest, RequestTooLarge

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

QUERY_LIMIT = 200
"""Query parameters of a request."""


class KubernetesApp:
    """One ASGI 3 application."""

    def __init__(self, router: Router, authenticator: Authenticator, threads: Executor) -> None:
        self._router = router
        self._authenticator = authenticator
        self._threads = threads

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"cannot serve {scope['type']}")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        answer: Answer
        try:
            body = await _read_body(headers, receive)
            request = self._request(scope, headers, body)
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, request)
        except PdkError as error:
            answer = _failure(error)
        if isinstance(answer, Stream):
            await _send_stream(answer, receive, send)
        else:
            await _send_response(answer, scope["method"] == "HEAD", send)

    def _request(self, scope: Message, headers: dict[str, str], body: bytes) -> Request:
        segments = _segments(scope["raw_path"])
        query = _query(scope["query_string"])
        request = Request(scope["method"], segments, query, headers, body)
        if self._router.is_public(request):
            return request
        user = self._authenticator.user(headers, scope.get("extensions", {}).get("peer_certificate"))
        return Request(scope["method"], segments, query, headers, body, user)

    def _answer(self, request: Request) -> Answer:
        try:
            return self._router.dispatch(request)
        except PdkError as error:
            return _failure(error)
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path)
            message = f"Internal error occurred: {type(error).__name__}; the server's log has the details"
            return json_response(failure_status(message, "InternalError"), 500)


def _failure(error: PdkError) -> Response:
    status = failure(error)
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, RequestTooLarge):
        headers = (("Connection", "close"),)  # the rest of the body is not worth reading
    elif status["code"] == 429:
        headers = (("Retry-After", "1"),)
    elif status["code"] == 401:
        headers = (("WWW-Authenticate", "Bearer"),)
    return json_response(status, status["code"], headers)


async def _read_body(headers: dict[str, str], receive: Receive) -> bytes:
    """Return the body; raise RequestTooLarge as soon as it is known to be over the limit."""
    declared = headers.get("content-length", "0")
    size = int(declared) if declared.isdecimal() else 0
    parts = []
    more = size <= BODY_LIMIT
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size = sum(len(part) for part in parts)
        more = message.get("more_body", False) and size <= BODY_LIMIT
    if size > BODY_LIMIT:
        raise RequestTooLarge(f"Request entity too large: limit is {BODY_LIMIT}")
    return b"".join(parts)


def _segments(raw_path: bytes) -> tuple[str, ...]:
    """Split a path at its slashes, then decode: an encoded slash stays inside its segment."""
    try:
        segments = tuple(unquote_to_bytes(part).decode() for part in raw_path.strip(b"/").split(b"/"))
    except UnicodeDecodeError:
        raise BadRequest("the path of the URL is not UTF-8") from None
    return () if segments == ("",) else segments


def _query(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=QUERY_LIMIT)
    except ValueError as error:
        raise BadRequest(f"the query of the URL cannot be read: {error}") from None
    query: dict[str, str] = {}
    for name, value in pairs:
        query.setdefault(name, value)
    return query


async def _send_response(response: Response, head: bool, send: Send) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"no-cache, private"),
        *((name.encode(), value.encode()) for name, value in response.headers),
    ]
    await send({"type": "http.response.start", "status": response.code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})


async def _send_stream(stream: Stream, receive: Receive, send: Send) -> None:
    """Send the chunks of a stream until it ends or the client goes."""
    headers = [(b"content-type", (stream.content_type or JSON).encode()), (b"cache-control", b"no-cache, private")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sending = asyncio.create_task(_send_chunks(stream, send))
    leaving = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        for task in (sending, leaving):
            with contextlib.suppress(asyncio.CancelledError):
                await task
    await send({"type": "http.response.body", "body": b""})


async def _send_chunks(stream: Stream, send: Send) -> None:
    async with contextlib.aclosing(stream.chunks) as chunks:
        async for chunk in chunks:
            if chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
