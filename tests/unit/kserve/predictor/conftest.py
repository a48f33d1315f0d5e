"""An S3-like server, and a bench for the lifecycle of a revision."""

import json
import threading
import uuid
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from predictor_node import PredictorNode
from waiting import wait_until

from pdk.kserve.predictor.lifecycle import Lifecycle
from pdk.kserve.predictor.revisions import Revision, RevisionState, ServiceRow
from pdk.kserve.predictor.routes import Backend
from pdk.kserve.predictor.settings import ModelLimits
from pdk.kubernetes.store.pod_logs import LogOptions
from pdk.process import tree

LIMITS = ModelLimits(load_timeout=20.0, drain_timeout=5.0, stop_grace=2.0, backoff=0.05, max_backoff=0.2)


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
    """ListObjects version 1 and GET, path style, over a dict of objects."""
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


class Bench(PredictorNode):
    """A lifecycle over a data folder; `again` is what a restarted server would have."""

    def __init__(self, root, limits=LIMITS, java=None):
        super().__init__(root, limits, java)
        self.lifecycle = Lifecycle(self.node)

    def again(self, java=None, **limits):
        return Bench(self.root, replace(LIMITS, **limits), java)

    def revision(self, uri):
        uid = str(uuid.uuid4())
        self.revisions.put_service(ServiceRow(uid, "default", "churn"))
        return self.revisions.put(
            Revision(
                uid, "default", "churn", 1, "abc",
                {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": uri}},
                {"pdk/model-version": "7"}, "churn-predictor-00001-deployment-abc-x", 1,
            )
        )  # fmt: skip

    def row(self, revision):
        return self.revisions.of_service(revision.uid)[0]

    def advance(self, revision):
        return self.lifecycle.of(revision).advance()

    def retire(self, revision):
        return self.lifecycle.of(revision).retire()

    def until(self, revision, *states, timeout=20.0, step=None):
        """Step until the revision is in one of the states; return it."""
        latest = revision

        def reached():
            nonlocal latest
            if latest.state not in states:
                latest = (step or self.advance)(latest)
            return latest.state in states

        wait_until(reached, timeout, lambda: repr(latest))
        return latest

    def ready(self, **model):
        """Return a revision that serves a model of its own."""
        return self.until(self.revision(self.model(**model)), RevisionState.READY)

    def alive(self, revision):
        return tree.identify(revision.process.pid) is not None

    def backend(self, revision):
        return Backend(revision.name, revision.process.ports["inference"], revision.process.models)

    def log(self, revision, container):
        return b"".join(self.logs.follow("default", revision.pod, container, LogOptions()).read_new()).decode()

    def behave(self, revision, behaviour):
        path = self.node.folders(revision).store / "behaviour.json"
        path.unlink(missing_ok=True)
        path.write_text(json.dumps(behaviour))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.end_processes()
