"""Requests and responses as the handlers see them, and what every handler needs to read from a URL.

Built by `app.py` from ASGI messages; nothing below it knows about ASGI or sockets.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pdk.kubernetes.errors import BadRequest

JSON = "application/json"


@dataclass(frozen=True)
class User:
    """Who is calling, as `kubectl auth whoami` shows it."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One HTTP request with its body; header names are lower case."""

    method: str
    segments: tuple[str, ...]
    """The path, split at its slashes and decoded; a trailing slash leaves no empty segment."""
    query: Mapping[str, str] = field(default_factory=dict)
    """The first value of each query parameter."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: User = User("system:anonymous", ("system:unauthenticated",))

    @property
    def path(self) -> str:
        """The decoded path, for messages."""
        return "/" + "/".join(self.segments)

    @property
    def content_type(self) -> str:
        """The media type of the body without its parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def accept(self) -> str:
        """What the client takes."""
        return self.headers.get("accept", "*/*")

    def flag(self, name: str) -> bool:
        """Read a boolean query parameter as the original does: present and neither `false` nor `0`."""
        return name in self.query and self.query[name].lower() not in ("false", "0")

    def number(self, name: str) -> int | None:
        """Read an integer query parameter, None when it is absent or empty; raise BadRequest when it is no number."""
        text = self.query.get(name, "")
        if not text:
            return None
        if not text.removeprefix("-").isdecimal() or len(text) > 18:
            raise BadRequest(f'strconv.ParseInt: parsing "{text[:40]}": invalid syntax (query parameter {name})')
        return int(text)


@dataclass(frozen=True)
class Response:
    """A complete answer."""

    code: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stream:
    """An answer whose end is not known when it starts: a watch, a followed log."""

    chunks: AsyncGenerator[bytes, None]
    content_type: str = JSON


Answer = Response | Stream


def json_response(obj: Any, code: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return an object as a JSON answer."""
    return Response(code, encode(obj), JSON, headers)


def encode(obj: Any) -> bytes:
    """Return compact UTF-8 JSON."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()
