"""Composes the Determined master and its REST server. Imported by `serve` only when the master is served."""

from collections.abc import Mapping

from pdk.determined.api.server import DeterminedServer
from pdk.determined.master.master import Master
from pdk.determined.master.settings import MasterSettings
from pdk.stack.settings import Settings


class Determined:
    """A running master."""

    def __init__(self, settings: Settings) -> None:
        """Open the data folder and serve it; raise Unavailable when the port is taken."""
        master = Master(
            MasterSettings(
                data_dir=settings.home / "determined",
                marker_prefix=f"{settings.marker_prefix}determined/",
                python=settings.python,
                max_concurrent_trials=settings.max_concurrent_trials,
            )
        )
        self._server = DeterminedServer(master, settings.host, settings.master_port)
        self._server.start()

    @property
    def ports(self) -> dict[str, int]:
        """The REST port."""
        return {"http": self._server.port}

    def stop(self) -> None:
        """Let trials save a checkpoint, stop serving; they go on from it after the next start."""
        self._server.stop()


def start(settings: Settings, environment: Mapping[str, str]) -> Determined:
    """Start the master; nothing of the server's own environment reaches trials."""
    return Determined(settings)
