"""The ingress: the HTTP server in front of every InferenceService, in a thread with its own event loop.

Built by `pdk.stack`, which starts the controller first, so that adopted revisions are in the routing table before the
first request. Measured beside nginx and haproxy it costs the same; unlike them it changes routes without a reload and
can mend TorchServe's status codes. Its own loop and parser stay beside the web room's uvicorn, on which the same
gateway answers six requests in the time of ten here (`bench/web/ingress.py`).
"""

import asyncio
import importlib
import importlib.util
import logging
import socket
from collections.abc import Callable

from pdk.kserve.ingress.connection import ClientConnection, Connections
from pdk.kserve.ingress.gateway import Gateway
from pdk.kserve.ingress.messages import IngressLimits
from pdk.kserve.ingress.upstream import UpstreamPool
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.web.listening import BACKLOG, LoopThread, listening_socket, port_of, url_of

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where it is installed, else asyncio's own: the same answers for more processor time."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    return loop


class Ingress:
    """Serves `routes` between `start` and `stop`, on `listener` or on a socket made then (port 0: a free one)."""

    def __init__(
        self,
        routes: ServiceRoutes,
        host: str,
        port: int,
        limits: IngressLimits | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._listener = listener
        limits = limits or IngressLimits()
        self._pool = UpstreamPool(limits)
        self._connections = Connections(Gateway(routes, self._pool, limits).handle, limits)
        self._stopped = asyncio.Event()
        self._grace = 0.0
        self._thread = LoopThread("ingress", self._serve, new_event_loop)

    @property
    def address(self) -> str:
        """`http://host:port`."""
        return url_of("http", self.host, self.port)

    @property
    def buffered(self) -> int:
        """The bytes of request bodies that are held at the moment."""
        return self._connections.buffered

    def start(self) -> None:
        """Listen and serve. Raises Unavailable naming the address when it is taken."""
        self._listener = self._listener or listening_socket(self.host, self.port, "the ingress")
        self.port = port_of(self._listener)
        self._thread.start()

    def stop(self, grace: float = 5.0) -> None:
        """Stop accepting, let requests under way end for `grace` seconds, close the rest."""
        self._connections.stopping = True
        self._grace = grace
        self._thread.call_soon(self._stopped.set)
        self._thread.join(grace + 5.0)

    async def _serve(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        assert self._listener is not None
        server = await loop.create_server(
            lambda: ClientConnection(self._connections), sock=self._listener, backlog=BACKLOG
        )
        ready()
        logger.info("ingress on %s", self.address)
        while not self._stopped.is_set():
            self._connections.sweep(loop.time())
            self._pool.sweep()
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._stopped.wait()
            except TimeoutError:
                continue
        server.close()
        await self._connections.drain(loop.time() + self._grace)
        self._pool.close()
