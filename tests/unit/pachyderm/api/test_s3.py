"""The S3 gateway as a server: its answers to plain HTTP, its threads and its end. Its clients: tests/compat."""

import http.client
import random
import socket
import threading
import xml.etree.ElementTree as ET

import pytest
from waiting import wait_until

from pdk.base.errors import Unavailable
from pdk.db.database import Database
from pdk.pachyderm.api.s3 import S3Gateway
from pdk.pachyderm.pfs import repos
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.files import Files
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.store.pfs_schema import MIGRATIONS
from pdk.pachyderm.values import Repo
from pdk.reconcile.changes import Changes
from pdk.storage.errors import ChunkMissing
from pdk.storage.filesets import FileSetStorage

LARGE = random.Random(1).randbytes(3 << 20)
S3_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture
def pfs(tmp_path):
    db = Database(tmp_path / "pachd.db", MIGRATIONS)
    storage = FileSetStorage(tmp_path / "storage", db)
    pfs = Pfs(db, storage, Changes())
    with pfs.transaction() as tx:
        repos.create_repo(tx, Repo("default", "data", "user"))
    writer = pfs.modify_file(CommitHandle(Repo("default", "data"), branch="master"))
    for path, data in {"/a": b"alpha", "/d/b": b"beta", "/d/large": LARGE, "/empty": b""}.items():
        writer.put(path, [data])
    writer.close()
    yield pfs
    storage.close()
    db.close()


@pytest.fixture
def gateway(pfs):
    gateway = S3Gateway(pfs)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def connection(gateway):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    yield connection
    connection.close()


@pytest.fixture
def ask(connection):
    def ask(method, path, body=None, **headers):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read(), response.headers

    return ask


def error(body):
    document = ET.fromstring(body)
    return document.findtext("Code"), document.findtext("Message")


def keys(body):
    return [element.text for element in ET.fromstring(body).iter(f"{S3_NAMESPACE}Key")]


def test_objects_come_whole_on_a_kept_connection(ask):
    for path, data in (("/data/a", b"alpha"), ("/data/d/large", LARGE), ("/data/empty", b""), ("/data/d/b", b"beta")):
        status, body, headers = ask("GET", path)
        assert (status, body) == (200, data)
        assert headers["Content-Length"] == str(len(data))
        assert headers["Content-Type"] == "application/octet-stream"
        assert (headers["Accept-Ranges"], headers["Server"].strip()) == ("bytes", "PachydermS3")
        assert headers["Connection"] is None
        assert len(headers["x-amz-request-id"]) == 32


def test_a_head_request_has_the_headers_of_the_object(ask):
    _, _, got = ask("GET", "/data/d/large")
    status, body, headers = ask("HEAD", "/data/d/large")
    assert (status, body) == (200, b"")
    assert {name: headers[name] for name in ("ETag", "Content-Length", "Last-Modified")} == {
        name: got[name] for name in ("ETag", "Content-Length", "Last-Modified")
    }
    assert ask("HEAD", "/data")[:2] == (200, b"")
    assert ask("HEAD", "/data/nope")[:2] == (404, b"")


def test_ranges(ask):
    status, body, headers = ask("GET", "/data/d/large", Range="bytes=1000000-1999999")
    assert (status, body, headers["Content-Length"]) == (206, LARGE[1_000_000:2_000_000], "1000000")
    assert headers["Content-Range"] == f"bytes 1000000-1999999/{len(LARGE)}"
    status, body, _ = ask("GET", "/data/a", Range="bytes=9-")
    assert (status, error(body)[0]) == (416, "InvalidRange")


def test_conditions(ask):
    etag = ask("HEAD", "/data/a")[2]["ETag"]
    status, body, headers = ask("GET", "/data/a", If_None_Match=f"W/{etag}, other")
    assert (status, body, headers["ETag"], headers["Content-Length"]) == (304, b"", etag, None)
    assert ask("GET", "/data/a", If_Match=etag.strip('"'))[0] == 200
    status, body, _ = ask("GET", "/data/a", If_Match='"other"')
    assert (status, error(body)) == (412, ("PreconditionFailed", "the object has another ETag"))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nope", 404, "NoSuchBucket"),
        ("/nope/a", 404, "NoSuchBucket"),
        ("/data/d", 404, "NoSuchKey"),
        ("/data/A", 404, "NoSuchKey"),
        ("/data?acl", 501, "NotImplemented"),
        ("/data/a?tagging", 501, "NotImplemented"),
        ("/data?delimiter=b", 400, "InvalidDelimiter"),
        ("/data?max-keys=many", 400, "InvalidArgument"),
    ],
)
def test_refusals_name_code_and_resource(ask, path, status, code):
    found, body, headers = ask("GET", path)
    assert (found, error(body)[0], headers["Content-Type"]) == (status, code, "application/xml")
    assert ET.fromstring(body).findtext("Resource") == path.partition("?")[0]
    assert ET.fromstring(body).findtext("RequestId") == headers["x-amz-request-id"]


def test_lists(ask):
    assert keys(ask("GET", "/data")[1]) == ["a", "d/b", "d/large", "empty"]
    assert keys(ask("GET", "/data?list-type=2&prefix=d/&max-keys=1")[1]) == ["d/b"]
    assert b"master.data.default" in ask("GET", "/")[1]
    assert b"PACHYDERM" in ask("GET", "/data?location")[1]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_writing_is_refused_and_ends_the_connection(ask, method):
    status, body, headers = ask(method, "/data/a", b"x" * 1000)
    assert (status, headers["Connection"]) == (501, "close")
    assert error(body) == ("NotImplemented", f"{method} is not implemented: the gateway is read-only")


def test_a_content_that_cannot_be_read_breaks_the_connection_off(ask, monkeypatch, caplog):
    def read(files, path, offset=0):
        yield b"al"
        raise ChunkMissing("a chunk is missing")

    monkeypatch.setattr(Files, "read", read)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask("GET", "/data/a")
    assert caught.value.partial == b"al"
    assert "a chunk is missing" in caplog.text


def test_a_client_that_goes_away_frees_its_thread(gateway):
    def workers():
        return {thread.name for thread in threading.enumerate() if thread.name.startswith("s3_")}

    for _ in range(3):
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(b"GET /data/d/large HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    http_client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    http_client.request("GET", "/data/a")
    assert http_client.getresponse().read() == b"alpha"
    http_client.close()
    assert len(workers()) <= 5


def test_a_socket_that_was_handed_over_is_served(pfs):
    handed = socket.create_server(("127.0.0.1", 0))
    early = http.client.HTTPConnection("127.0.0.1", handed.getsockname()[1], timeout=30)
    early.request("GET", "/data/a")
    gateway = S3Gateway(pfs, listener=handed)
    gateway.start()
    assert early.getresponse().read() == b"alpha"
    gateway.stop()


def test_a_taken_port_is_named(pfs, gateway):
    with pytest.raises(Unavailable, match=f"the S3 gateway cannot listen on 127.0.0.1:{gateway.port}"):
        S3Gateway(pfs, port=gateway.port)


def test_stopping_ends_idle_connections_and_leaves_no_thread(pfs):
    gateway = S3Gateway(pfs)
    gateway.start()
    idle = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    wait_until(lambda: any(thread.name.startswith("s3_") for thread in threading.enumerate()))
    gateway.stop()
    assert idle.recv(1) == b""
    idle.close()
    wait_until(lambda: not any(thread.name.startswith("s3") for thread in threading.enumerate()))


def test_a_gateway_that_was_never_started_can_be_stopped(pfs):
    S3Gateway(pfs).stop()
