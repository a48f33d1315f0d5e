"""The controller and the ingress over one data folder, as the composition builds them; run as a script it is a server.

`python serving.py <root>` serves until it is killed and writes the ingress' port to `<root>/port`.
"""

import logging
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pdk.db.database import Database
from pdk.kserve.controller.controller import KServeController
from pdk.kserve.ingress.server import Ingress
from pdk.kserve.kinds.registry import serving_resources
from pdk.kserve.predictor.node import Node
from pdk.kserve.predictor.revisions import MIGRATIONS, Revisions
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.kserve.predictor.settings import ModelLimits, PredictorSettings
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

LIMITS = ModelLimits(
    load_timeout=60.0, drain_timeout=10.0, stop_grace=0.5, health_seconds=0.2, backoff=0.5, max_backoff=2.0
)


class Serving:
    """One server's worth: object store, logs, controller, ingress."""

    def __init__(self, root: Path, limits: ModelLimits = LIMITS, port: int = 0, **more):
        self.db = Database(root / "kserve.db", [*OBJECT_MIGRATIONS, *MIGRATIONS])
        self.store = ObjectStore(self.db, Changes(), serving_resources())
        if self.store.find("namespaces", "", "default") is None:
            self.store.create("namespaces", {"metadata": {"name": "default"}})
        self.logs = PodLogs(root / "logs")
        self.routes = ServiceRoutes()
        predictor = PredictorSettings(
            root=root / "models",
            marker_prefix=f"kserve-test/{root}/",
            python=Path(sys.executable),
            environment={key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ},
            temp=Path(tempfile.gettempdir()),
            limits=limits,
        )
        node = Node(self.store, Revisions(self.db), self.logs, self.routes, replace(predictor, **more))
        self.controller = KServeController(node, resync_seconds=0.3)
        self.ingress = Ingress(self.routes, "127.0.0.1", port)

    def start(self):
        self.controller.start()
        self.ingress.start()

    def stop(self):
        self.ingress.stop(1.0)
        self.controller.stop()
        self.db.close()


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    root = Path(sys.argv[1])
    port_file = root / "port"
    port = int(port_file.read_text()) if port_file.exists() else 0
    serving = Serving(root, port=port)
    serving.start()
    new = port_file.with_suffix(".new")
    new.write_text(str(serving.ingress.port))
    new.rename(port_file)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
