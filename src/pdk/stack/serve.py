"""Runs one server in this process until it is told to stop; each system has its own composition module.

Called by `pdk serve <system>`. Only the module of the system that is served is imported.
"""

import importlib
import signal
import threading
from collections.abc import Mapping
from typing import Protocol

from pdk.base.errors import Unavailable
from pdk.stack import runfile
from pdk.stack.settings import Settings

COMPOSITIONS = {
    "pachyderm": "pdk.stack.pachyderm",
    "determined": "pdk.stack.determined",
    "kserve": "pdk.stack.kserve",
}

PORT_SETTINGS = {
    "pachyderm": ("pachd_port", "s3_port"),
    "determined": ("master_port",),
    "kserve": ("kubernetes_port", "ingress_port"),
}


class RunningServer(Protocol):
    """What a composition module's `start` returns."""

    @property
    def ports(self) -> dict[str, int]:
        """The ports it listens on, by purpose."""
        ...

    def stop(self) -> None:
        """Stop listening and end the work loops; state on disk is complete at any time."""
        ...


def serve(system: str, settings: Settings, environment: Mapping[str, str]) -> None:
    """Start `system`, say where it listens in its run file, and stop it on SIGTERM or SIGINT (main thread only).

    Raises FailedPrecondition when this stack's `system` runs already.
    """
    with runfile.only_one(settings.run_dir, system):
        _serve(system, settings, environment)


def _serve(system: str, settings: Settings, environment: Mapping[str, str]) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    composition = importlib.import_module(COMPOSITIONS[system])
    try:
        server: RunningServer = composition.start(settings, environment)
    except Unavailable as error:
        names = " and ".join(PORT_SETTINGS[system])
        raise Unavailable(f"{error}. Other ports: {names} in {settings.home / 'config.toml'}") from error
    runfile.write(settings.run_dir, system, server.ports)
    try:
        stopping.wait()
    finally:
        runfile.remove(settings.run_dir, system)
        server.stop()
