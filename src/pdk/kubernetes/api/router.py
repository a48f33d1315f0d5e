"""From a request to its answer: the routes of the documents, and those of the verbs for every resource.

Called by `app.py` on a worker thread; what it returns is a whole answer or a stream that the event loop then runs.
"""

from starlette.responses import Response

from pdk.kubernetes.api.discovery import Discovery
from pdk.kubernetes.api.http import Request
from pdk.kubernetes.api.log_streams import LogStreams
from pdk.kubernetes.api.objects import ObjectHandlers
from pdk.kubernetes.api.openapi import OpenApi
from pdk.kubernetes.api.reviews import Reviews
from pdk.kubernetes.api.routes import resource_routes
from pdk.kubernetes.api.watches import Watches
from pdk.kubernetes.errors import MethodNotAllowed, NotServed, PathNotFound
from pdk.kubernetes.kinds.resource import Resources
from pdk.web.routing import Route, Router, routes_of

# Subresources the original has and this server does not.
NOT_SERVED = frozenset(
    {"attach", "binding", "ephemeralcontainers", "eviction", "exec", "portforward", "proxy", "token", "scale"}
)


class KubernetesRoutes:
    """Finds the handler of a request."""

    def __init__(self, resources: Resources, objects: ObjectHandlers, watches: Watches, logs: LogStreams) -> None:
        documents = routes_of(Discovery(resources), OpenApi(resources), Reviews(resources))
        verbs = routes_of(objects, watches, logs)
        of_resources = [each for resource in resources.served() for each in resource_routes(resource, verbs)]
        self._router = Router([*documents, *of_resources])

    def is_public(self, request: Request) -> bool:
        """Tell whether a request needs no credentials."""
        found = self._router.match(request.method, request.segments)
        return found is not None and found[0].public

    def dispatch(self, request: Request) -> Response:
        """Answer a request. Raises PathNotFound, MethodNotAllowed and whatever the handlers raise."""
        route, parameters = self._find(request)
        if "" in parameters.values():
            raise PathNotFound
        answer: Response = route.handler(request, **parameters)
        return answer

    def _find(self, request: Request) -> tuple[Route, dict[str, str]]:
        method = "GET" if request.method == "HEAD" else request.method
        found = self._router.match(method, request.segments)
        if method == "GET" and request.flag("watch"):
            found = self._router.match("WATCH", request.segments) or found
        if found is not None:
            return found
        if self._router.methods(request.segments):
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        *above, last = request.segments or ("",)
        above_found = self._router.match("GET", above)
        if last in NOT_SERVED and above_found is not None and "name" in above_found[1]:
            raise NotServed(f"{above[-2]}/{last} is not implemented by this server")
        raise PathNotFound
