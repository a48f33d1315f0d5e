"""Routes and how a request finds one.

Paths are matched segment by segment before they are unquoted, so a quoted slash stays inside its segment; a literal
segment wins over a parameter (`/trials/metrics/...` before `/trials/{trialId}`).
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote

from pdk.determined.api.call import Call
from pdk.determined.api.waiting import Engines
from pdk.determined.master.master import Master

JSON = dict[str, Any]
Plain: TypeAlias = Callable[[Master, Call], JSON]
Poll: TypeAlias = Callable[[Engines, Call], Any]
Stream: TypeAlias = Callable[[Engines, Call], AsyncIterator[JSON]]
Raw: TypeAlias = Callable[[Master, Call], Any]

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Route:
    """One route. `kind` says what the handler is: plain (runs in a worker thread), poll (awaits), stream, raw (a file).

    `about` and `partial` (what is missing) go into the compatibility page. `max_body` in bytes.
    """

    method: str
    path: str
    handler: Any
    about: str
    kind: Literal["plain", "poll", "stream", "raw"] = "plain"
    public: bool = False
    partial: str = ""
    max_body: int = 32 * MEGABYTE

    @property
    def segments(self) -> list[str]:
        """The path cut at its slashes."""
        return self.path.strip("/").split("/")


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root: dict[str, Any] = {}
        for route in routes:
            node = self._root
            for segment in route.segments:
                node = node.setdefault("{}" if segment.startswith("{") else segment, {})
            key = f" {route.method}"
            if key in node:
                raise ValueError(f"two routes for {route.method} {route.path}")
            node[key] = route

    def match(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route and its path parameters, None when there is none."""
        segments = [unquote(segment) for segment in raw_path.strip("/").split("/")]
        route = _find(self._root, segments, f" {method}")
        if route is None:
            return None
        names = zip(route.segments, segments, strict=True)
        return route, {name[1:-1]: value for name, value in names if name.startswith("{")}


def _find(node: dict[str, Any], segments: list[str], key: str) -> Route | None:
    if not segments:
        route: Route | None = node.get(key)
        return route
    for name in (segments[0], "{}"):
        below = node.get(name) if not name.startswith(" ") else None
        if isinstance(below, dict) and (found := _find(below, segments[1:], key)) is not None:
            return found
    return None
