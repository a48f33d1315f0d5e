"""HTTP messages of the ingress: a parsed request, an answer, and the bytes of both.

Used by the client side, the gateway logic and the upstream side of the ingress.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from pdk.web.listening import HEADER_LIMIT, IDLE_SECONDS

# Names in lower case.
HeaderPairs = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"content-length",
    }
)  # fmt: skip
JSON_TYPE = b"application/json"
PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(frozen=True)
class IngressLimits:
    """Bytes, seconds and counts the ingress allows; a client that exceeds one is answered and cut off."""

    max_header_bytes: int = HEADER_LIMIT
    # Of any request; a revision's own `max_request_size` may be lower.
    max_body_bytes: int = 64 * 1024 * 1024
    # Of all requests together.
    max_buffered_bytes: int = 512 * 1024 * 1024
    max_response_bytes: int = 256 * 1024 * 1024
    max_connections: int = 2000
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    idle_timeout: float = IDLE_SECONDS
    write_timeout: float = 60.0
    connect_timeout: float = 2.0


@dataclass
class ClientRequest:
    """A whole request; `path` has no query."""

    method: str
    path: str
    query: bytes
    headers: HeaderPairs
    body: bytes
    keep_alive: bool
    http_1_0: bool = False

    def header(self, name: bytes) -> bytes:
        """Return the first value of header `name` (lower case), empty when absent."""
        return next((value for key, value in self.headers if key == name), b"")


@dataclass
class ClientAnswer:
    """A whole answer; `close` ends the connection after it."""

    status: int
    body: bytes = b""
    headers: HeaderPairs = field(default_factory=list)
    content_type: bytes = JSON_TYPE
    close: bool = False


def json_answer(status: int, value: object) -> ClientAnswer:
    """Return `value` as JSON."""
    return ClientAnswer(status, json.dumps(value).encode())


def error_answer(status: int, text: str, retry_after: int | None = None, close: bool = False) -> ClientAnswer:
    """Return KServe's shape of an error."""
    answer = json_answer(status, {"error": text})
    answer.close = close
    if retry_after is not None:
        answer.headers.append((b"retry-after", b"%d" % retry_after))
    return answer


def encode_answer(answer: ClientAnswer, keep_alive: bool, head: bool, http_1_0: bool = False) -> bytes:
    """Return the bytes for the client; a HEAD request gets the length but not the body."""
    parts = [b"HTTP/1.1 %d %b\r\n" % (answer.status, PHRASES.get(answer.status, b""))]
    if answer.content_type:
        parts.append(b"content-type: %b\r\n" % answer.content_type)
    parts.extend(b"%b: %b\r\n" % pair for pair in answer.headers)
    parts.append(b"content-length: %d\r\n" % len(answer.body))
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    elif http_1_0:
        parts.append(b"connection: keep-alive\r\n")
    parts.append(b"\r\n")
    if not head:
        parts.append(answer.body)
    return b"".join(parts)


def encode_request(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return the bytes for TorchServe; `headers` without content-length."""
    parts = [b"%b %b HTTP/1.1\r\n" % (method.encode(), target)]
    parts.extend(b"%b: %b\r\n" % pair for pair in headers)
    parts.append(b"content-length: %d\r\n\r\n" % len(body))
    parts.append(body)
    return b"".join(parts)
