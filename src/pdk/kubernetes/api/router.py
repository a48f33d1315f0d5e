"""From a request to its answer: the table of URLs.

Called by `app.py` on a worker thread; what it returns is either a whole answer or a stream that the event loop then runs.
"""

from pdk.kubernetes.api.discovery import Discovery
from pdk.kubernetes.api.http import Answer, Request, Response
from pdk.kubernetes.api.log_streams import LogStreams
from pdk.kubernetes.api.objects import ObjectHandlers
from pdk.kubernetes.api.openapi import OpenApi
from pdk.kubernetes.api.reviews import Reviews
from pdk.kubernetes.api.routes import Route, parse_route
from pdk.kubernetes.api.watches import Watches
from pdk.kubernetes.errors import MethodNotAllowed, NotServed, PathNotFound
from pdk.kubernetes.kinds.resource import Resources

HEALTH = frozenset({"healthz", "livez", "readyz"})
# Paths everybody may read, as system:public-info-viewer.
PUBLIC = HEALTH | {"version"}
# Subresources the original has and this server does not.
NOT_SERVED = frozenset(
    {"attach", "binding", "ephemeralcontainers", "eviction", "exec", "portforward", "proxy", "token", "scale"}
)


class Router:
    """Finds the handler of a request."""

    def __init__(self, resources: Resources, objects: ObjectHandlers, watches: Watches, logs: LogStreams) -> None:
        self._resources = resources
        self._objects = objects
        self._watches = watches
        self._logs = logs
        self._discovery = Discovery(resources)
        self._openapi = OpenApi(resources)
        self._reviews = Reviews(resources)

    @staticmethod
    def is_public(request: Request) -> bool:
        """Tell whether a request needs no credentials."""
        return request.method == "GET" and len(request.segments) in (1, 2) and request.segments[0] in PUBLIC

    def dispatch(self, request: Request) -> Answer:
        """Answer a request. Raises PathNotFound, MethodNotAllowed and whatever the handlers raise."""
        match request.segments:
            case () | ("api", _, _, *_) | ("apis", _, _, _, *_):
                return self._object(request)
            case (name, *rest) if name in HEALTH and len(rest) < 2:
                _only(request, "GET", "HEAD")
                return Response(200, b"ok", "text/plain")
            case _:
                _only(request, "GET", "HEAD")
                return self._document(request)

    def _document(self, request: Request) -> Response:
        match request.segments:
            case ("version",):
                return self._discovery.version()
            case ("api",):
                return self._discovery.core(request)
            case ("apis",):
                return self._discovery.groups(request)
            case ("api", version):
                return self._discovery.resources("", version)
            case ("apis", group):
                return self._discovery.group(group)
            case ("apis", group, version):
                return self._discovery.resources(group, version)
            case ("openapi", "v2"):
                return self._openapi.version_2()
            case ("openapi", "v3"):
                return self._openapi.index()
            case ("openapi", "v3", *rest):
                return self._openapi.document(tuple(rest))
        raise PathNotFound

    def _object(self, request: Request) -> Answer:
        if self._reviews.is_review(request.segments):
            _only(request, "POST")
            return self._reviews.create(request)
        route = parse_route(self._resources, request.segments)
        if route.subresource:
            return self._subresource(route, request)
        if request.method in ("GET", "HEAD"):
            if request.flag("watch"):
                return self._watches.watch(route, request)
            return self._objects.get(route, request) if route.name else self._objects.list(route, request)
        handlers = (
            {"PUT": self._objects.update, "PATCH": self._objects.patch, "DELETE": self._objects.delete}
            if route.name
            else {"POST": self._objects.create, "DELETE": self._objects.delete_collection}
        )
        _only(request, *handlers)
        return handlers[request.method](route, request)

    def _subresource(self, route: Route, request: Request) -> Answer:
        if route.subresource == "status" and route.resource.has_status:
            handlers = {"GET": self._objects.get, "PUT": self._objects.update, "PATCH": self._objects.patch}
            _only(request, *handlers)
            return handlers[request.method](route, request)
        if route.subresource == "log" and route.resource.has_log:
            _only(request, "GET")
            return self._logs.log(route, request)
        if route.subresource in NOT_SERVED:
            raise NotServed(f"{route.resource.plural}/{route.subresource} is not implemented by this server")
        raise PathNotFound


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
