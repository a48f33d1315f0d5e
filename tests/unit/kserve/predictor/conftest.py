"""An S3-like server: ListObjects version 1 and GET, path style, over a dict of objects."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest


class Bucket:
    """`objects` by key; `answers` are (status, code) given to the next requests instead; `seen` are the requests."""

    def __init__(self):
        self.objects = {}
        self.answers = []
        self.seen = []
        self.cut = False
        self.endpoint = ""


@pytest.fixture
def bucket():
    state = Bucket()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            state.seen.append((self.path, dict(self.headers)))
            url = urlsplit(self.path)
            name, _, key = unquote(url.path).lstrip("/").partition("/")
            if state.answers:
                status, code = state.answers.pop(0)
                return self.reply(status, f"<Error><Code>{code}</Code><Message>told to</Message></Error>")
            if name != "bucket":
                return self.reply(404, "<Error><Code>NoSuchBucket</Code><Message>no bucket</Message></Error>")
            if not key:
                return self.reply(200, self.listing(parse_qs(url.query)))
            data = state.objects[key]
            if state.cut:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data) + 10))
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = True
                return None
            return self.reply(200, data)

        def listing(self, query):
            prefix = query.get("prefix", [""])[0]
            entries = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size></Contents>"
                for key, data in sorted(state.objects.items())
                if key.startswith(prefix)
            )
            return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"

        def reply(self, status, body):
            raw = body if isinstance(body, bytes) else body.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join(5)
