"""A controller over a data folder, with a stand-in for TorchServe."""

import json
from dataclasses import replace

import pytest
from predictor_node import PredictorNode
from waiting import wait_until

from pdk.kserve.controller.controller import KServeController
from pdk.kserve.controller.inference_services import InferenceServices
from pdk.kserve.predictor.settings import ModelLimits

ISVC = "inferenceservices.serving.kserve.io"
LIMITS = ModelLimits(load_timeout=20.0, drain_timeout=3.0, stop_grace=2.0, backoff=0.3, max_backoff=0.3)


class Cluster(PredictorNode):
    """Applies InferenceServices and looks at what became of them; `again` is a restarted server."""

    def __init__(self, root, health_seconds=0.05, resync_seconds=0.5):
        super().__init__(root, replace(LIMITS, health_seconds=health_seconds))
        for name in ("default", "other"):
            if self.store.find("namespaces", "", name) is None:
                self.store.create("namespaces", {"metadata": {"name": name}})
        self.successor = None
        self.controller = KServeController(self.node, resync_seconds=resync_seconds)
        self.controller.start()

    def again(self, **settings):
        """What a server killed at this moment comes back as: nothing is told to the old one's processes."""
        self.controller.stop(keep_predictors=True)
        self.successor = Cluster(self.root, **settings)
        return self.successor

    def stop(self):
        """Stop this server and all it came back as."""
        if self.successor is not None:
            self.successor.stop()
        self.controller.stop()

    def apply(self, uri, name="churn", annotations=None, **predictor):
        spec = {"predictor": {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": uri}, **predictor}}
        if self.store.find(ISVC, "default", name) is None:
            metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
            return self.store.create(ISVC, {"metadata": metadata, "spec": spec})

        def change(old):
            old["metadata"]["annotations"] = annotations or {}
            return old | {"spec": spec}

        return self.store.edit(ISVC, "default", name, change)

    def serve(self, model, annotations=None):
        """Apply a new model as revision 1 of churn, wait until it serves, and return its address."""
        uri = self.model(model)
        self.apply(uri, annotations=annotations)
        self.ready(1)
        return uri

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

    def numbers(self):
        return [revision.number for revision in self.revisions.all()]

    def pid(self):
        """The process of the oldest revision."""
        return self.revisions.all()[0].process.pid

    def events(self):
        return [(each["type"], each["reason"], each["message"]) for each in self.store.list("events")[0]]


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()
    cluster.end_processes()


@pytest.fixture
def looks(cluster, monkeypatch):
    """For every look at a service that ended, the store's revision when it began; of servers started from now on."""
    looks = []

    def look(services, key, reconcile=InferenceServices.reconcile):
        began_at = cluster.store.revision()
        delay = reconcile(services, key)
        looks.append(began_at)
        return delay

    monkeypatch.setattr(InferenceServices, "reconcile", look)
    return looks
