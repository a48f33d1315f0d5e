"""Fetches a model into a folder: the program of the pod's `storage-initializer` container.

Run by `fetch` as `python -m pdk.kserve.predictor.storage_initializer` with a `FetchOrder` as JSON on stdin, in a
process of its own, so that boto3 stays out of the server and a stuck transfer can be killed. Its output is the
container's log; its exit status says what to do next. The folder appears under its final name only when it is complete,
and is never changed again.
"""

import contextlib
import dataclasses
import enum
import functools
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pdk.base.folders import sync_folder
from pdk.kserve.predictor.failures import ModelFailure, ModelLoadFailed
from pdk.kserve.predictor.storage_uri import S3Access, StorageUri, parse_storage_uri, target_of

CHUNK_BYTES = 1 << 20
PARTIAL_SUFFIX = ".partial"


class FetchStatus(enum.IntEnum):
    """The exit status: the model is there; it cannot work; its storage is empty, or does not answer, as yet."""

    COMPLETE = 0
    FAILED = 1
    NOTHING_YET = 3
    UNREACHABLE = 4


# Nothing is wrong with the model: ask again.
TRANSIENT = frozenset({FetchStatus.NOTHING_YET, FetchStatus.UNREACHABLE})


class NothingThere(Exception):
    """The place exists, or may come to exist, but holds no object."""

    status = FetchStatus.NOTHING_YET


class NoAnswer(Exception):
    """The storage cannot be reached or is overloaded."""

    status = FetchStatus.UNREACHABLE


Say = Callable[[str], object]


@dataclass(frozen=True)
class FetchOrder:
    """What to fetch; `target` must not exist, its parent must."""

    uri: str
    target: str
    access: S3Access
    max_bytes: int
    max_files: int

    def to_json(self) -> bytes:
        """Return the order as the child reads it."""
        return json.dumps(dataclasses.asdict(self)).encode()


def read_order(text: bytes) -> FetchOrder:
    """Return the order that `to_json` wrote."""
    fields: dict[str, Any] = json.loads(text)
    return FetchOrder(**{**fields, "access": S3Access(**fields["access"])})


