"""Runs a master in a process of its own, for tests that kill it: DATA_DIR PORT MARKER SLOTS; prints its port."""

import logging
import signal
import sys
import threading
from pathlib import Path

from pdk.determined.api.server import DeterminedServer
from pdk.determined.master.master import Master
from pdk.determined.master.settings import MasterSettings


def main():
    data_dir, port, marker, slots = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    settings = MasterSettings(
        data_dir=Path(data_dir), marker_prefix=marker, max_concurrent_trials=int(slots), stop_grace=3.0
    )
    server = DeterminedServer(Master(settings), port=int(port))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    server.start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    stopping.wait()
    server.stop()


if __name__ == "__main__":
    main()
