"""A controller over a data folder, with a stand-in for TorchServe."""

import json
import os
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import wait_until

from pdk.db.database import Database
from pdk.kserve.controller.controller import KServeController
from pdk.kserve.kinds.registry import serving_resources
from pdk.kserve.predictor.node import Node
from pdk.kserve.predictor.revisions import MIGRATIONS, Revisions
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.kserve.predictor.settings import ModelLimits, PredictorSettings
from pdk.kubernetes.store.objects import OBJECT_MIGRATIONS, ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.process import tree
from pdk.reconcile.changes import Changes

ISVC = "inferenceservices.serving.kserve.io"
FAKE = Path(__file__).parents[1] / "predictor/fake_torchserve.py"
LIMITS = ModelLimits(load_timeout=20.0, drain_timeout=3.0, stop_grace=2.0, backoff=0.3, max_backoff=0.3)


class Cluster:
    """Applies InferenceServices and looks at what became of them; `again` is a restarted server."""

    def __init__(self, root, health_seconds=0.05, resync_seconds=0.5):
        self.root = root
        java = root / "java"
        if not java.exists():
            java.write_text(f'#!/bin/sh\nexec {sys.executable} -S {FAKE} "$@"\n')
            java.chmod(0o755)
        self.db = Database(root / "db", [*OBJECT_MIGRATIONS, *MIGRATIONS])
        self.store = ObjectStore(self.db, Changes(), serving_resources())
        for name in ("default", "other"):
            if self.store.find("namespaces", "", name) is None:
                self.store.create("namespaces", {"metadata": {"name": name}})
        self.revisions = Revisions(self.db)
        self.routes = ServiceRoutes()
        self.logs = PodLogs(root / "logs")
        self.predictor = PredictorSettings(
            root=root / "models", marker_prefix=f"test-controller/{root}/", python=Path(sys.executable),
            environment={"PATH": os.environ["PATH"]}, temp=Path(tempfile.gettempdir()), java=java,
            jvm_flags=(), mount_models=False, limits=replace(LIMITS, health_seconds=health_seconds),
        )  # fmt: skip
        node = Node(self.store, self.revisions, self.logs, self.routes, self.predictor)
        self.controller = KServeController(node, resync_seconds=resync_seconds)
        self.controller.start()

    def again(self):
        """What a server killed at this moment comes back as: nothing is told to the old one's processes."""
        self.controller.stop(keep_predictors=True)
        return Cluster(self.root)

    def model(self, name, behaviour=None):
        store = self.root / "sources" / name / "model-store"
        store.mkdir(parents=True)
        manifest = {"model": {"modelName": "m", "modelVersion": "1", "handler": "h.py"}}
        with zipfile.ZipFile(store / "m.mar", "w") as archive:
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            archive.writestr("h.py", "pass")
        if behaviour is not None:
            (store / "behaviour.json").write_text(json.dumps(behaviour))
        return (self.root / "sources" / name).as_uri()

    def apply(self, uri, name="churn", annotations=None, **predictor):
        spec = {"predictor": {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": uri}, **predictor}}
        if self.store.find(ISVC, "default", name) is None:
            metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
            return self.store.create(ISVC, {"metadata": metadata, "spec": spec})

        def change(old):
            old["metadata"]["annotations"] = annotations or {}
            return old | {"spec": spec}

        return self.store.edit(ISVC, "default", name, change)

    def isvc(self, name="churn"):
        return self.store.find(ISVC, "default", name)

    def status(self, name="churn"):
        return (self.isvc(name) or {}).get("status") or {}

    def condition(self, kind="Ready", name="churn"):
        return next((each for each in self.status(name).get("conditions", []) if each["type"] == kind), {})

    def rolled_out(self, name="churn"):
        return self.status(name).get("components", {}).get("predictor", {}).get("latestRolledoutRevision")

    def until(self, predicate, timeout=15.0):
        return wait_until(predicate, timeout, lambda: json.dumps(self.status(), indent=1))

    def ready(self, number, name="churn"):
        """Wait until revision `number` has all the traffic."""
        wanted = f"{name}-predictor-{number:05d}"
        self.until(lambda: self.rolled_out(name) == wanted and self.condition("Ready", name).get("status") == "True")
        return self.status(name)

    def targets(self, name="churn"):
        route = self.routes.get(f"default/{name}")
        return [] if route is None else [(backend.revision[-1], percent) for backend, percent in route.targets]

    def processes(self):
        return tree.find_marked(lambda marker: marker.startswith(self.predictor.marker_prefix))

    def events(self):
        return [(each["type"], each["reason"], each["message"]) for each in self.store.list("events")[0]]


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.controller.stop()
    tree.kill_marked(lambda marker: marker.startswith(cluster.predictor.marker_prefix))
