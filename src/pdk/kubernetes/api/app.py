"""The API server as an ASGI application: reads a request, finds out who sent it, lets the router answer.

Run by `server.py`. Handlers work on threads, because the object store blocks; streams (watches, followed logs) run on
the event loop. No answer ever carries a traceback.
"""

import asyncio
import logging
from concurrent.futures import Executor
from dataclasses import replace
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pdk.base.errors import PdkError
from pdk.kubernetes.api.authentication import Authenticator
from pdk.kubernetes.api.bodies import BODY_LIMIT
from pdk.kubernetes.api.http import Request, json_response
from pdk.kubernetes.api.router import KubernetesRoutes
from pdk.kubernetes.api.status import failure, failure_status
from pdk.kubernetes.errors import BadRequest, Reason, RequestTooLarge
from pdk.web.requests import BodyTooLarge, ClientGone, raw_path_of, read_body
from pdk.web.routing import segments_of

logger = logging.getLogger(__name__)

# Query parameters of a request.
QUERY_LIMIT = 200
# Headers that go with the code of a failure; after a 413 the rest of the body is not worth reading.
FAILURE_HEADERS = {
    401: [("WWW-Authenticate", "Bearer")],
    413: [("Connection", "close")],
    429: [("Retry-After", "1")],
}


class KubernetesApp:
    """One ASGI 3 application."""

    def __init__(self, routes: KubernetesRoutes, authenticator: Authenticator, threads: Executor) -> None:
        self._routes = routes
        self._authenticator = authenticator
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"cannot serve {scope['type']}")
        try:
            request = await self._request(scope, receive)
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, request)
        except ClientGone:
            return
        except PdkError as error:
            answer = _failure(error)
        await answer(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive) -> Request:
        headers = Headers(scope=scope)
        try:
            body = await read_body(receive, headers, BODY_LIMIT)
            segments = segments_of(raw_path_of(scope))
        except BodyTooLarge:
            raise RequestTooLarge(f"Request entity too large: limit is {BODY_LIMIT}") from None
        except UnicodeDecodeError:
            raise BadRequest("the path of the URL is not UTF-8") from None
        request = Request(scope["method"], tuple(segments), _query(scope["query_string"]), headers, body)
        if self._routes.is_public(request):
            return request
        certificate = scope.get("extensions", {}).get("peer_certificate")
        return replace(request, user=self._authenticator.user(headers, certificate))

    def _answer(self, request: Request) -> Response:
        try:
            return self._routes.dispatch(request)
        except PdkError as error:
            return _failure(error)
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path)
            message = f"Internal error occurred: {type(error).__name__}; the server's log has the details"
            return json_response(failure_status(message, Reason.INTERNAL_ERROR), 500)


def _failure(error: PdkError) -> Response:
    status = failure(error)
    return json_response(status, status["code"], FAILURE_HEADERS.get(status["code"], ()))


def _query(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=QUERY_LIMIT)
    except ValueError as error:
        raise BadRequest(f"the query of the URL cannot be read: {error}") from None
    # The first of several values counts.
    return dict(reversed(pairs))
