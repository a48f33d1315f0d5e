"""What a server's predictors work on: a data folder and a stand-in for TorchServe."""

import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

from pdk.db.database import Database
from pdk.kserve.kinds.registry import serving_resources
from pdk.kserve.predictor.node import Node
from pdk.kserve.predictor.revisions import MIGRATIONS, Revisions
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.kserve.predictor.settings import PredictorSettings
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.process import tree
from pdk.reconcile.changes import Changes

FAKE_TORCHSERVE = Path(__file__).with_name("fake_torchserve.py")


class PredictorNode:
    """A node under `root`; another one under the same `root` is what a restarted server has.

    `java` is what starts TorchServe; if there is none given, it starts fake_torchserve.py.
    """

    def __init__(self, root, limits, java=None):
        self.root = root
        db = Database(root / "db", [*OBJECT_MIGRATIONS, *MIGRATIONS])
        self.store = ObjectStore(db, Changes(), serving_resources())
        self.revisions = Revisions(db)
        self.logs = PodLogs(root / "logs")
        self.routes = ServiceRoutes()
        settings = PredictorSettings(
            root=root / "models", marker_prefix=f"test-predictor/{root}/", python=Path(sys.executable),
            environment={"PATH": os.environ["PATH"]}, temp=Path(tempfile.gettempdir()), java=java or fake_java(root),
            jvm_flags=(), mount_models=False, limits=limits,
        )  # fmt: skip
        self.node = Node(self.store, self.revisions, self.logs, self.routes, settings)

    def model(self, name="model", behaviour=None, probe=None):
        """Store a model with one archive and return its address; `behaviour` is what TorchServe does with it."""
        folder = self.root / "sources" / name
        probes = {} if probe is None else {"probe.json": json.dumps(probe)}
        write_archive(folder / "model-store/m.mar", {"modelName": "m", "modelVersion": "1", "handler": "h.py"}, probes)
        if behaviour is not None:
            (folder / "model-store/behaviour.json").write_text(json.dumps(behaviour))
        return folder.as_uri()

    def processes(self):
        """The pids of all that was started for revisions and still runs."""
        return tree.find_marked(self._is_ours)

    def end_processes(self):
        """End all that was started for revisions."""
        tree.kill_marked(self._is_ours)

    def _is_ours(self, marker):
        return marker.startswith(self.node.settings.marker_prefix)


def fake_java(folder):
    """A program in `folder` that starts fake_torchserve.py, whatever it is asked to start."""
    program = folder / "java"
    if not program.exists():
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {FAKE_TORCHSERVE} "$@"\n')
        program.chmod(0o755)
    return program


def write_archive(path, model, files):
    """Write a model archive with a manifest about `model`, an empty handler and `files` (text by name)."""
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": model}))
        for name, text in {model["handler"]: "pass", **files}.items():
            archive.writestr(name, text)
