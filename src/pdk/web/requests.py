"""Reading requests: their path as it was sent, and their body within a limit."""

from starlette.datastructures import Headers
from starlette.types import Receive, Scope


class ClientGone(Exception):
    """The client closed the connection before its request was complete: nobody waits for an answer."""


class BodyTooLarge(Exception):
    """The body is over the limit; what is left of it is not read."""


def raw_path_of(scope: Scope) -> bytes:
    """Return the path as it was sent, still quoted, without the query."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0]


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """Return the body of a request.

    Raises BodyTooLarge as soon as the body is known to be over `limit` bytes, and ClientGone.
    """
    announced = headers.get("content-length", "0")
    size = int(announced) if announced.isdecimal() else 0
    parts: list[bytes] = []
    more = size <= limit
    size = size if size > limit else 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False) and size <= limit
    if size > limit:
        raise BodyTooLarge
    return b"".join(parts)
