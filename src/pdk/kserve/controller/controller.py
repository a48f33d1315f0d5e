"""The InferenceService controller: its work loop, the watch that wakes it, and taking over after a restart.

Built by `pdk.stack`: `KServeController(...)`, `start()` before the ingress, `stop()` after it.
"""

import logging
import threading
from dataclasses import dataclass

from pdk.db.database import Database
from pdk.kserve.controller.inference_services import InferenceServices
from pdk.kserve.controller.publishing import INFERENCE_SERVICES
from pdk.kserve.predictor.lifecycle import Lifecycle
from pdk.kserve.predictor.node import Node
from pdk.kserve.predictor.revisions import Revisions
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.kserve.predictor.settings import PredictorSettings
from pdk.kubernetes.errors import Expired
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.reconcile.loop import Reconciler

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ControllerSettings:
    """`domain` is the last part of every `status.url`; the resync looks at every InferenceService again, in seconds."""

    domain: str = "example.com"
    resync_seconds: float = 10.0
    workers: int = 2


class KServeController:
    """Owns the routing table's content and every TorchServe of this server."""

    def __init__(
        self,
        db: Database,
        store: ObjectStore,
        logs: PodLogs,
        routes: ServiceRoutes,
        predictor: PredictorSettings,
        settings: ControllerSettings | None = None,
    ) -> None:
        """`db` is the one `store` uses, opened with the migrations of `store.revisions` too."""
        self._store = store
        self._settings = settings or ControllerSettings()
        revisions = Revisions(db)
        self.lifecycle = Lifecycle(Node(store, revisions, logs, routes, predictor))
        self._services = InferenceServices(store, revisions, self.lifecycle, routes, self._settings.domain)
        self._loop = Reconciler(
            "inferenceservice",
            self._services.reconcile,
            self._services.list_keys,
            self._settings.resync_seconds,
            self._settings.workers,
        )
        routes.on_unreachable = self._loop.enqueue
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="inferenceservice-watch", daemon=True)

    def start(self) -> None:
        """Take over what runs, fill the routing table, then go on in the background."""
        self._seen = self._store.revision()
        self.lifecycle.adopt()
        for key in self._services.list_keys():
            self._first_look(key)
        self._loop.start()
        self._watcher.start()

    def _first_look(self, key: str) -> None:
        # The loop looks again at once, with its back-off; here one broken service must not keep the others from serving.
        try:
            self._services.reconcile(key)
        except Exception:
            logger.exception("first look at %s failed", key)

    def stop(self, keep_predictors: bool = False) -> None:
        """Stop the loop and, unless `keep_predictors`, end every TorchServe; the rows start them again next time."""
        self._stopping.set()
        self._store.changes.notify()
        self._loop.stop()
        if self._watcher.is_alive():
            self._watcher.join(5.0)
        if not keep_predictors:
            self.lifecycle.stop_all()

    def _watch(self) -> None:
        """Enqueue every InferenceService that changed; the resync covers what is missed."""
        while not self._stopping.is_set():
            version = self._store.changes.version
            self._enqueue_changes()
            self._store.changes.wait_newer(version, 5.0)

    def _enqueue_changes(self) -> None:
        try:
            events = self._store.changes_since(self._seen, INFERENCE_SERVICES)
        except Expired:
            self._seen = self._store.revision()
            for key in self._services.list_keys():
                self._loop.enqueue(key)
            return
        for event in events:
            self._seen = event.revision
            self._loop.enqueue(f"{event.namespace}/{event.object['metadata']['name']}")
