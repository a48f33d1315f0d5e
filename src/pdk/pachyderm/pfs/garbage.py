"""The background loop that collects garbage: once at the start, for what a killed server left, then every hour."""

from pdk.pachyderm.pfs.engine import Pfs
from pdk.reconcile.loop import Reconciler

INTERVAL_SECONDS = 3600.0


def garbage_collector(pfs: Pfs, interval: float = INTERVAL_SECONDS) -> Reconciler:
    """Return the loop; the caller starts and stops it."""

    def collect(key: str) -> None:
        pfs.collect_garbage()

    return Reconciler("garbage", collect, lambda: ["store"], interval, workers=1)
