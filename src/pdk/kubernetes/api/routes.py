"""The URLs of resources: `{collection}` in the path of a handler's route stands for them, once for each resource.

Used by `router.py`, and by the OpenAPI documents, which name the same paths.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pdk.kubernetes.kinds.resource import Resource
from pdk.web.routing import Route

COLLECTION = "{collection}"


@dataclass(frozen=True)
class Target:
    """What a path names; an empty string where it names nothing."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def collection_path(resource: Resource) -> str:
    """Return the path of a resource's objects, with `{namespace}` when it has any."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    return f"{root}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{root}/{resource.plural}"


def resource_routes(resource: Resource, handlers: list[Route]) -> Iterator[Route]:
    """Yield the routes of one resource: a handler's route with its paths, the subresources it has not left out.

    An object of a namespaced kind is only reached through its namespace, a cluster-wide one never through one.
    """
    subresources = {"": True, "status": resource.has_status, "log": resource.has_log}
    collection = collection_path(resource)
    for each in handlers:
        subresource = each.path.partition("/{name}/")[2]
        if not subresources[subresource]:
            continue
        paths = {each.path.replace(COLLECTION, collection)}
        if each.path == COLLECTION:
            paths.add(collection.replace("/namespaces/{namespace}", ""))
        for path in paths:
            yield replace(each, path=path, handler=_on(each.handler, resource, subresource))


def _on(handler: Callable[..., Any], resource: Resource, subresource: str) -> Callable[..., Any]:
    def answer(request: Any, namespace: str = "", name: str = "") -> Any:
        return handler(Target(resource, namespace, name, subresource), request)

    return answer
