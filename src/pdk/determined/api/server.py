"""The HTTP server of a master: uvicorn on a thread of its own.

Built by the composition root:

    server = DeterminedServer(Master(MasterSettings(...)), host="127.0.0.1", port=8080)
    server.start(); server.ports == {"master": 8080}; server.stop()
"""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import uvicorn

from pdk.determined.api.app import Application
from pdk.determined.api.routes import ROUTES
from pdk.determined.api.routing import Router
from pdk.determined.api.waiting import Engines
from pdk.determined.master.master import Master

WORKER_THREADS = 8
START_SECONDS = 20.0
BACKLOG = 128
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class DeterminedServer:
    """Serves one master; `port` 0 takes a free one."""

    def __init__(self, master: Master, host: str = "127.0.0.1", port: int = 8080) -> None:
        self._master = master
        self._host = host
        self._wanted_port = port
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._pool = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="determined-api")
        self._thread = threading.Thread(target=self._run, name="determined-http", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 before `start`."""
        return 0 if self._socket is None else int(self._socket.getsockname()[1])

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on, by purpose."""
        return {"master": self.port}

    @property
    def url(self) -> str:
        """Where clients and trials of this machine reach it."""
        host = "127.0.0.1" if self._host in ("", "0.0.0.0", "::") else self._host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Listen, answer, then start the trials; raises OSError when the port is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.create_server((self._host, self._wanted_port), family=family, backlog=BACKLOG)
        # Accepted connections inherit it. Without, each answer (headers and body are two sends) waits 40 ms for an ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failure is not None:
            raise RuntimeError("the HTTP server did not start") from self._failure
        self._master.start(self.url)

    def stop(self) -> None:
        """Let trials checkpoint within the master's grace, then stop answering and end everything."""
        self._master.drain()
        self._master.signals.close()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(10.0)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._master.stop()
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in start()
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        engines = Engines(self._master, self._pool, asyncio.get_running_loop())
        config = uvicorn.Config(
            Application(engines, Router(ROUTES), self._host in LOOPBACK_HOSTS),
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        assert self._socket is not None
        started = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not started.done():
            await asyncio.sleep(0.005)
        self._ready.set()
        await started
