"""The ASGI application: finds the route, decodes, authenticates, calls the handler, encodes; errors through one table."""

import ipaddress
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pdk.base import errors as categories
from pdk.determined.api import errors
from pdk.determined.api.call import Call, camel_case
from pdk.determined.api.routing import Route, Router
from pdk.determined.api.waiting import Engines
from pdk.determined.errors import BadRequest, NoSuchThing, NotAllowed, NotLoggedIn, NotServed
from pdk.determined.master.users import Identity

logger = logging.getLogger(__name__)

TASK_TOKEN_HEADER = "grpc-metadata-x-allocation-token"
AUTH_COOKIE = "auth"
MAX_DIGITS = 300
LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Application:
    """Serves the routes of one master; `loopback`: it can only be reached from this machine."""

    def __init__(self, engines: Engines, router: Router, loopback: bool) -> None:
        self._engines = engines
        self._router = router
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other protocols are refused."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} connections are not served")
        path = raw_path(scope)
        try:
            response = await self._respond(scope, path, receive)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the one place where errors become answers
            response = failure(error, path)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, path: str, receive: Receive) -> Response:
        if self._loopback and not is_local_name(Headers(scope=scope).get("host", "")):
            raise NotAllowed("this master listens on this machine only: call it by 127.0.0.1 or localhost")
        found = self._router.match(scope["method"], path)
        if found is None:
            raise unknown_route(scope["method"], path)
        route, parameters = found
        headers = Headers(scope=scope)
        body = await read_body(receive, headers, route.max_body)
        token = token_of(headers)

        def prepare() -> Call:
            identity = None if route.public else self._authenticate(token)
            return decode(scope, headers, parameters, token, identity, body)

        if route.kind in ("plain", "raw"):
            return await self._engines.run(lambda: self._answer(route, prepare()))
        call = await self._engines.run(prepare)
        if route.kind == "poll":
            return json_response(await route.handler(self._engines, call))
        return await self._stream(route, call)

    def _authenticate(self, token: str) -> Identity:
        if not token:
            raise NotLoggedIn("token missing")
        return self._engines.master.users.authenticate(token)

    def _answer(self, route: Route, call: Call) -> Response:
        answer = route.handler(self._engines.master, call)
        if route.kind == "plain":
            return json_response(answer)
        media_type, name, content = answer
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(self._chunks(content), media_type=media_type, headers=disposition)

    async def _chunks(self, content: Iterator[bytes]) -> AsyncIterator[bytes]:
        try:
            while (chunk := await self._engines.run(next, content, None)) is not None:
                yield chunk
        finally:
            close = getattr(content, "close", None)
            if close is not None:
                close()

    async def _stream(self, route: Route, call: Call) -> Response:
        """Answer line by line; what goes wrong before the first line is an ordinary error."""
        answers: AsyncIterator[Any] = route.handler(self._engines, call)
        first = await anext(answers, None)

        async def lines() -> AsyncIterator[bytes]:
            try:
                if first is not None:
                    yield line_of({"result": first})
                    async for answer in answers:
                        yield line_of({"result": answer})
            except Exception as error:  # noqa: BLE001 - the status was sent: the error becomes the last line
                report(error, "stream")
                yield line_of(errors.stream_error(error))

        return StreamingResponse(lines(), media_type="application/json")


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """Read the request body; raises BadRequest when it is larger than `limit` bytes, ClientGone."""
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise BadRequest(f"the request body is larger than {limit} bytes")
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BadRequest(f"the request body is larger than {limit} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def decode(
    scope: Scope, headers: Headers, parameters: dict[str, str], token: str, identity: Identity | None, body: bytes
) -> Call:
    """Turn a request into a Call; the body is JSON whatever its Content-Type says."""
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        query.setdefault(camel_case(name), []).append(value)
    value = json_of(body)
    return Call(parameters, query, value, token, headers.get("accept", ""), identity)


def finite_float(text: str) -> float:
    """Return a JSON number as a float; raises ValueError for one too large (the original refuses those too)."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large")
    return value


def bounded_int(text: str) -> int:
    """Return a JSON number as an int; raises ValueError for one no float can hold."""
    if len(text) > MAX_DIGITS:
        raise ValueError(f"{text[:40]}... is too large")
    return int(text)


def no_constant(text: str) -> float:
    """Refuse NaN and the infinities, which JSON has not (the clients send them as text)."""
    raise ValueError(f"{text} is no JSON")


DECODER = json.JSONDecoder(parse_float=finite_float, parse_int=bounded_int, parse_constant=no_constant)


def json_of(body: bytes) -> Any:
    """Decode a request body; raises BadRequest when it is no JSON or holds halves of characters."""
    try:
        value = DECODER.decode(body.decode()) if body.strip() else None
        if LONE_SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the request body is not JSON: {error}") from error
    return value


def token_of(headers: Headers) -> str:
    """Return the token of a request: of a user, of a task, or from the cookie; "" when there is none."""
    for name in (TASK_TOKEN_HEADER, "authorization"):
        kind, _, token = headers.get(name, "").partition(" ")
        if kind.lower() == "bearer" and token:
            return token.strip()
    return cookie_parser(headers.get("cookie", "")).get(AUTH_COOKIE, "")


def is_local_name(host: str) -> bool:
    """Tell whether a Host header can name this machine: an address, localhost, or a name without dots.

    A web page whose own host name is made to point at 127.0.0.1 (DNS rebinding) could otherwise log in with the blank
    passwords of the first-run users.
    """
    name = host.rpartition("]")[0].lstrip("[") or host.partition(":")[0]
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def raw_path(scope: Scope) -> str:
    """Return the path as it was sent, still quoted."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return str(raw.decode("latin-1").partition("?")[0])


def unknown_route(method: str, path: str) -> categories.PdkError:
    """Return the error for a request nothing answers."""
    if f"{path}/".startswith(errors.GATEWAY_PREFIX):
        return NotServed(f"{method} {path} is not available on this master")
    return NoSuchThing("Not Found")


def failure(error: Exception, path: str) -> Response:
    """Return the answer to a request that failed."""
    report(error, path)
    return json_response(errors.body_of(error, path), errors.status_of(error).http)


def report(error: Exception, path: str) -> None:
    """Log what is a fault of the server; what clients do wrong is told to them only."""
    if not isinstance(error, categories.PdkError):
        logger.error("%s failed", path, exc_info=error)


def json_response(content: Any, status: int = 200) -> Response:
    """Return a JSON answer; NaN would be a fault of an encoder."""
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return Response(data, status, media_type="application/json")


def line_of(content: Any) -> bytes:
    """Return one line of a stream; JSON has no newlines of its own, so there are no blank lines."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"
