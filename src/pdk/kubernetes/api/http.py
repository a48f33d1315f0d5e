"""Requests as the handlers see them, what every handler needs to read from a URL, and the answers they give.

Built by `app.py` from ASGI messages; nothing below it knows about ASGI or sockets.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from pdk.kubernetes.errors import BadRequest
from pdk.web.answers import JSON_TYPE, Stream
from pdk.web.json_text import compact

CACHING = {"cache-control": "no-cache, private"}


@dataclass(frozen=True)
class UserInfo:
    """Who is calling, as `kubectl auth whoami` shows it."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One HTTP request with its body; header names are lower case, of a query parameter the first value counts.

    `segments` is the path, split at its slashes and decoded; a trailing slash leaves no empty segment.
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: UserInfo = UserInfo("system:anonymous", ("system:unauthenticated",))

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
        """Read an integer query parameter, None when it is absent or empty. Raises BadRequest for no number."""
        text = self.query.get(name, "")
        if not text:
            return None
        if not text.removeprefix("-").isdecimal() or len(text) > 18:
            raise BadRequest(f'strconv.ParseInt: parsing "{text[:40]}": invalid syntax (query parameter {name})')
        return int(text)


def json_response(obj: Any, code: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Return an object as a JSON answer."""
    return response(encode(obj), JSON_TYPE, code, headers)


def response(body: bytes, content_type: str, code: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Return a whole answer; `headers` may name one several times."""
    answer = Response(body, code, {"content-type": content_type, **CACHING})
    for name, value in headers:
        answer.headers.append(name, value)
    return answer


def stream_response(chunks: AsyncGenerator[bytes, None], content_type: str = JSON_TYPE) -> Stream:
    """Return an answer whose end is not known when it starts: a watch, a followed log."""
    return Stream(chunks, headers={"content-type": content_type, **CACHING})


def encode(obj: Any) -> bytes:
    """Return compact UTF-8 JSON."""
    return compact(obj, ascii_only=False)
