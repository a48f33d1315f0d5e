"""Composes pachd: storage, pfs, pps, the gRPC server, the S3 gateway. Imported by `serve` only when pachd is served."""

import logging
from collections.abc import Mapping
from pathlib import Path

from pdk.base import ids
from pdk.base.errors import InvalidArgument
from pdk.db.database import Database
from pdk.pachyderm.api.admin import AdminService
from pdk.pachyderm.api.files import FileService
from pdk.pachyderm.api.pfs import PfsService
from pdk.pachyderm.api.pps import PpsService
from pdk.pachyderm.api.s3 import S3Gateway
from pdk.pachyderm.api.server import PachdServer, methods_of
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.garbage import garbage_collector
from pdk.pachyderm.pps.engine import Pps
from pdk.pachyderm.pps.images import ImageMap, ImageTarget
from pdk.pachyderm.pps.settings import PpsSettings
from pdk.pachyderm.store import pfs_schema, pps_schema
from pdk.process.child import SubprocessLauncher
from pdk.reconcile.changes import Changes
from pdk.stack import clients, images
from pdk.stack.settings import Settings
from pdk.storage.filesets import FileSetStorage

logger = logging.getLogger(__name__)


class Pachd:
    """A running pachd."""

    def __init__(self, settings: Settings) -> None:
        """Open the data folder and serve it; raise Unavailable when a port is taken."""
        data = settings.home / "pachyderm"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = Database(data / "pachd.db", [*pfs_schema.MIGRATIONS, *pps_schema.MIGRATIONS])
        changes = Changes()
        self._storage = FileSetStorage(data / "storage", self._db)
        pfs = Pfs(self._db, self._storage, changes)
        self._garbage = garbage_collector(pfs)
        pps_settings = PpsSettings(data, f"{settings.marker_prefix}pachyderm/", threads=settings.omp_threads)
        self._pps = Pps(self._db, pfs, changes, SubprocessLauncher(), image_map(settings), pps_settings)
        wire = Wire()
        services = (
            methods_of(AdminService(wire, _cluster_id(data / "cluster-id"))),
            methods_of(PfsService(wire, pfs)),
            methods_of(FileService(wire, pfs)),
            methods_of(PpsService(wire, self._pps)),
        )
        self._server = PachdServer(wire, services, changes, settings.host, settings.pachd_port)
        self._gateway = S3Gateway(pfs, settings.host, settings.s3_port)
        self._server.start()
        self._gateway.start()
        clients.write_pachyderm_config(settings.pachyderm_config, settings.host, self._server.port)
        self._pps.start(settings.host, self._server.port)
        self._garbage.start()

    @property
    def ports(self) -> dict[str, int]:
        """The gRPC port and the S3 gateway's."""
        return {"grpc": self._server.port, "s3": self._gateway.port}

    def stop(self) -> None:
        """Stop serving, end user code; its datums run again after the next start."""
        self._garbage.stop()
        self._pps.stop()
        self._gateway.stop()
        self._server.stop()
        self._storage.close()
        self._db.close()


def image_map(settings: Settings) -> ImageMap:
    """Return what stands in for images: this repository's containers, then what the settings add or replace.

    The interpreter's folder comes first on PATH, so `python` in a pipeline spec is the one with the clients; KUBECONFIG
    stands in for the service account a pod would have.
    """
    fixed = {**images.shipped(), **settings.images}
    known: dict[str, images.ImageEntry] = {}

    def entries() -> Mapping[str, ImageTarget]:
        try:
            known_now = images.read(settings.home)
        except InvalidArgument as error:
            logger.error("%s: going on with what was read before", error)
            known_now = dict(known)
        known.clear()
        known.update(known_now)
        return {name: _target(entry, settings) for name, entry in {**fixed, **known}.items()}

    return ImageMap(entries)


def _target(entry: images.ImageEntry, settings: Settings) -> ImageTarget:
    interpreters = Path(entry.python or settings.python).parent
    environment = {
        "PATH": f"{interpreters}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "KUBECONFIG": str(settings.kubeconfig),
    }
    if entry.trust_checkpoints:
        environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    return ImageTarget(Path(entry.folder), {**environment, **entry.env}, trusts_checkpoints=entry.trust_checkpoints)


def _cluster_id(path: Path) -> str:
    """Return the id of this cluster, made once; clients remember it."""
    if not path.exists():
        temporary = path.with_suffix(".new")
        temporary.write_text(ids.new_id())
        temporary.replace(path)
    return path.read_text()


def start(settings: Settings, environment: Mapping[str, str]) -> Pachd:
    """Start pachd; nothing of the server's own environment reaches user code."""
    return Pachd(settings)
