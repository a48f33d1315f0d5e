"""The ASGI application: finds the route, decodes, authenticates, calls the handler, encodes; one table of errors."""

import logging
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pdk.base import errors as categories
from pdk.determined.api import (
    checkpoints,
    cluster,
    errors,
    experiments,
    harness,
    identity,
    logs,
    models,
    trials,
    workspaces,
)
from pdk.determined.api.call import RestCall, camel_case
from pdk.determined.api.waiting import Engines
from pdk.determined.errors import CallNotServed, InvalidRequest, NoSuchThing, NotAllowed, NotLoggedIn
from pdk.determined.master.users import Caller
from pdk.web import json_text
from pdk.web.answers import Stream, json_answer, on_threads
from pdk.web.hosts import is_local_name
from pdk.web.requests import BodyTooLarge, ClientGone, raw_path_of, read_body
from pdk.web.routing import Kind, Route, Router, routes_of, segments_of

logger = logging.getLogger(__name__)

TASK_TOKEN_HEADER = "grpc-metadata-x-allocation-token"
AUTH_COOKIE = "auth"
# Digits of an integer; no float holds more.
MAX_DIGITS = 300
# What is said about a body that is no JSON the original reads.
FAULTS = {json_text.Fault.RANGE: "{} is too large", json_text.Fault.CONSTANT: "{} is no JSON"}
# The handlers of every route, by their title in the compatibility page.
HANDLERS: dict[str, ModuleType] = {
    "Master, logins and users": identity,
    "Experiments": experiments,
    "Trials": trials,
    "What the harness of a trial calls": harness,
    "Checkpoints": checkpoints,
    "Model registry": models,
    "Workspaces and projects": workspaces,
    "Agents, resource pools and tasks": cluster,
    "Logs": logs,
}


class Application:
    """Serves the routes of one master; `loopback`: it can only be reached from this machine."""

    def __init__(self, engines: Engines, loopback: bool) -> None:
        self._engines = engines
        self._router = Router(routes_of(*HANDLERS.values()))
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other protocols are refused."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} connections are not served")
        raw_path = raw_path_of(scope)
        path = raw_path.decode("latin-1")
        try:
            response = await self._respond(scope, raw_path, receive)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the one place where errors become answers
            response = failure(error, path)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, raw_path: bytes, receive: Receive) -> Response:
        headers = Headers(scope=scope)
        if self._loopback and not is_local_name(headers.get("host", "")):
            raise NotAllowed("this master listens on this machine only: call it by 127.0.0.1 or localhost")
        found = self._router.match(scope["method"], segments_of(raw_path, "replace"))
        if found is None:
            raise unknown_route(scope["method"], raw_path.decode("latin-1"))
        route, parameters = found
        try:
            body = await read_body(receive, headers, route.max_body)
        except BodyTooLarge as error:
            raise InvalidRequest(f"the request body is larger than {route.max_body} bytes") from error
        token = token_of(headers)

        def prepare() -> RestCall:
            identity = None if route.public else self._authenticate(token)
            return decode(scope, headers, parameters, token, identity, body)

        if route.kind in (Kind.PLAIN, Kind.FILE):
            return await self._engines.run(lambda: self._answer(route, prepare()))
        call = await self._engines.run(prepare)
        if route.kind is Kind.POLL:
            return json_answer(await route.handler(self._engines, call))
        return await self._stream(route, call)

    def _authenticate(self, token: str) -> Caller:
        if not token:
            raise NotLoggedIn("token missing")
        return self._engines.master.users.authenticate(token)

    def _answer(self, route: Route, call: RestCall) -> Response:
        answer = route.handler(self._engines.master, call)
        if route.kind is Kind.PLAIN:
            # A call whose answer says nothing has a handler that returns nothing.
            return json_answer({} if answer is None else answer)
        media_type, name, content = answer
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Stream(on_threads(self._engines.pool, content), media_type=media_type, headers=disposition)

    async def _stream(self, route: Route, call: RestCall) -> Response:
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

        return Stream(lines(), media_type="application/json")


def decode(
    scope: Scope, headers: Headers, parameters: dict[str, str], token: str, identity: Caller | None, body: bytes
) -> RestCall:
    """Turn a request into a RestCall; the body is JSON whatever its Content-Type says."""
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        query.setdefault(camel_case(name), []).append(value)
    value = json_of(body)
    return RestCall(parameters, query, value, token, headers.get("accept", ""), identity)


def json_of(body: bytes) -> Any:
    """Decode a request body; raises InvalidRequest when it is no JSON or holds halves of characters."""
    try:
        return json_text.parse(body, max_digits=MAX_DIGITS) if body.strip() else None
    except json_text.UnsafeJson as error:
        raise InvalidRequest(
            f"the request body is not JSON: {FAULTS.get(error.fault, '{}').format(error.text)}"
        ) from error


def token_of(headers: Headers) -> str:
    """Return the token of a request: of a user, of a task, or from the cookie; "" when there is none."""
    for name in (TASK_TOKEN_HEADER, "authorization"):
        kind, _, token = headers.get(name, "").partition(" ")
        if kind.lower() == "bearer" and token:
            return token.strip()
    return cookie_parser(headers.get("cookie", "")).get(AUTH_COOKIE, "")


def unknown_route(method: str, path: str) -> categories.PdkError:
    """Return the error for a request nothing answers."""
    if f"{path}/".startswith(errors.GATEWAY_PREFIX):
        return CallNotServed(f"{method} {path} is not available on this master")
    return NoSuchThing("Not Found")


def failure(error: Exception, path: str) -> Response:
    """Return the answer to a request that failed."""
    report(error, path)
    return json_answer(errors.body_of(error, path), errors.status_of(error).http)


def report(error: Exception, path: str) -> None:
    """Log what is a fault of the server; what clients do wrong is told to them only."""
    if not isinstance(error, categories.PdkError):
        logger.error("%s failed", path, exc_info=error)


def line_of(content: Any) -> bytes:
    """Return one line of a stream; JSON has no newlines of its own, so there are no blank lines."""
    return json_text.compact(content) + b"\n"
