"""The gateway: which revision a request goes to, and KServe's V1 protocol around TorchServe.

A service is found by Host header, or by the path `/serving/{namespace}/{name}/...`. V1 readiness and metadata are
answered from the routing table (TorchServe has them on its management port only), predictions go to TorchServe, and its
answers come back in KServe's shape: JSON content type, `{"error": ...}` with a status that tells a client's fault from
ours.
`/predictions/{model}` keeps TorchServe's own shape.
"""

import re
import time
import uuid
from collections.abc import Callable

from pdk.kserve.ingress import v1_body
from pdk.kserve.ingress.messages import (
    HOP_BY_HOP,
    JSON_TYPE,
    ClientAnswer,
    ClientRequest,
    HeaderPairs,
    IngressLimits,
    encode_request,
    error_answer,
    json_answer,
)
from pdk.kserve.ingress.translation import Asked, as_text, translate
from pdk.kserve.ingress.upstream import (
    BrokenUpstream,
    ConnectFailed,
    ResponseTooLarge,
    UpstreamPool,
    UpstreamResponse,
)
from pdk.kserve.predictor.routes import Backend, Busy, ServiceRoute, ServiceRoutes

PATH_PREFIX = re.compile(r"/serving/([^/]+)/([^/]+)(/.*)?")
V1_MODEL = re.compile(r"/v1/models/([^/:]+)(?::(predict|explain))?")
NATIVE = re.compile(r"/predictions/([^/]+)(/[^/]+)?")
REQUEST_ID = re.compile(rb"[!-~]{1,128}")
# Control characters, line ends first of all, and what Latin-1 does not have.
NOT_IN_HEADERS = re.compile(r"[^ -~\xa0-\xff]+")
SHOWN_HOSTS = 20
DROPPED_REQUEST_HEADERS = HOP_BY_HOP | {b"host", b"content-type", b"x-request-id", b"accept-encoding"}


class Gateway:
    """Answers one request at a time per call; calls run concurrently on one event loop."""

    def __init__(self, routes: ServiceRoutes, pool: UpstreamPool, limits: IngressLimits) -> None:
        self._routes = routes
        self._pool = pool
        self._limits = limits

    async def handle(self, request: ClientRequest) -> ClientAnswer:
        """ClientAnswer `request`; never raises but on cancellation."""
        route, path = self._find(request)
        if route is None:
            answer = self._unknown(request, path)
        elif path == "/" or path == "":
            answer = _only_get(request, lambda: json_answer(200, {"status": "alive"}))
        elif path == "/v1/models":
            answer = _only_get(request, lambda: json_answer(200, {"models": sorted(_models(route))}))
        elif match := V1_MODEL.fullmatch(path):
            answer = await self._v1(request, route, match[1], match[2])
        elif match := NATIVE.fullmatch(path):
            answer = await self._forward(request, route, match[1], (match[2] or "").encode("ascii", "ignore"), None)
        elif path == "/v2" or path.startswith("/v2/"):
            answer = error_answer(
                501, "the Open Inference Protocol (V2) is not implemented: use /v1/models/{model}:predict"
            )
        else:
            answer = error_answer(404, f"no such path: {path}; V1 has /, /v1/models, /v1/models/{{model}}[:predict]")
        return self._sign(request, route, answer)

    def _find(self, request: ClientRequest) -> tuple[ServiceRoute | None, str]:
        match = PATH_PREFIX.fullmatch(request.path)
        if match:
            return self._routes.get(f"{match[1]}/{match[2]}"), match[3] or "/"
        return self._routes.by_host(request.header(b"host").decode("latin-1")), request.path

    def _unknown(self, request: ClientRequest, path: str) -> ClientAnswer:
        if request.path in ("/healthz", "/readyz", "/livez"):
            return ClientAnswer(200, b"ok", content_type=b"text/plain")
        hosts = self._routes.known_hosts()
        more = f" and {len(hosts) - SHOWN_HOSTS} more" if len(hosts) > SHOWN_HOSTS else ""
        known = ", ".join(hosts[:SHOWN_HOSTS]) + more if hosts else "none"
        match = PATH_PREFIX.fullmatch(request.path)
        wanted = f"path /serving/{match[1]}/{match[2]}" if match else f"host {as_text(request.header(b'host'))!r}"
        return error_answer(404, f"no InferenceService answers for {wanted}; known hosts: {known}")

    async def _v1(self, request: ClientRequest, route: ServiceRoute, model: str, verb: str | None) -> ClientAnswer:
        if model not in _models(route) and _models(route):
            return error_answer(404, f"Model with name {model} does not exist.")
        if verb is None:
            ready = any(model in backend.models for backend, _ in route.targets)
            if not ready:
                return _not_ready(route)
            return _only_get(request, lambda: json_answer(200, {"name": model, "ready": True}))
        if request.method != "POST":
            return _method_not_allowed(b"POST")
        return await self._forward(request, route, model, b"", verb)

    async def _forward(
        self, request: ClientRequest, route: ServiceRoute, model: str, version: bytes, verb: str | None
    ) -> ClientAnswer:
        backend = self._routes.acquire(route.key)
        if backend is None or isinstance(backend, ServiceRoute):
            return _not_ready(backend or route)
        if isinstance(backend, Busy):
            return error_answer(503, f"revision {backend.revision} is at its containerConcurrency; try again", 1)
        try:
            return await self._ask(request, backend, model, version, verb)
        except ConnectFailed as error:
            self._routes.report_unreachable(route.key)
            return _of(backend, error_answer(503, f"{error}; it is being restarted", 1))
        finally:
            self._routes.release(backend)

    async def _ask(
        self, request: ClientRequest, backend: Backend, model: str, version: bytes, verb: str | None
    ) -> ClientAnswer:
        if model not in backend.models:
            return _of(backend, error_answer(404, f"Model with name {model} does not exist."))
        if len(request.body) > backend.max_request_bytes:
            text = f"the request body has {len(request.body)} bytes; revision {backend.revision} takes at most "
            return _of(backend, error_answer(413, text + f"{backend.max_request_bytes} (max_request_size)"))
        form = v1_body.is_form(request.header(b"content-type"))
        as_json = verb is not None and not form
        if as_json and (problem := v1_body.problem(request.body)):
            return _of(backend, error_answer(400, problem))
        asked = None if verb is None else Asked(backend, request.body, form, time.time())
        headers = _request_headers(request, backend, as_json)
        data = encode_request(request.method, _target(request, model, version, verb), headers, request.body)
        try:
            response = await self._pool.request(backend, data)
        except ResponseTooLarge as error:
            return _of(backend, error_answer(502, str(error)))
        except BrokenUpstream as error:
            return _of(
                backend, error_answer(502, f"{error} (revision {backend.revision}); the request was not repeated")
            )
        except TimeoutError:
            seconds = f"{backend.response_timeout:g}"
            return _of(backend, error_answer(504, f"revision {backend.revision} did not answer within {seconds} s"))
        return _of(backend, translate(response, asked), response)

    def _sign(self, request: ClientRequest, route: ServiceRoute | None, answer: ClientAnswer) -> ClientAnswer:
        names = {name for name, _ in answer.headers}
        given = request.header(b"x-request-id")
        if REQUEST_ID.fullmatch(given):
            answer.headers = [pair for pair in answer.headers if pair[0] != b"x-request-id"]
            answer.headers.append((b"x-request-id", given))
        elif b"x-request-id" not in names:
            answer.headers.append((b"x-request-id", str(uuid.uuid4()).encode()))
        # A 503 without one is nobody's answer: the share of a stable revision that is being restarted.
        if route is not None and route.targets and b"x-pdk-revision" not in names and answer.status != 503:
            answer.headers.extend(_version_headers(route.targets[0][0]))
        return answer


