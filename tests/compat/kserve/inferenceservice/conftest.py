"""A server in this process, models to serve, and a client."""

import http.client
import importlib.util
import json
import threading
import time
import zipfile
from pathlib import Path

import pytest
from waiting import wait_until

ISVC = "inferenceservices.serving.kserve.io"
HANDLER = """
import json, os, time
from pathlib import Path
from ts.utils.util import PredictionException

class Handler:
    def initialize(self, context):
        self.version = context.manifest["model"]["modelVersion"]
        folder = Path(context.system_properties["model_dir"])
        settings = json.loads((folder / "settings.json").read_text())
        print("loading version", self.version)
        if settings.get("raise"):
            raise RuntimeError(settings["raise"])
        if settings.get("exit"):
            os._exit(settings["exit"])
        time.sleep(settings.get("sleep", 0))
        self.nan = settings.get("nan", False)

    def handle(self, data, context):
        if isinstance(data, list) and isinstance(data[0], dict) and "file" in data[0]:
            return [{name: bytes(part).hex() for name, part in each.items()} for each in data]
        return [self.answer(instance) for instance in data]

    def answer(self, instance):
        if instance == "bad":
            raise PredictionException("row 0: bad", 400)
        if instance == "raise":
            raise ValueError("a handler raised")
        if instance == "set":
            return {1}
        if instance == "huge":
            return "x" * 7_000_000
        if instance == "die":
            os._exit(3)
        if instance == "files":
            return sorted(os.listdir("/mnt/models"))
        if instance == "env":
            names = ("TS_SERVICE_ENVELOPE", "OMP_NUM_THREADS", "GREETING", "TMPDIR")
            return {name: os.environ.get(name) for name in names}
        if isinstance(instance, dict) and "sleep" in instance:
            time.sleep(instance["sleep"])
        return float("nan") if self.nan else self.version
"""


def load_serving():
    spec = importlib.util.spec_from_file_location("inferenceservice_serving", Path(__file__).with_name("serving.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build_model(folder: Path, version: str, name: str = "churn", settings=None, probe=None, config=True, **snapshot):
    """Write a model folder with a tiny handler that answers each instance with its version."""
    store = folder / "model-store"
    store.mkdir(parents=True)
    manifest = {
        "createdOn": "01/01/2026 00:00:00",
        "runtime": "python",
        "model": {"modelName": name, "handler": "tiny_handler.py", "modelVersion": version},
        "archiverVersion": "0.12.0",
    }
    with zipfile.ZipFile(store / f"{name}.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.writestr("tiny_handler.py", HANDLER)
        archive.writestr("settings.json", json.dumps(settings or {}))
        if probe is not None:
            archive.writestr("probe.json", json.dumps(probe))
    if config:
        (folder / "config").mkdir()
        entry = {
            "defaultVersion": True,
            "marName": f"{name}.mar",
            "minWorkers": 1,
            "maxWorkers": 1,
            "batchSize": 1,
            "maxBatchDelay": 10,
            "responseTimeout": 30,
        } | snapshot
        text = json.dumps({"name": "startup.cfg", "modelCount": 1, "models": {name: {version: entry}}})
        (folder / "config/config.properties").write_text(
            "inference_address=http://0.0.0.0:8085\nmanagement_address=http://0.0.0.0:8083\n"
            f"metrics_address=http://0.0.0.0:8082\nenable_envvars_config=true\nmodel_store=/mnt/models/model-store\n"
            f"job_queue_size=100\nplugins_path=/tmp/evil\nmodel_snapshot={text}\n"
        )
    return folder


def manifest(uri, name="churn", annotations=None, **predictor):
    return {
        "metadata": {"name": name, "namespace": "default", "annotations": annotations or {}},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": uri}, **predictor}},
    }


def apply(store, obj):
    """Create, or replace spec and annotations, as kubectl apply does."""
    name = obj["metadata"]["name"]
    if store.find(ISVC, "default", name) is None:
        return store.create(ISVC, obj)

    def change(old):
        old["metadata"]["annotations"] = obj["metadata"]["annotations"]
        return old | {"spec": obj["spec"]}

    return store.edit(ISVC, "default", name, change)


def status_of(store, name="churn"):
    return (store.find(ISVC, "default", name) or {}).get("status") or {}


def condition(store, kind="Ready", name="churn"):
    return next((c for c in status_of(store, name).get("conditions", []) if c["type"] == kind), {})


def wait_ready(store, revision, name="churn", timeout=90.0):
    """Wait until `revision` (a number) is the one that serves; show the status when it is not."""

    def ready():
        status = status_of(store, name)
        rolled = status.get("components", {}).get("predictor", {}).get("latestRolledoutRevision")
        return condition(store, "Ready", name).get("status") == "True" and rolled == f"{name}-predictor-{revision:05d}"

    try:
        wait_until(ready, timeout)
    except AssertionError:
        raise AssertionError(json.dumps(status_of(store, name), indent=1)) from None
    return status_of(store, name)


def call(port, method, path, body=None, headers=None, host="churn.default.example.com", timeout=30):
    """Send one request; return (status, headers, decoded body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        raw = json.dumps(body) if isinstance(body, dict | list) else body
        connection.request(method, path, raw, {"Host": host, **(headers or {})})
        response = connection.getresponse()
        text = response.read()
        value = json.loads(text) if text and "json" in (response.getheader("content-type") or "") else text
        return response.status, {k.lower(): v for k, v in response.getheaders()}, value
    finally:
        connection.close()


def predict(port, instances=(1,), model="churn", **more):
    return call(port, "POST", f"/v1/models/{model}:predict", {"instances": list(instances)}, **more)


class Traffic:
    """Threads that predict without pause until stopped; `answers` are (status, revision, prediction)."""

    def __init__(self, port, threads=2, body=None):
        self.port = port
        self.answers = []
        self._body = json.dumps(body or {"instances": [1]})
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for thread in self._threads:
            thread.join(40)

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Host": "churn.default.example.com", "Content-Type": "application/json"}
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v1/models/churn:predict", self._body, headers)
                response = connection.getresponse()
                value = json.loads(response.read())
                self.answers.append((response.status, response.getheader("x-pdk-revision"), value))
            except OSError as error:
                self.answers.append((0, None, repr(error)))
                connection.close()
            time.sleep(0.02)
        connection.close()


@pytest.fixture(scope="session")
def tools():
    """This module's functions, for test modules that cannot import it by name."""
    return globals_view()


class globals_view:
    """The helpers of this module as attributes."""

    def __getattr__(self, name):
        return globals()[name]


@pytest.fixture
def serving(tmp_path):
    server = load_serving().Serving(tmp_path / "server")
    server.start()
    yield server
    server.stop()
