"""The Kubernetes API server: HTTPS, one event loop on its own thread, handlers on a few more.

Built and started by the composition root. `KubernetesApi(store, logs, tls, token, host, port)`, then `start()`, `url`,
`stop()`.
"""

import asyncio
import logging
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pdk.base.errors import Unavailable
from pdk.kubernetes.api.app import KubernetesApp
from pdk.kubernetes.api.authentication import Authenticator
from pdk.kubernetes.api.log_streams import LogStreams
from pdk.kubernetes.api.objects import ObjectHandlers
from pdk.kubernetes.api.pki import TlsFiles
from pdk.kubernetes.api.router import Router
from pdk.kubernetes.api.watch_hub import WatchHub
from pdk.kubernetes.api.watches import Watches
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.reconcile.loop import Reconciler

logger = logging.getLogger(__name__)

HANDLER_THREADS = 8
HEADER_LIMIT = 64 * 1024
SWEEP_SECONDS = 30.0
GRACE_SECONDS = 3
CLOSE_SECONDS = 0.2
START_SECONDS = 30.0


class KubernetesApi:
    """The server. One object is started and stopped once."""

    def __init__(
        self, store: ObjectStore, logs: PodLogs, tls: TlsFiles, token: str, host: str = "127.0.0.1", port: int = 6443
    ) -> None:
        """Serve `store` and `logs` on host and port (0: any free one) to who brings `token` or a certificate of the CA."""
        self._store = store
        self._host = host
        self._port = port
        self._hub = WatchHub(store)
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, "kubernetes-api")
        objects = ObjectHandlers(store)
        streams = LogStreams(store, logs, self._hub.stopping)
        router = Router(store.resources, objects, Watches(store, self._hub), streams)
        app = KubernetesApp(router, Authenticator(token), self._threads)
        self._server = uvicorn.Server(_config(app, tls))
        self._thread = threading.Thread(target=self._run, name="kubernetes-api", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper = Reconciler("object-sweep", self._sweep, lambda: ["objects"], SWEEP_SECONDS, workers=1)

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """The address for a kubeconfig."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    def start(self) -> None:
        """Listen and return once requests are answered; raise Unavailable when the port is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # With the protocol spelled out: asyncio switches Nagle's algorithm off (40 ms for each answer) only then.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((self._host, self._port))
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"the Kubernetes API cannot listen on {self._host}:{self._port}: {error}") from error
        self._port = self._socket.getsockname()[1]
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failure is not None:
            raise Unavailable(f"the Kubernetes API did not start: {self._failure}")
        self._sweeper.start()

    def stop(self) -> None:
        """End every watch and connection and return when the threads are gone."""
        self._sweeper.stop()
        self._server.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hub.stop)
        self._thread.join(GRACE_SECONDS + 5)
        self._hub.join()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            logger.exception("the Kubernetes API ended")
            raise
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._hub.start(self._loop)
        serving = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        self._ready.set()
        await serving

    def _sweep(self, _key: str) -> None:
        self._store.sweep()


class _Protocol(HttpToolsProtocol):
    """Adds to uvicorn's protocol the peer's certificate, a limit on the size of headers, and a quick end."""

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(CLOSE_SECONDS, self._abort_when_idle)

    def _abort_when_idle(self) -> None:
        # Closing TLS waits for the client to say goodbye as well, and an idle client does not.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            self.loop.call_later(CLOSE_SECONDS, self._abort_when_idle)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_LIMIT:
            self.transport.abort()
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        tls = self.transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls is not None else None
        self.scope["extensions"] = {"peer_certificate": certificate or {}}
        super().on_headers_complete()


def _config(app: KubernetesApp, tls: TlsFiles) -> uvicorn.Config:
    options: dict[str, Any] = {
        "http": _Protocol,
        "ws": "none",
        "lifespan": "off",
        "interface": "asgi3",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }
    config = uvicorn.Config(app, **options)
    config.load()
    config.ssl = tls_context(tls)
    return config


def tls_context(tls: TlsFiles) -> ssl.SSLContext:
    """Return the server side of TLS: 1.2 or newer, client certificates of the CA welcome and not required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    context.load_verify_locations(tls.ca_certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
