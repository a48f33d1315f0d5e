"""A whole pachd for tests: composed in this process, or run as a script so that a test can kill it.

python pachd_process.py <data folder> <file for the port> [<port>]
"""

import signal
import sys
import threading
from pathlib import Path

from pdk.db.database import Database
from pdk.pachyderm.api.admin import AdminService
from pdk.pachyderm.api.files import FileService
from pdk.pachyderm.api.pfs import PfsService
from pdk.pachyderm.api.pps import PpsService
from pdk.pachyderm.api.server import PachdServer, methods_of
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pps.engine import Pps
from pdk.pachyderm.pps.images import ImageMap, ImageTarget
from pdk.pachyderm.pps.settings import PpsSettings
from pdk.pachyderm.store import pfs_schema, pps_schema
from pdk.process.child import SubprocessLauncher
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage


class Pachd:
    """A running server; `stop` leaves its data folder ready for the next one."""

    def __init__(self, root, port=0, **settings):
        self.db = Database(root / "pachd.db", [*pfs_schema.MIGRATIONS, *pps_schema.MIGRATIONS])
        self.changes = Changes()
        self.storage = FileSetStorage(root / "storage", self.db)
        self.pfs = Pfs(self.db, self.storage, self.changes)
        mapped = {"mapped": ImageTarget(cwd=root / "image", env={"FROM_IMAGE": "yes"})}
        (root / "image").mkdir(exist_ok=True)
        images = ImageMap(lambda: mapped)
        self.marker_prefix = f"pdk-test-pps-{root}/"
        settings = PpsSettings(root / "pps", self.marker_prefix, **settings)
        self.pps = Pps(self.db, self.pfs, self.changes, SubprocessLauncher(), images, settings)
        wire = Wire()
        services = [
            methods_of(AdminService(wire, "test")),
            methods_of(PfsService(wire, self.pfs)),
            methods_of(FileService(wire, self.pfs)),
            methods_of(PpsService(wire, self.pps)),
        ]
        self.server = PachdServer(wire, services, self.changes, port=port)
        self.server.start()
        self.port = self.server.port
        self.pps.start("127.0.0.1", self.port)

    def stop(self):
        self.pps.stop()
        self.server.stop(grace=0.2)
        self.storage.close()
        self.db.close()


def main():
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    pachd = Pachd(Path(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    Path(sys.argv[2]).write_text(str(pachd.port))
    stopping.wait()
    pachd.stop()


if __name__ == "__main__":
    main()
