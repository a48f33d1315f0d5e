"""Routes: told to a handler by a decorator, found by method and path.

    @route("GET", "/api/v1/trials/{trialId}", about="one trial")
    def get_trial(master: Master, call: Call) -> JSON: ...

    router = Router(routes_of(trials, logs))                      # modules, or objects with decorated methods
    router.match("GET", segments_of(b"/api/v1/trials/7"))         # (the route, {"trialId": "7"})

Paths are cut into segments before they are unquoted, so a quoted slash stays inside its segment; a literal segment wins
over a parameter (`/trials/metrics/...` before `/trials/{trialId}`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)

MEGABYTE = 1024 * 1024
PARAMETER = "{}"
# The attribute of a handler that keeps its routes.
ROUTES = "__routes__"


class Kind(StrEnum):
    """What a handler is: it runs in a worker thread, it awaits, it yields answers, it returns a file."""

    PLAIN = "plain"
    POLL = "poll"
    STREAM = "stream"
    FILE = "file"


@dataclass(frozen=True)
class Route:
    """One route of a handler.

    `about` and `partial` (what is missing) go into the compatibility page; who calls a `public` one need not say who
    they are; `max_body` is in bytes.
    """

    method: str
    path: str
    handler: Handler
    about: str = ""
    kind: Kind = Kind.PLAIN
    public: bool = False
    partial: str = ""
    max_body: int = 32 * MEGABYTE

    @property
    def segments(self) -> list[str]:
        """The path cut at its slashes."""
        return self.path.strip("/").split("/")


def route(method: str, path: str, **properties: Any) -> Callable[[H], H]:
    """Return the decorator that gives a handler one more route; `properties` are the other fields of `Route`."""

    def decorate(handler: H) -> H:
        # Decorators apply from the bottom up; the routes stay in the order they are read in.
        setattr(handler, ROUTES, [Route(method, path, handler, **properties), *getattr(handler, ROUTES, [])])
        return handler

    return decorate


def routes_of(*owners: object) -> list[Route]:
    """Return the routes of the handlers of modules or objects, in the order of their definition."""
    return [
        replace(each, handler=getattr(owner, name))
        for owner in owners
        for name, member in vars(owner if isinstance(owner, ModuleType) else type(owner)).items()
        for each in getattr(member, ROUTES, ())
    ]


def segments_of(raw_path: bytes, errors: str = "strict") -> list[str]:
    """Return the unquoted segments of a path as it was sent; slashes at its ends leave no empty ones.

    Raises UnicodeDecodeError for one that is not UTF-8, unless `errors` is "replace".
    """
    path = raw_path.strip(b"/")
    return [unquote_to_bytes(segment).decode("utf-8", errors) for segment in path.split(b"/")] if path else []


@dataclass
class _Node:
    """What follows one segment: the routes that end here, by method, and the segments that may come next."""

    routes: dict[str, Route] = field(default_factory=dict)
    below: "dict[str, _Node]" = field(default_factory=dict)


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises ValueError when two routes would answer the same request."""
        self._root = _Node()
        self._methods: set[str] = set()
        for each in routes:
            node = self._root
            for segment in each.segments:
                node = node.below.setdefault(PARAMETER if segment.startswith("{") else segment, _Node())
            if each.method in node.routes:
                raise ValueError(f"two routes for {each.method} {each.path}")
            node.routes[each.method] = each
            self._methods.add(each.method)

    def match(self, method: str, segments: Sequence[str]) -> tuple[Route, dict[str, str]] | None:
        """Return the route and its path parameters, None when there is none."""
        found = _find(self._root, segments, method)
        if found is None:
            return None
        names = zip(found.segments, segments, strict=True)
        return found, {name[1:-1]: value for name, value in names if name.startswith("{")}

    def methods(self, segments: Sequence[str]) -> set[str]:
        """Return the methods a path has routes for."""
        return {method for method in self._methods if _find(self._root, segments, method) is not None}


def _find(node: _Node, segments: Sequence[str], method: str) -> Route | None:
    if not segments:
        return node.routes.get(method)
    for name in (segments[0], PARAMETER):
        below = node.below.get(name)
        if below is not None and (found := _find(below, segments[1:], method)) is not None:
            return found
    return None
