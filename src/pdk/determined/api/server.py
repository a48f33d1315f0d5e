"""The HTTP server of a master.

Built by the composition root:

    server = DeterminedServer(Master(MasterSettings(...)), host="127.0.0.1", port=8080)
    server.start(); server.ports == {"master": 8080}; server.stop()
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from pdk.determined.api.app import Application
from pdk.determined.api.waiting import Engines
from pdk.determined.master.master import Master
from pdk.web.listening import LOOPBACK_HOSTS, WebServer, listening_socket, port_of, url_of

WORKER_THREADS = 8


class DeterminedServer:
    """Serves one master on `listener`, or on a socket made at the start; `port` 0 takes a free one."""

    def __init__(
        self, master: Master, host: str = "127.0.0.1", port: int = 8080, listener: socket.socket | None = None
    ) -> None:
        self._master = master
        self._host = host
        self._port = port
        self._listener = listener
        self._server: WebServer | None = None
        self._pool = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="determined-api")

    @property
    def port(self) -> int:
        """The port it listens on; 0 before `start`."""
        return 0 if self._server is None else self._port

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on, by purpose."""
        return {"master": self.port}

    @property
    def url(self) -> str:
        """Where clients and trials of this machine reach it."""
        return url_of("http", self._host, self.port)

    def start(self) -> None:
        """Listen, answer, then start the trials; raises Unavailable when the port is taken."""
        listener = self._listener or listening_socket(self._host, self._port, "the master")
        self._port = port_of(listener)
        self._server = WebServer("determined-http", self._application, listener)
        self._server.start()
        self._master.start(self.url)

    def stop(self) -> None:
        """Let trials checkpoint within the master's grace, then stop answering and end everything."""
        self._master.drain()
        self._master.signals.close()
        if self._server is not None:
            self._server.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._master.stop()

    def _application(self, loop: asyncio.AbstractEventLoop) -> Application:
        return Application(Engines(self._master, self._pool, loop), self._host in LOOPBACK_HOSTS)
