"""The InferenceService controller: its work loop, the watch that wakes it, and taking over after a restart.

Built by `pdk.stack`; started before the ingress and stopped after it.
"""

import logging
import threading

from pdk.kserve.controller.inference_services import InferenceServices
from pdk.kserve.controller.publishing import INFERENCE_SERVICES
from pdk.kserve.predictor.lifecycle import Lifecycle
from pdk.kserve.predictor.node import Node
from pdk.kubernetes.errors import Expired
from pdk.reconcile.loop import Reconciler

logger = logging.getLogger(__name__)


class KServeController:
    """Owns the routing table's content and every TorchServe of this server."""

    def __init__(self, node: Node, domain: str = "example.com", resync_seconds: float = 10.0) -> None:
        """`domain` is the last part of every `status.url`; the resync looks at every InferenceService again."""
        self._store = node.store
        self._lifecycle = Lifecycle(node)
        self._services = InferenceServices(node, self._lifecycle, domain)
        reconcile, list_keys = self._services.reconcile, self._services.list_keys
        self._loop = Reconciler("inferenceservice", reconcile, list_keys, resync_seconds)
        node.routes.report_unreachable = self._loop.enqueue
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="inferenceservice-watch", daemon=True)

    def start(self) -> None:
        """Take over what runs, fill the routing table, then go on in the background."""
        self._seen = self._store.revision()
        self._lifecycle.adopt()
        for key in self._services.list_keys():
            try:
                self._services.reconcile(key)
            except Exception:
                # The loop looks again at once; one broken service must not keep the others from serving.
                logger.exception("first look at %s failed", key)
        self._loop.start()
        self._watcher.start()

    def stop(self, keep_predictors: bool = False) -> None:
        """Stop the loop and, unless `keep_predictors`, end every TorchServe; the rows start them again next time."""
        self._stopping.set()
        self._store.changes.notify()
        self._loop.stop()
        if self._watcher.is_alive():
            self._watcher.join(5.0)
        if not keep_predictors:
            self._lifecycle.stop_all()

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