def _models(route: ServiceRoute) -> set[str]:
    return {model for backend, _ in route.targets for model in backend.models} or set(route.models)


def _not_ready(route: ServiceRoute) -> ClientAnswer:
    return error_answer(503, f"InferenceService {route.key} is not ready: {route.reason}", retry_after=2)


def _only_get(request: ClientRequest, answer: Callable[[], ClientAnswer]) -> ClientAnswer:
    return answer() if request.method in ("GET", "HEAD") else _method_not_allowed(b"GET")


def _method_not_allowed(allowed: bytes) -> ClientAnswer:
    answer = error_answer(405, f"method not allowed: use {allowed.decode()}")
    answer.headers.append((b"allow", allowed))
    return answer


def _target(request: ClientRequest, model: str, version: bytes, verb: str | None) -> bytes:
    """Rebuild the path from checked parts; only the native one takes a query (it is input to the handler)."""
    if verb is not None:
        return f"/v1/models/{model}:{verb}".encode()
    return f"/predictions/{model}".encode() + version + (b"?" + request.query if request.query else b"")


def _request_headers(request: ClientRequest, backend: Backend, as_json: bool) -> HeaderPairs:
    headers = [pair for pair in request.headers if pair[0] not in DROPPED_REQUEST_HEADERS]
    # TorchServe parses a body as JSON by its type only, and `curl -d` says it is a form.
    content_type = JSON_TYPE if as_json else request.header(b"content-type")
    if content_type:
        headers.append((b"content-type", content_type))
    headers.append((b"host", f"{backend.host}:{backend.port}".encode()))
    return headers


def _version_headers(backend: Backend) -> HeaderPairs:
    pairs = (("x-pdk-revision", backend.revision), *backend.headers)
    # Annotations hold any text; a line end in one would begin another header.
    return [(name.encode("ascii"), NOT_IN_HEADERS.sub("", value).strip().encode("latin-1")) for name, value in pairs]


def _of(backend: Backend, answer: ClientAnswer, response: UpstreamResponse | None = None) -> ClientAnswer:
    """Say which revision answered, and keep the id TorchServe gave the request: its log line has it."""
    answer.headers.extend(_version_headers(backend))
    if response is not None and response.header(b"x-request-id"):
        answer.headers.append((b"x-request-id", response.header(b"x-request-id")))
    return answer
