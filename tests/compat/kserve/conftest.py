"""A Kubernetes API server over a real socket, or the cluster the environment names, and the clients of it."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess

import pytest
import targets
from kubernetes import client as kubernetes
from kubernetes import config
from targets import NAMESPACE

from pdk.base import clock
from pdk.db.database import Database
from pdk.kserve.kinds.initial_objects import install_initial_objects
from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.api.kubeconfig import write_kubeconfig
from pdk.kubernetes.api.pki import make_tls_files
from pdk.kubernetes.api.server import KubernetesApi
from pdk.kubernetes.store.metadata import timestamp
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

ISVC = "inferenceservices.serving.kserve.io"
POD = "churn-predictor-00002-deployment-5d8f-x7k2p"
MANIFEST = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "churn", "namespace": NAMESPACE, "annotations": {"pach_id": "1"}},
    "spec": {
        "predictor": {
            "serviceAccountName": "sa",
            "model": {"modelFormat": {"name": "pytorch"}, "protocolVersion": "v1", "storageUri": "s3://models/v1/"},
        }
    },
}


class Clients:
    """kubectl with the cluster's kubeconfig; `store` reads what is stored."""

    def environment(self):
        # A folder of its own for kubectl's discovery cache, and nothing of the developer's settings.
        return {"HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig), "PATH": os.environ["PATH"]}

    def command(self, *arguments, binary="kubectl", stdin=None, timeout=30):
        if stdin is not None and not isinstance(stdin, str):
            stdin = json.dumps(stdin)
        return subprocess.run(
            [binary, *arguments],
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def kubectl(self, *arguments, stdin=None):
        """Run kubectl, expect it to succeed, return its output."""
        done = self.command(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments, stdin=None):
        """Run kubectl, expect it to fail, return what it says."""
        done = self.command(*arguments, stdin=stdin)
        assert done.returncode != 0, done.stdout
        return done.stderr

    @contextlib.contextmanager
    def background(self, *arguments):
        """Run kubectl as long as the block lasts."""
        process = subprocess.Popen(
            ["kubectl", *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


class NamedCluster(Clients):
    """A cluster that runs elsewhere, in a namespace of this run's own; every test finds it empty."""

    def __init__(self, folder):
        self.kubeconfig = folder / "kubeconfig"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        shutil.copyfile(targets.KUBECONFIG, self.kubeconfig)
        self.store = self
        self.kubectl("config", "set-context", "--current", f"--namespace={NAMESPACE}")

    def get(self, resource, namespace, name):
        return json.loads(self.kubectl("get", resource, name, "-n", namespace, "-o", "json", "--show-managed-fields"))

    def find(self, resource, namespace, name):
        found = self.kubectl("get", resource, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found else None

    def stop(self):
        kinds = "inferenceservices,secrets,configmaps,serviceaccounts"
        self.kubectl("delete", kinds, "--all", f"--namespace={NAMESPACE}", "--timeout=60s")


class Cluster(Clients):
    """The server on one state folder; it can be stopped and started again, as after a crash."""

    def __init__(self, folder):
        self.folder = folder
        self.token = secrets.token_urlsafe(24)
        self.kubeconfig = folder / "kubeconfig"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.port = 0

    def start(self, history_rows=4096):
        self.db = Database(self.folder / "kube.db", OBJECT_MIGRATIONS)
        self.store = ObjectStore(self.db, Changes(), serving_resources(), history_rows=history_rows)
        self.logs = PodLogs(self.folder / "logs")
        install_initial_objects(self.store, ingress_port=8085)
        self.tls = make_tls_files(self.folder / "tls")
        self.api = KubernetesApi(self.store, self.logs, self.tls, self.token, port=self.port)
        self.api.start()
        self.port = self.api.port
        write_kubeconfig(self.kubeconfig, self.api.url, self.tls.ca_certificate, self.token, NAMESPACE)
        return self

    def stop(self):
        self.api.stop()
        self.db.close()

    def serve_churn(self):
        """Put there what the controller would: a ready InferenceService with its pod, logs and an event."""
        isvc = self.store.create(ISVC, MANIFEST)
        owner = {
            "apiVersion": isvc["apiVersion"],
            "kind": isvc["kind"],
            "name": "churn",
            "uid": isvc["metadata"]["uid"],
        }
        self.store.update_status(
            ISVC, {"metadata": {"name": "churn", "namespace": NAMESPACE}, "status": ready_status()}
        )
        labels = {"serving.kserve.io/inferenceservice": "churn", "component": "predictor"}
        self.store.apply_owned("pods", pod(labels, owner))
        for number in range(5):
            self.logs.append(NAMESPACE, POD, "kserve-container", f"line {number}")
        self.logs.append(NAMESPACE, POD, "storage-initializer", "copied 2 files")
        self.store.create("events", event(isvc))
        return isvc


def ready_status(revision="churn-predictor-00002"):
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": timestamp()}
        for kind in ("IngressReady", "PredictorReady", "Ready")
    ]
    traffic = [
        {"latestRevision": True, "percent": 80, "revisionName": revision},
        {"latestRevision": False, "percent": 20, "revisionName": "churn-predictor-00001", "tag": "prev"},
    ]
    return {
        "conditions": conditions,
        "url": "http://churn.models.example.com",
        "observedGeneration": 1,
        "components": {"predictor": {"latestReadyRevision": revision, "traffic": traffic}},
        "modelStatus": {"transitionStatus": "UpToDate", "states": {"targetModelState": "Loaded"}},
    }


def pod(labels, owner):
    running = {"running": {"startedAt": timestamp()}}
    done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    return {
        "metadata": {
            "name": POD,
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": {"kubectl.kubernetes.io/default-container": "kserve-container"},
            "ownerReferences": [owner],
        },
        "spec": {
            "initContainers": [{"name": "storage-initializer", "image": "storage-initializer"}],
            "containers": [
                {"name": "kserve-container", "image": "torchserve"},
                {"name": "queue-proxy", "image": "queue"},
            ],
        },
        "status": {
            "phase": "Running",
            "initContainerStatuses": [container_status("storage-initializer", done)],
            "containerStatuses": [
                container_status("kserve-container", running, restarts=1),
                container_status("queue-proxy", running),
            ],
        },
    }


def container_status(name, state, restarts=0):
    return {"name": name, "image": name, "imageID": "", "ready": True, "restartCount": restarts, "state": state}


def event(isvc):
    involved = {"apiVersion": isvc["apiVersion"], "kind": isvc["kind"], "name": "churn", "namespace": NAMESPACE}
    return {
        "metadata": {"generateName": "churn.", "namespace": NAMESPACE},
        "involvedObject": involved | {"uid": isvc["metadata"]["uid"]},
        "type": "Normal",
        "reason": "InferenceServiceReady",
        "message": "InferenceService [churn] is Ready",
        "source": {"component": "v1beta1Controllers"},
        "firstTimestamp": timestamp(),
        "lastTimestamp": clock.rfc3339_now(),
        "count": 1,
    }


@pytest.fixture(scope="session", autouse=True)
def namespace():
    """Where the named cluster keeps this run's objects."""
    if targets.KUBECONFIG is None:
        yield
        return
    core = kubernetes.CoreV1Api(config.new_client_from_config(targets.KUBECONFIG))
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    yield
    core.delete_namespace(NAMESPACE)


@pytest.fixture
def cluster(tmp_path):
    """A running cluster, every client pointed at it by `cluster.kubeconfig`."""
    folder = tmp_path / "cluster"
    running = NamedCluster(folder) if targets.KUBECONFIG else Cluster(folder).start()
    yield running
    running.stop()


@pytest.fixture
def kube(cluster):
    """The same, where kubectl is there to use it."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return cluster


@pytest.fixture
def manifest():
    """An InferenceService to change and send."""
    return json.loads(json.dumps(MANIFEST))
