"""An object store and the API as an application, without sockets."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pdk.db.database import Database
from pdk.kserve.kinds.initial_objects import install_initial_objects
from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.api.app import KubernetesApp
from pdk.kubernetes.api.authentication import Authenticator
from pdk.kubernetes.api.log_streams import LogStreams
from pdk.kubernetes.api.objects import ObjectHandlers
from pdk.kubernetes.api.router import KubernetesRoutes
from pdk.kubernetes.api.watch_hub import WatchHub
from pdk.kubernetes.api.watches import Watches
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

TOKEN = "t0ken"


@pytest.fixture
def store(tmp_path):
    database = Database(tmp_path / "kube.db", OBJECT_MIGRATIONS)
    store = ObjectStore(database, Changes(), serving_resources())
    install_initial_objects(store, ingress_port=8085)
    yield store
    database.close()


@pytest.fixture
def logs(tmp_path):
    return PodLogs(tmp_path / "logs")


class Caller:
    """Sends one request at a time into the ASGI application."""

    def __init__(self, store, logs):
        self.hub = WatchHub(store)
        self.threads = ThreadPoolExecutor(2)
        streams = LogStreams(store, logs, threading.Event())
        routes = KubernetesRoutes(store.resources, ObjectHandlers(store), Watches(store, self.hub), streams)
        self.app = KubernetesApp(routes, Authenticator(TOKEN), self.threads)

    def raw(self, method, path, body=b"", headers=(), query="", chunks=None):
        """Return (code, headers, body)."""
        sent = []
        parts = [body] if chunks is None else list(chunks)
        messages = [
            {"type": "http.request", "body": part, "more_body": index < len(parts) - 1}
            for index, part in enumerate(parts)
        ]

        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode() if isinstance(path, str) else path,
            "query_string": query.encode() if isinstance(query, str) else query,
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }
        asyncio.run(self.app(scope, receive, send))
        found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])

    def call(self, method, path, body=None, content_type="application/json", accept=None, **query):
        """Return (code, JSON) of an authenticated request."""
        headers = [("authorization", f"Bearer {TOKEN}"), ("content-type", content_type), ("user-agent", "tester/1")]
        if accept:
            headers.append(("accept", accept))
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        text = "&".join(f"{name}={value}" for name, value in query.items())
        code, _, answer = self.raw(method, path, data, headers, text)
        return code, json.loads(answer)


@pytest.fixture
def api(store, logs):
    caller = Caller(store, logs)
    yield caller
    caller.threads.shutdown()
