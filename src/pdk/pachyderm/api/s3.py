"""The S3 gateway, read side: commits as buckets, for KServe's storage initializer, boto3 and other S3 clients.

ListBuckets, ListObjects (versions 1 and 2), HeadBucket, GetBucketLocation, HeadObject and GetObject with ranges; every
other verb answers NotImplemented. Path style. As auth is off, signatures are not looked at. Its own HTTP server, beside
the gRPC server. Mirrors `src/server/pfs/s3` of pachd.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pdk.base import ids
from pdk.base.errors import NotFound, PdkError
from pdk.pachyderm.api import s3_xml
from pdk.pachyderm.api.s3_buckets import (
    Bucket,
    find_object,
    list_buckets,
    list_objects,
    open_bucket,
)
from pdk.pachyderm.api.s3_ranges import InvalidRange, parse_range
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import FileInfo
from pdk.web.listening import listening_socket, port_of

logger = logging.getLogger(__name__)

MAX_KEYS = 1000
# Connections served at the same time, and how long each may be silent.
THREADS = 64
IDLE_SECONDS = 20
# Parts of a bucket and of an object that S3 has and pfs has not.
BUCKET_SUBRESOURCES = ("acl", "cors", "lifecycle", "policy", "tagging", "uploads", "versioning", "versions")
OBJECT_SUBRESOURCES = ("acl", "attributes", "tagging", "uploadId", "versionId")


class S3Error(Exception):
    """An answer with an error document."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class S3Gateway:
    """Serves `pfs` on `listener`, or on a socket made here; `port` is the bound one from the start.

    On uvicorn, as the other servers, an object of 100 MB takes half as long again (`bench/web/s3_gateway.py`).
    """

    def __init__(self, pfs: Pfs, host: str = "127.0.0.1", port: int = 0, listener: socket.socket | None = None) -> None:
        """Bind the port; requests are answered after `start`. Raises Unavailable when it is taken."""
        listener = listener or listening_socket(host, port, "the S3 gateway")
        self.port = port_of(listener)
        self._server = _Server(pfs, listener)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="s3", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, break off those that are open, close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(HTTPServer):
    """Connections served by a fixed set of threads: each thread that reads the database keeps a connection to it."""

    def __init__(self, pfs: Pfs, listener: socket.socket) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.pfs = pfs
        self._pool = ThreadPoolExecutor(THREADS, "s3")
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a new connection to the threads."""
        with self._lock:
            self._open.add(request)
        self._pool.submit(self._serve, request, client_address)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError as error:
            logger.debug("S3 connection of %s ended: %s", client_address, error)
        except Exception:
            logger.exception("S3 connection of %s failed", client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            self.shutdown_request(request)

    def server_close(self) -> None:
        """Close the port and every connection, so that no thread waits for its client."""
        super().server_close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # its client was quicker
                    connection.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown(cancel_futures=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "PachydermS3"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _refuse(self) -> None:
        # What a PUT or POST sends is not read, so the connection cannot go on.
        self.close_connection = True
        self._send_error(S3Error(501, "NotImplemented", f"{self.command} is not implemented: the gateway is read-only"))

    do_PUT = do_POST = do_DELETE = do_OPTIONS = do_PATCH = _refuse

    def _answer(self) -> None:
        self._request_id = ids.new_id()
        try:
            self._route()
        except S3Error as error:
            self._send_error(error)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
        except PdkError as error:
            logger.error("S3 %s %s: %s", self.command, self.path, error)
            self._send_error(S3Error(500, "InternalError", str(error)))

    def _route(self) -> None:
        target = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(target.query, keep_blank_values=True).items()}
        bucket_name, _, key = unquote(target.path).lstrip("/").partition("/")
        if not bucket_name:
            self._send_xml(s3_xml.buckets(list_buckets(self.server.pfs)))
            return
        try:
            bucket = open_bucket(self.server.pfs, bucket_name)
        except NotFound as error:
            raise S3Error(404, "NoSuchBucket", str(error)) from error
        if key:
            self._send_object(bucket, key, query)
        elif self.command == "HEAD":
            self._send(200, b"", {})
        else:
            self._send_bucket(bucket, bucket_name, query)

    # Buckets

    def _send_bucket(self, bucket: Bucket, name: str, query: Mapping[str, str]) -> None:
        if "location" in query:
            self._send_xml(s3_xml.document("LocationConstraint", s3_xml.LOCATION))
            return
        for subresource in BUCKET_SUBRESOURCES:
            if subresource in query:
                raise S3Error(501, "NotImplemented", f"the bucket's {subresource} is not implemented")
        if query.get("delimiter", "") not in ("", "/"):
            raise S3Error(400, "InvalidDelimiter", 'The delimiter you specified is invalid. It must be "" or "/".')
        self._send_xml(_list(bucket, name, query))

    # Objects

    def _send_object(self, bucket: Bucket, key: str, query: Mapping[str, str]) -> None:
        for subresource in OBJECT_SUBRESOURCES:
            if subresource in query:
                raise S3Error(501, "NotImplemented", f"an object's {subresource} is not implemented")
        try:
            info = find_object(bucket, key)
        except NotFound as error:
            raise S3Error(404, "NoSuchKey", str(error)) from error
        etag = f'"{info.hash.hex()}"'
        if self._matches("If-None-Match", etag):
            self._send(304, b"", {"ETag": etag})
            return
        if self.headers.get("If-Match") and not self._matches("If-Match", etag):
            raise S3Error(412, "PreconditionFailed", "the object has another ETag")
        self._send_content(bucket, info, etag)

    def _matches(self, header: str, etag: str) -> bool:
        wanted = [value.strip().removeprefix("W/") for value in self.headers.get(header, "").split(",")]
        return etag in wanted or etag.strip('"') in wanted or "*" in wanted

    def _send_content(self, bucket: Bucket, info: FileInfo, etag: str) -> None:
        try:
            span = parse_range(self.headers.get("Range", ""), info.size_bytes)
        except InvalidRange as error:
            raise S3Error(416, "InvalidRange", str(error)) from error
        headers = {
            "ETag": etag,
            "Last-Modified": format_datetime(info.committed or bucket.created, usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        start, end = span or (0, info.size_bytes)
        if span is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size_bytes}"
        assert bucket.files is not None
        content = _first(bucket.files.read(info.path, start), end - start) if self.command == "GET" else ()
        self._send(206 if span is not None else 200, content, headers, end - start)

    # Sending

    def _send_xml(self, body: bytes) -> None:
        self._send(200, body, {"Content-Type": "application/xml"})

    def _send_error(self, error: S3Error) -> None:
        request_id = getattr(self, "_request_id", "")
        body = s3_xml.error(error.code, str(error), quote(urlsplit(self.path).path), request_id)
        self._send(error.status, body, {"Content-Type": "application/xml"})

    def _send(
        self, status: int, body: bytes | Iterable[bytes], headers: Mapping[str, str], length: int | None = None
    ) -> None:
        pieces = [body] if isinstance(body, bytes) else body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("x-amz-request-id", getattr(self, "_request_id", ""))
        if isinstance(body, bytes):
            length = len(body)
        if status != 304:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for piece in pieces:
                self.wfile.write(piece)
        except PdkError as error:
            # The status is out; only a broken connection can tell the client now.
            logger.error("S3 %s %s broke off: %s", self.command, self.path, error)
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("S3 %s " + format, self.client_address[0], *args)


def _list(bucket: Bucket, name: str, query: Mapping[str, str]) -> bytes:
    """Answer ListObjects in the version asked for."""
    second = query.get("list-type") == "2"
    encoded = query.get("encoding-type") == "url"
    try:
        limit = min(max(int(query.get("max-keys") or MAX_KEYS), 0), MAX_KEYS)
    except ValueError as error:
        raise S3Error(400, "InvalidArgument", "max-keys is not a number") from error
    token = query.get("continuation-token", "") or query.get("start-after", "") if second else query.get("marker", "")
    page = list_objects(bucket, query.get("prefix", ""), token, query.get("delimiter", ""), limit)
    shown = quote if encoded else str
    fields: list[tuple[str, object]] = [
        ("Name", name),
        ("Prefix", shown(query.get("prefix", ""))),
        ("Delimiter", shown(query.get("delimiter", ""))),
        ("MaxKeys", limit),
        ("IsTruncated", "true" if page.next_marker else "false"),
    ]
    if encoded:
        fields.append(("EncodingType", "url"))
    if second:
        fields.append(("KeyCount", len(page.objects) + len(page.prefixes)))
        # Tokens are opaque, so nobody decodes them: they are never encoded.
        fields += [("NextContinuationToken", page.next_marker)] if page.next_marker else []
    else:
        fields.append(("Marker", shown(query.get("marker", ""))))
        fields += [("NextMarker", shown(page.next_marker))] if page.next_marker else []
    return s3_xml.listing(page, fields, encoded, bucket.created)


def _first(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Yield the first `count` bytes of a stream."""
    for piece in pieces:
        if count <= len(piece):
            yield piece[:count]
            return
        count -= len(piece)
        yield piece
