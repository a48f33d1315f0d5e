"""The Kubernetes API server: HTTPS, one event loop on its own thread, handlers on a few more.

Built and started by the composition root. `KubernetesApi(store, logs, tls, token, host, port)`, then `start()`, `url`,
`stop()`.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from pdk.kubernetes.api.app import KubernetesApp
from pdk.kubernetes.api.authentication import Authenticator
from pdk.kubernetes.api.log_streams import LogStreams
from pdk.kubernetes.api.objects import ObjectHandlers
from pdk.kubernetes.api.pki import TlsFiles
from pdk.kubernetes.api.router import KubernetesRoutes
from pdk.kubernetes.api.watch_hub import WatchHub
from pdk.kubernetes.api.watches import Watches
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.reconcile.loop import Reconciler
from pdk.web.listening import WebServer, listening_socket, port_of, tls_context, url_of

HANDLER_THREADS = 8
SWEEP_SECONDS = 30.0


class KubernetesApi:
    """The server. One object is started and stopped once."""

    def __init__(
        self,
        store: ObjectStore,
        logs: PodLogs,
        tls: TlsFiles,
        token: str,
        host: str = "127.0.0.1",
        port: int = 6443,
        listener: socket.socket | None = None,
    ) -> None:
        """Serve `store` and `logs` to who brings `token` or a certificate of the CA.

        On `listener`, or on a socket made at the start for host and port (0: any free one).
        """
        self._store = store
        self._tls = tls
        self._host = host
        self._port = port
        self._listener = listener
        self._hub = WatchHub(store)
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, "kubernetes-api")
        streams = LogStreams(store, logs, self._hub.stopping)
        routes = KubernetesRoutes(store.resources, ObjectHandlers(store), Watches(store, self._hub), streams)
        self._app = KubernetesApp(routes, Authenticator(token), self._threads)
        self._server: WebServer | None = None
        self._sweeper = Reconciler("object-sweep", self._sweep, lambda: ["objects"], SWEEP_SECONDS, workers=1)

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """The address for a kubeconfig."""
        return url_of("https", self._host, self._port)

    def start(self) -> None:
        """Listen and return once requests are answered. Raises Unavailable when the port is taken."""
        listener = self._listener or listening_socket(self._host, self._port, "the Kubernetes API")
        self._port = port_of(listener)
        tls = tls_context(self._tls.certificate, self._tls.key, self._tls.ca_certificate)
        self._server = WebServer("kubernetes-api", self._serving, listener, tls)
        self._server.start()
        self._sweeper.start()

    def stop(self) -> None:
        """End every watch and connection and return when the threads are gone."""
        self._sweeper.stop()
        if self._server is not None:
            self._server.call_soon(self._hub.stop)
            self._server.stop()
        self._hub.join()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _serving(self, loop: asyncio.AbstractEventLoop) -> KubernetesApp:
        self._hub.start(loop)
        return self._app

    def _sweep(self, _key: str) -> None:
        self._store.sweep()
