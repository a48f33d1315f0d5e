"""Reads a URL path: which resource, namespace, object and subresource it names.

Called by `router.py` for everything under `/api/<version>` and `/apis/<group>/<version>`.
"""

from dataclasses import dataclass

from pdk.kubernetes.errors import PathNotFound
from pdk.kubernetes.kinds.resource import Resource, Resources


@dataclass(frozen=True)
class Route:
    """What a path names; an empty string where it names nothing."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_route(resources: Resources, segments: tuple[str, ...]) -> Route:
    """Return what the segments of a path name. Raises PathNotFound when this server has no such thing."""
    match segments:
        case ("api", version, *rest):
            group = ""
        case ("apis", group, version, *rest):
            pass
        case _:
            raise PathNotFound
    match rest:
        case ["namespaces", namespace, plural, *names] if resources.find(group, version, plural) or group:
            return _route(resources, (group, version, plural), namespace, names)
        case [plural, *names]:
            return _route(resources, (group, version, plural), "", names)
    raise PathNotFound


def _route(resources: Resources, what: tuple[str, str, str], namespace: str, names: list[str]) -> Route:
    resource = resources.find(*what)
    # An object of a namespaced kind is only reached through its namespace, a cluster-wide one never through one.
    misplaced = resource is not None and ((names and not namespace) if resource.namespaced else bool(namespace))
    if resource is None or misplaced or len(names) > 2 or "" in names:
        raise PathNotFound
    name, subresource = [*names, "", ""][:2]
    return Route(resource, namespace, name, subresource)
