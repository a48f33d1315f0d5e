"""A pachd (pfs and the S3 gateway) on free ports, and the official client of it."""

import pytest
from pachyderm_sdk import Client

from pdk.db.database import Database
from pdk.pachyderm.api.admin import AdminService
from pdk.pachyderm.api.files import FileService
from pdk.pachyderm.api.pfs import PfsService
from pdk.pachyderm.api.s3 import S3Gateway
from pdk.pachyderm.api.server import PachdServer, methods_of
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.store.pfs_schema import MIGRATIONS
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage


class PfsServer:
    """What the composition of pachd makes, without pps."""

    def __init__(self, root):
        self.db = Database(root / "pachd.db", MIGRATIONS)
        self.storage = FileSetStorage(root / "storage", self.db)
        self.changes = Changes()
        self.pfs = Pfs(self.db, self.storage, self.changes)
        wire = Wire()
        services = [AdminService(wire, "cluster"), PfsService(wire, self.pfs), FileService(wire, self.pfs)]
        self.server = PachdServer(wire, map(methods_of, services), self.changes)
        self.gateway = S3Gateway(self.pfs)

    def start(self):
        self.server.start()
        self.gateway.start()
        return self

    def stop(self):
        self.gateway.stop()
        self.server.stop()
        self.storage.close()
        self.db.close()


@pytest.fixture
def pfs_server(tmp_path):
    server = PfsServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def client(pfs_server, monkeypatch):
    monkeypatch.delenv("PACH_PYTHON_AUTH_TOKEN", raising=False)
    return Client(host="127.0.0.1", port=pfs_server.server.port)
