"""What all revisions of a server share, as pods share their node. Built by `pdk.stack`."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pdk.kserve.predictor.launch import Folders, LaunchBuilder
from pdk.kserve.predictor.revisions import Revision, Revisions
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.kserve.predictor.settings import PredictorSettings
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.process.child import Launcher, SubprocessLauncher

# The containers of a pod, by the names their logs are asked for.
INITIALIZER = "storage-initializer"


@dataclass(frozen=True)
class Node:
    """`store` and `revisions` are in one database; `routes` is the ingress' table."""

    store: ObjectStore
    revisions: Revisions
    logs: PodLogs
    routes: ServiceRoutes
    settings: PredictorSettings
    launcher: Launcher = field(default_factory=SubprocessLauncher)

    @functools.cached_property
    def builder(self) -> LaunchBuilder:
        """Makes launches of TorchServe."""
        return LaunchBuilder(self.settings)

    def marker(self, revision: Revision, work: Literal["fetch", "serve"]) -> str:
        """Return what marks a process of a revision."""
        return f"{self.settings.marker_prefix}{revision.key}/{work}"

    def folders(self, revision: Revision) -> Folders:
        """Return where a revision lives; short, since TorchServe's sockets lie below it."""
        return Folders(self.settings.root / revision.uid.replace("-", "")[:12] / str(revision.number))

    def log(self, revision: Revision, container: str) -> Path:
        """Return the file that is the log of a container."""
        return self.logs.path(revision.namespace, revision.pod, container)
