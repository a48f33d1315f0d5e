"""Keeps the servers of one stack running: starts each as its own process, restarts what ends, ends all on request.

`pdk up` starts it detached; `pdk down` ends it. A server that ends is started again after a growing delay, so a crash
stays in one system. Processes are marked (`pdk.process.tree`): what a killed supervisor leaves, the next one finds.
"""

import logging
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pdk.base.errors import FailedPrecondition, Unavailable
from pdk.process import tree
from pdk.process.child import Child, ChildSpec, Launcher, SubprocessLauncher, reap_leftovers
from pdk.stack import runfile
from pdk.stack.settings import SYSTEMS, Settings

logger = logging.getLogger(__name__)

SUPERVISOR = "supervisor"
FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
# A server that ran this long is restarted without delay again.
HEALTHY_AFTER_SECONDS = 30.0


@dataclass
class Server:
    """One supervised server process."""

    system: str
    child: Child | None = None
    started: float = 0.0
    restart_at: float = 0.0
    delay: float = FIRST_DELAY
    restarts: int = field(default=0)


class Supervisor:
    """Starts `pdk serve <system>` for each of `systems` and restarts what ends."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        systems: tuple[str, ...] = SYSTEMS,
        launcher: Launcher | None = None,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._launcher = launcher or SubprocessLauncher()
        self._servers = [Server(system) for system in systems]
        self._stop = threading.Event()

    def run(self) -> None:
        """Supervise until SIGTERM or SIGINT, then end the servers; must be called in the main thread.

        Raises FailedPrecondition, with nothing touched, when this stack has a supervisor already.
        """
        with runfile.only_one(self._settings.run_dir, SUPERVISOR):
            self._run()

    def _run(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        signal.signal(signal.SIGINT, lambda *_: self._stop.set())
        reap_leftovers(self._marker(""))
        for server in self._servers:
            runfile.write_restarts(self._settings.run_dir, server.system, 0)
        runfile.write(self._settings.run_dir, SUPERVISOR, {})
        try:
            while not self._stop.is_set():
                for server in self._servers:
                    self._look_after(server)
                self._stop.wait(0.2)
        finally:
            self._end_all()
            runfile.remove(self._settings.run_dir, SUPERVISOR)

    def _marker(self, system: str) -> str:
        return f"{self._settings.marker_prefix}server/{system}"

    def _look_after(self, server: Server) -> None:
        now = time.monotonic()
        if server.child is None:
            if now >= server.restart_at:
                self._start(server)
            return
        status = server.child.poll()
        if status is None:
            return
        server.child.wait()
        server.child = None
        if now - server.started > HEALTHY_AFTER_SECONDS:
            server.delay = FIRST_DELAY
        logger.error("%s ended with status %s; starting it again in %.1f s", server.system, status, server.delay)
        server.restart_at = now + server.delay
        server.delay = min(server.delay * 2, LONGEST_DELAY)
        server.restarts += 1
        runfile.write_restarts(self._settings.run_dir, server.system, server.restarts)

    def _start(self, server: Server) -> None:
        settings = self._settings
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        spec = ChildSpec(
            marker=self._marker(server.system),
            argv=[settings.python, "-m", "pdk.cli.main", "serve", server.system],
            env={**self._environment, "PDK_HOME": str(settings.home)},
            cwd=settings.home,
            log_path=settings.log_dir / f"{server.system}.log",
        )
        server.child = self._launcher.start(spec)
        server.started = time.monotonic()
        logger.info("%s started as process %d", server.system, server.child.pid)

    def _end_all(self) -> None:
        children = [server.child for server in self._servers if server.child is not None]
        for child in children:
            tree.signal_group(child.pid, signal.SIGTERM)
        for child in children:
            child.terminate(grace=8.0)


# A server that ended so often before it came up once will not come up: `pdk up` gives up.
HOPELESS_RESTARTS = 3


def start_detached(settings: Settings, environment: Mapping[str, str], systems: tuple[str, ...]) -> None:
    """Start the supervisor as a process of its own that outlives this one."""
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    SubprocessLauncher().start(
        ChildSpec(
            marker=f"{settings.marker_prefix}{SUPERVISOR}",
            argv=[settings.python, "-m", "pdk.cli.main", "supervise", *systems],
            env={**environment, "PDK_HOME": str(settings.home)},
            cwd=settings.home,
            log_path=settings.log_dir / f"{SUPERVISOR}.log",
        )
    )


def wait_ready(settings: Settings, systems: tuple[str, ...], timeout: float) -> dict[str, runfile.RunFile]:
    """Wait until every system has written its run file; return them by system.

    Raises Unavailable naming the systems that are missing and the end of their logs after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = {system: run for system in systems if (run := runfile.read(settings.run_dir, system)) is not None}
        missing = [system for system in systems if system not in found]
        if not missing:
            return found
        hopeless = [s for s in missing if runfile.read_restarts(settings.run_dir, s) >= HOPELESS_RESTARTS]
        if hopeless or time.monotonic() > deadline:
            raise Unavailable("\n".join(_why_missing(settings, system) for system in hopeless or missing))
        time.sleep(0.05)


def _why_missing(settings: Settings, system: str) -> str:
    log = settings.log_dir / f"{system}.log"
    return f"{system} does not come up; the end of {log}:\n{tail(log, 15)}"


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a log file, indented; empty text when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def stop(settings: Settings, timeout: float = 20.0) -> bool:
    """End the supervisor, its servers and everything they started; return whether anything ran.

    Raises FailedPrecondition when processes survive.
    """
    run = runfile.read(settings.run_dir, SUPERVISOR)
    if run is not None:
        tree.signal_pids([run.pid], signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while tree.is_alive(run.identity) and time.monotonic() < deadline:
            time.sleep(0.05)
    try:
        left = reap_leftovers(settings.marker_prefix)
    except TimeoutError as error:
        raise FailedPrecondition(f"could not end every process of {settings.home}: {error}") from error
    return run is not None or left > 0