class Folder:
    """The folder being filled; `add` enforces the limits, `seal` gives it its final name."""

    def __init__(self, order: FetchOrder) -> None:
        self._order = order
        self.target = Path(order.target)
        self._partial = self.target.with_name(self.target.name + PARTIAL_SUFFIX)
        if self._partial.exists():
            shutil.rmtree(self._partial)
        self._partial.mkdir()
        self.files = 0
        self.bytes = 0

    def add(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write one file; return its size. Raises ModelLoadFailed over a limit."""
        self.files += 1
        if self.files > self._order.max_files:
            raise ModelLoadFailed(f"{self._order.uri} holds more than {self._order.max_files} files")
        path = self._partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = self.bytes
        with path.open("xb") as file:
            for chunk in chunks:
                self.bytes += len(chunk)
                if self.bytes > self._order.max_bytes:
                    raise ModelLoadFailed(f"{self._order.uri} holds more than {self._order.max_bytes} bytes")
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o444)
        return self.bytes - before

    def seal(self) -> None:
        """Make the folder appear, whole."""
        for folder, _, _ in os.walk(self._partial, topdown=False):
            sync_folder(Path(folder))
        self._partial.rename(self.target)
        sync_folder(self.target.parent)


def _chunks(stream: IO[bytes] | Any) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def fetch(order: FetchOrder, say: Say) -> Folder:
    """Fetch the model; raise NothingThere, NoAnswer or ModelFailure."""
    uri = parse_storage_uri(order.uri)
    say(f"Copying contents of {order.uri} to local")
    folder = Folder(order)
    if uri.scheme == "s3":
        _fetch_s3(uri, order, folder, say)
    elif uri.scheme == "file":
        _fetch_file(uri, folder)
    else:
        _fetch_http(uri, folder)
    if not folder.files:
        raise NothingThere(f"no objects under {order.uri}: is the commit still open, or the path wrong?")
    folder.seal()
    return folder


def _client(access: S3Access) -> Any:
    # Imported here: the import costs 0.3 s, which only this process and only S3 shall pay.
    import boto3  # noqa: PLC0415
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    # boto3 refuses to sign without keys and would search the machine for some: the pod must not find any.
    anonymous = access.anonymous or not access.access_key
    config = Config(
        signature_version=UNSIGNED if anonymous else None,
        s3={"addressing_style": "virtual" if access.virtual_bucket else "path"},
        connect_timeout=10,
        read_timeout=60,
        retries={"max_attempts": 2, "mode": "standard"},
    )
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint_url or None,
        aws_access_key_id=access.access_key or None,
        aws_secret_access_key=access.secret_key or None,
        aws_session_token=access.session_token or None,
        region_name=access.region or "us-east-1",
        verify=(access.ca_bundle or True) if access.verify_ssl else False,
        config=config,
    )


def _fetch_s3(uri: StorageUri, order: FetchOrder, folder: Folder, say: Say) -> None:
    client = _client(order.access)
    with _storage_errors(uri, order.access.endpoint_url or "amazonaws.com"):
        for key in _keys(client, uri):
            name = target_of(uri.path, key)
            if name is None:
                continue
            body = client.get_object(Bucket=uri.bucket, Key=key)["Body"]
            size = folder.add(name, _chunks(body))
            say(f"Downloaded object {key} to {name} ({size} bytes)")


def _keys(client: Any, uri: StorageUri) -> Iterator[str]:
    # ListObjects version 1, as the original's boto3 resource sends it: S3-compatible gateways all have it.
    for page in client.get_paginator("list_objects").paginate(Bucket=uri.bucket, Prefix=uri.path):
        for entry in page.get("Contents", []):
            if entry.get("Size", 0) > 0:
                yield entry["Key"]


@contextlib.contextmanager
def _storage_errors(uri: StorageUri, endpoint: str) -> Iterator[None]:
    """Sort what boto3 raises: is it worth asking again?"""
    from botocore import exceptions  # noqa: PLC0415 - see _client

    try:
        yield
    except exceptions.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        text = f"{uri.text}: {endpoint} answers {status} {code}: {error.response.get('Error', {}).get('Message', '')}"
        if code in ("NoSuchBucket", "NoSuchKey", "404"):
            raise NothingThere(text) from error
        if status >= 500 or status == 429:
            raise NoAnswer(text) from error
        raise ModelLoadFailed(text) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError, ConnectionError) as error:
        raise NoAnswer(f"{uri.text}: no answer from {endpoint}: {error}") from error
    except exceptions.BotoCoreError as error:
        raise ModelLoadFailed(f"{uri.text}: {error}") from error


def _fetch_file(uri: StorageUri, folder: Folder) -> None:
    source = Path(uri.path)
    if source.is_file():
        folder.add(_archive_target(source.name), _file_chunks(source))
        return
    for path in sorted(source.rglob("*")) if source.is_dir() else []:
        if path.is_symlink():
            raise ModelLoadFailed(f"{path} is a symbolic link: copy the file itself into the model folder")
        if path.is_file() and path.stat().st_size:
            folder.add(str(path.relative_to(source)), _file_chunks(path))


def _file_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _chunks(file)


def _fetch_http(uri: StorageUri, folder: Folder) -> None:
    name = uri.path.rpartition("/")[2]
    if not name.endswith(".mar"):
        raise ModelLoadFailed(f"{uri.text}: over http only a single .mar file can be fetched")
    try:
        with urllib.request.urlopen(uri.text, timeout=60) as response:
            folder.add(_archive_target(name), _chunks(response))
    except urllib.error.HTTPError as error:
        kind = NoAnswer if error.code >= 500 else NothingThere if error.code == 404 else ModelLoadFailed
        raise kind(f"{uri.text}: the server answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise NoAnswer(f"{uri.text}: {error}") from error


def _archive_target(name: str) -> str:
    """A single file lands in the model store, where TorchServe looks for it."""
    return f"model-store/{name}" if name.endswith(".mar") else name


def main() -> int:
    """Carry out the order on stdin; return the exit status."""
    # At once, so that `kubectl logs -f` follows.
    say = functools.partial(print, flush=True)
    order = read_order(sys.stdin.buffer.read())
    started = time.monotonic()
    try:
        folder = fetch(order, say)
    except (NothingThere, NoAnswer) as error:
        say(f"ERROR: {error}")
        return error.status
    except (ModelFailure, OSError) as error:
        say(f"ERROR: {error}")
        return FetchStatus.FAILED
    say(f"Successfully copied {order.uri}: {folder.files} files, {folder.bytes} bytes")
    say(f"Model downloaded in {time.monotonic() - started:.2f} s")
    return FetchStatus.COMPLETE


if __name__ == "__main__":
    sys.exit(main())
