"""A pachd (pfs and the S3 gateway) on free ports, or the one the environment names, and the official client of it."""

import pytest
import targets
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
def client(request, monkeypatch):
    monkeypatch.delenv("PACH_PYTHON_AUTH_TOKEN", raising=False)
    if targets.PACHD is None:
        yield Client(host="127.0.0.1", port=request.getfixturevalue("pfs_server").server.port)
        return
    host, port = targets.split(targets.PACHD)
    client = Client(host=host, port=port)
    yield client
    remove_own(client)


def remove_own(client):
    """Remove the pipelines, repos and projects whose names are this run's."""
    for info in client.pps.list_pipeline():
        if targets.SUFFIX in info.pipeline.name:
            client.pps.delete_pipeline(pipeline=info.pipeline, force=True)
    for info in list(client.pfs.list_repo()):
        if targets.SUFFIX in info.repo.name:
            client.pfs.delete_repo(repo=info.repo, force=True)
    for info in list(client.pfs.list_project()):
        if targets.SUFFIX in info.project.name:
            client.pfs.delete_project(project=info.project, force=True)


@pytest.fixture
def gateway(request, client):
    """Host and port of the S3 gateway over the files of `client`."""
    if targets.PACHD is None:
        return "127.0.0.1", request.getfixturevalue("pfs_server").gateway.port
    if targets.S3 is None:
        pytest.skip("PDK_TEST_S3 names no gateway of PDK_TEST_PACHD")
    return targets.split(targets.S3)
