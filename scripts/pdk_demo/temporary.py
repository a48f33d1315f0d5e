"""A stack of its own in a temporary home on free ports; used by the end-to-end tests and the loop benchmark."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pdk.stack import settings, supervisor

PORTS = ("PACHD_PORT", "S3_PORT", "MASTER_PORT", "KUBERNETES_PORT", "INGRESS_PORT")
# The last is set while `scripts/coverage` measures: the servers take part in it.
INHERITED = ("PATH", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG")


@dataclass(frozen=True)
class TemporaryStack:
    """A running stack: its settings, and the environment `pdk` needs to find it."""

    settings: settings.Settings
    environment: dict[str, str]

    def pdk(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a `pdk` command against it."""
        command = [sys.executable, "-m", "pdk.cli.main", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=300)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def temporary_environment(home: Path) -> dict[str, str]:
    """Return the environment of a stack that keeps everything below `home` and listens on free ports."""
    ports = {f"PDK_{name}": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "HOME": str(home), "PDK_HOME": str(home / "pdk"), "OMP_NUM_THREADS": "1", **ports}


@contextlib.contextmanager
def temporary_stack() -> Iterator[TemporaryStack]:
    """Start a stack, yield it, end it with everything it started and remove its home.

    Raises RuntimeError with the output of `pdk up` when it does not come up.
    """
    home = Path(tempfile.mkdtemp(prefix="pdk-"))
    environment = temporary_environment(home)
    stack = TemporaryStack(settings.load(environment), environment)
    try:
        started = stack.pdk("up")
        if started.returncode != 0:
            raise RuntimeError(started.stdout + started.stderr)
        yield stack
    finally:
        supervisor.stop(stack.settings)
        shutil.rmtree(home, ignore_errors=True)
