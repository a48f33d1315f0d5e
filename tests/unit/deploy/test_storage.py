"""Storing a model, through the real cloud clients, in a small object store on loopback."""

import email
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from deployment import storage
from deployment.errors import StorageError

PREFIX = "customer-churn/v3-abc/"
DIGEST = "5a" * 32


class ObjectStore(BaseHTTPRequestHandler):
    """The part of the S3 and the Google Cloud Storage protocol that an upload and a listing need."""

    protocol_version = "HTTP/1.1"  # boto3 waits a second for the 100-continue of an HTTP/1.0 server

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def chunk(self):
        content = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return content

    def do_PUT(self):
        key = unquote(urlsplit(self.path).path.split("/", 2)[2])
        content = self.body()
        if self.server.refuse:
            self.answer(403)
            return
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            size, content = content.split(b"\r\n", 1)
            content = content[: int(size.split(b";")[0], 16)]
        self.server.put(key, content)
        self.answer(200, ETag='"x"')

    def do_POST(self):
        if self.server.refuse:
            self.answer(403, b'{"error": {"code": 403, "message": "no"}}', Content_Type="application/json")
            return
        text = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + self.body()
        head, media = email.message_from_bytes(text).get_payload()
        key = json.loads(head.get_payload())["name"]
        content = media.get_payload(decode=True)
        self.server.put(key, content)
        answer = {"name": key, "size": str(len(content))}
        self.answer(200, json.dumps(answer).encode(), Content_Type="application/json")

    def content(self, key):
        found = self.server.objects.get(key)
        if found is None:
            self.answer(404, b"{}", Content_Type="application/json")
        else:
            self.answer(200, found, Content_Type="application/octet-stream")

    def do_GET(self):
        parts = urlsplit(self.path)
        objects = re.fullmatch(r"(?:/download/.*/o|/models)/(.+)", parts.path)
        if objects:
            self.content(unquote(objects[1]))
            return
        prefix = parse_qs(parts.query).get("prefix", [""])[0]
        found = {key: value for key, value in self.server.objects.items() if key.startswith(prefix)}
        if parts.path.startswith("/storage/v1/"):
            items = [{"name": key, "size": str(len(value))} for key, value in found.items()]
            self.answer(200, json.dumps({"items": items}).encode(), Content_Type="application/json")
            return
        rows = "".join(f"<Contents><Key>{k}</Key><Size>{len(v)}</Size></Contents>" for k, v in found.items())
        self.answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())


class ObjectServer(ThreadingHTTPServer):
    """Keeps objects and the order in which they came; `lose` is a pattern of keys it forgets."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ObjectStore)
        self.objects, self.order, self.lose, self.refuse = {}, [], None, False

    def put(self, key, content):
        self.order.append(key)
        if not (self.lose and re.search(self.lose, key)):
            self.objects[key] = content

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server():
    with ObjectServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(params=["aws", "gcp"])
def bucket(request, server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    return storage.open_bucket(request.param, "models", None)


@pytest.fixture
def files(tmp_path):
    archive, config = tmp_path / "customer-churn-v3.mar", tmp_path / "config.properties"
    archive.write_bytes(bytes(range(256)) * 8)
    config.write_text("a=b\n")
    return archive, config


@pytest.mark.seed("S2-08")
def test_the_config_goes_last_and_the_content_arrives(bucket, server, files):
    storage.save_to_bucket(bucket, PREFIX, *files, DIGEST)
    names = ("model-store/customer-churn-v3.mar", "archive.sha256", "config/config.properties")
    assert server.order == [f"{PREFIX}{name}" for name in names]
    assert server.objects[server.order[0]] == files[0].read_bytes()


def test_a_complete_prefix_knows_its_archive(bucket, server, files):
    assert storage.stored_digest(bucket, PREFIX) is None
    storage.save_to_bucket(bucket, PREFIX, *files, DIGEST)
    assert storage.stored_digest(bucket, PREFIX) == DIGEST
    del server.objects[f"{PREFIX}config/config.properties"]
    assert storage.stored_digest(bucket, PREFIX) is None


def test_a_complete_prefix_without_a_digest_is_refused(bucket, server, files):
    storage.save_to_bucket(bucket, PREFIX, *files, DIGEST)
    server.objects[f"{PREFIX}archive.sha256"] = b"half"
    with pytest.raises(StorageError, match="should hold a SHA-256, not 'half'"):
        storage.stored_digest(bucket, PREFIX)
    del server.objects[f"{PREFIX}archive.sha256"]
    with pytest.raises(StorageError, match=r"archive\.sha256 cannot be read"):
        storage.stored_digest(bucket, PREFIX)


def test_a_half_written_prefix_is_completed(bucket, server, files):
    server.objects[f"{PREFIX}model-store/customer-churn-v3.mar"] = b"half"
    storage.save_to_bucket(bucket, PREFIX, *files, DIGEST)
    assert server.objects[f"{PREFIX}model-store/customer-churn-v3.mar"] == files[0].read_bytes()


def test_an_object_the_store_lost_is_noticed(bucket, server, files):
    server.lose = r"\.mar$"
    with pytest.raises(StorageError, match=r"v3\.mar should have 2048 bytes in the bucket, the listing shows nothing"):
        storage.save_to_bucket(bucket, PREFIX, *files, DIGEST)


def test_a_refused_upload_says_which_file(bucket, server, files):
    server.refuse = True
    with pytest.raises(
        StorageError, match=r"upload of customer-churn-v3\.mar to (gs|s3)://models/.* failed: .*(403|Forb)"
    ):
        storage.save_to_bucket(bucket, PREFIX, *files, DIGEST)


def test_a_missing_key_file_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"key\.json"):
        storage.open_bucket("gcp", "models", str(tmp_path / "key.json"))


def test_addresses():
    prefix = storage.bucket_prefix("customer-churn", 3, "abc")
    assert storage.bucket_uri("gcp", "models", prefix) == "gs://models/customer-churn/v3-abc/"
    assert storage.bucket_uri("aws", "models", prefix) == "s3://models/customer-churn/v3-abc/"
    assert storage.commit_uri("c0", "deploy", "churn", "m") == "s3://c0.master.deploy.churn/m/"


def test_a_model_named_config_is_filed_by_its_role(tmp_path, files):
    """The original sorts files by whether their name contains "config"."""
    archive = files[0].rename(tmp_path / "config-model-v1.mar")
    storage.save_to_folder(tmp_path / "out", archive, files[1])
    assert (tmp_path / "out" / "model-store" / archive.name).is_file()
