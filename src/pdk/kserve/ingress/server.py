"""The ingress: the HTTP server in front of every InferenceService, in a thread with its own event loop.

Built by `pdk.stack`, which starts the controller first, so that adopted revisions are in the routing table before the
first request. Measured beside nginx and haproxy it costs the same; unlike them it changes routes without a reload and can
mend TorchServe's status codes.
"""

import asyncio
import importlib
import importlib.util
import logging
import socket
import threading

from pdk.base.errors import Unavailable
from pdk.kserve.ingress.connection import ClientConnection, Server
from pdk.kserve.ingress.gateway import Gateway
from pdk.kserve.ingress.messages import Limits
from pdk.kserve.ingress.upstream import UpstreamPool
from pdk.kserve.predictor.routes import ServiceRoutes

logger = logging.getLogger(__name__)

BACKLOG = 1024


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where it is installed, else asyncio's own: the same answers for more processor time."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    return loop


class Ingress:
    """Serves `routes` on `host`:`port` (0: a free one, then in `port`) between `start` and `stop`."""

    def __init__(self, routes: ServiceRoutes, host: str, port: int, limits: Limits | None = None) -> None:
        self.host = host
        self.port = port
        self._limits = limits or Limits()
        self._pool = UpstreamPool(self._limits)
        self._server = Server(Gateway(routes, self._pool, self._limits).handle, self._limits)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="ingress", daemon=True)

    @property
    def address(self) -> str:
        """`http://host:port`."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Bind and serve; raise Unavailable naming the address when it is taken."""
        listener = self._bind()
        self._loop = new_event_loop()
        self._stopped = asyncio.Event()
        started = threading.Event()
        self._loop.create_task(self._serve(listener, started))
        self._thread.start()
        started.wait(10.0)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # With the protocol given asyncio turns Nagle's delay off on accepted connections; without, answers wait 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
        except OSError as error:
            listener.close()
            raise Unavailable(f"the ingress cannot listen on {self.host}:{self.port}: {error.strerror}") from error
        self.port = listener.getsockname()[1]
        return listener

    def stop(self, grace: float = 5.0) -> None:
        """Stop accepting, let requests under way end for `grace` seconds, close the rest."""
        if self._loop is None or self._stopped is None or not self._thread.is_alive():
            return
        self._server.stopping = True
        self._grace = grace
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(grace + 5.0)

    def _run(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        assert self._loop is not None
        assert self._stopped is not None
        server = await self._loop.create_server(lambda: ClientConnection(self._server), sock=listener, backlog=BACKLOG)
        started.set()
        logger.info("ingress on %s", self.address)
        while not self._stopped.is_set():
            self._sweep()
            try:
                async with asyncio.timeout(1.0):
                    await self._stopped.wait()
            except TimeoutError:
                continue
        server.close()
        await self._drain()
        self._pool.close()
        self._loop.stop()

    def _sweep(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        for connection in list(self._server.connections):
            connection.check(now)
        self._pool.sweep()

    async def _drain(self) -> None:
        assert self._loop is not None
        deadline = self._loop.time() + self._grace
        while any(c.busy for c in self._server.connections) and self._loop.time() < deadline:
            await asyncio.sleep(0.02)
        for connection in list(self._server.connections):
            connection.close()
        # One turn of the loop for the connections to be told.
        await asyncio.sleep(0)
