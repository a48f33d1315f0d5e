"""What a rollout talks to: one InferenceService in a small Kubernetes API, and its predictions, on loopback."""

import copy
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

ISVC = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices"
COMMIT, JOB, BUILD_JOB = "c" * 32, "a" * 32, "b" * 32
HOST = "customer-churn.models.example.com"
EXAMPLE = {"request": {"instances": [1]}, "predictions": [[1, 0.7], {"build_job": BUILD_JOB, "model_version": 3}]}
OLD_INFO = {"build_job": "0" * 32, "model_version": 2}


class Requests(BaseHTTPRequestHandler):
    """Kubernetes and the ingress on one port."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.calls.append(("GET", self.path.partition("?")[0]))
        self.answer(*self.server.get(self.path.partition("?")[0]))

    def do_POST(self):
        self.write("POST")

    def do_PUT(self):
        self.write("PUT")

    def do_DELETE(self):
        self.write("DELETE")

    def write(self, method):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append((method, self.path))
        if self.path.startswith("/v1/models/"):
            self.answer(*self.server.predict(self.headers["Host"], body))
        else:
            self.answer(*self.server.write(method, body))

    def answer(self, status, body, headers=()):
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def failure(code, reason):
    return code, {"kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code}


class FakeCluster(ThreadingHTTPServer):
    """One InferenceService; `moves` are done to it one after the other, one before each reading of it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Requests)
        self.calls, self.moves, self.refusals = [], [], {"GET": [], "POST": [], "PUT": [], "DELETE": []}
        self.runtimes = {"old": {"pdk/python": "3.9"}, "silent": None}
        self.live, self.info, self.revision, self.number = None, EXAMPLE["predictions"][1], None, 0

    def get(self, path):
        if path.endswith("/services/istio-ingressgateway"):
            ingress = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}
            ports = [{"name": "http2", "port": self.server_port}]
            return 200, {"metadata": {}, "spec": {"ports": ports}, "status": ingress}
        if path.endswith("/events"):
            event = {"type": "Warning", "reason": "InternalError", "message": "no such object"}
            return 200, {"items": [{**event, "metadata": {}, "involvedObject": {}}]}
        if path.endswith("/pods"):
            return 200, {
                "items": [
                    {"metadata": {"name": f"pod-{n}", "creationTimestamp": f"2024-01-0{n}T00:00:00Z"}} for n in (1, 2)
                ]
            }
        if path.endswith("/log"):
            return 200, "loading\nRuntimeError: size mismatch\n"
        if "servingruntimes/" in path:
            name = path.rpartition("/")[2]
            if "/clusterservingruntimes/" not in path or name not in self.runtimes:
                return failure(404, "NotFound")
            return 200, {"metadata": {"annotations": self.runtimes[name]}}
        if self.refusals["GET"]:
            return failure(*self.refusals["GET"].pop(0))
        if self.moves and self.live:
            self.moves.pop(0)(self)
        return (200, self.live) if self.live else failure(404, "NotFound")

    def write(self, method, body):
        if self.refusals[method]:
            refusal = self.refusals[method].pop(0)
            return refusal(self) if callable(refusal) else failure(*refusal)
        given = body["preconditions" if method == "DELETE" else "metadata"].get("resourceVersion")
        if method != "POST" and given != self.live["metadata"]["resourceVersion"]:
            return failure(409, "Conflict")
        if method == "DELETE":
            self.live = None
            return 200, {"kind": "Status", "status": "Success"}
        self.put(body)
        return 201 if method == "POST" else 200, self.live

    def put(self, body):
        """Store the object as another writer would; the status stays."""
        self.number += 1
        status = (self.live or {}).get("status")
        self.live = copy.deepcopy(body)
        self.live["metadata"]["resourceVersion"] = str(self.number)
        if status:
            self.live["status"] = status

    def report(self, created, ready, status="True", transition="UpToDate", failure_info=None):
        model = {"transitionStatus": transition, "states": {}, "lastFailureInfo": failure_info}
        self.live["status"] = {
            "url": f"http://{HOST}",
            "conditions": [{"type": "Ready", "status": status, "message": "told by the controller"}],
            "components": {"predictor": {"latestCreatedRevision": created, "latestReadyRevision": ready}},
            "modelStatus": model,
        }

    def predict(self, host, body):
        if host != HOST or body != EXAMPLE["request"]:
            return 404, {"error": f"no model for {host}"}
        headers = [("x-pdk-revision", self.revision)] if self.revision else []
        return 200, {"predictions": [[1, 0.7000001], self.info]}, headers


def report(*arguments, **options):
    return lambda cluster: cluster.report(*arguments, **options)


def write_source(folder, **build):
    section = {
        "job": BUILD_JOB,
        "pipeline": "customer-churn-deploy",
        "project": "pdk-customer-churn",
        "served_name": "customer-churn",
        "archive": "customer-churn-v3.mar",
        "archive_sha256": "0" * 64,
        "batch_size": 1,
        "uri": "",
        **build,
    }
    model = {"name": "customer-churn", "version": 3, "version_name": "t" * 32, "data_commit": "d" * 32}
    (folder / "model-info.yaml").write_text(yaml.safe_dump({**model, "code_commit": "5a5a", "build": section}))
    (folder / "probe.json").write_text(json.dumps(EXAMPLE))


def live_service(cluster, version=2, job="e" * 32, revision="r1"):
    """An InferenceService an earlier rollout made, and its status."""
    annotations = {"pach_id": job, "pdk/model-version": str(version)}
    model = {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://old/"}
    metadata = {"name": "customer-churn", "namespace": "models", "annotations": annotations}
    cluster.put({"metadata": metadata, "spec": {"predictor": {"model": model}}})
    cluster.report(revision, revision)
    cluster.number += 7


def writes(cluster):
    return [method for method, path in cluster.calls if path.startswith(ISVC) and method != "GET"]


def serves_otherwise(source):
    """Let the build have predicted something else than what the service answers."""
    other = {**EXAMPLE, "predictions": [[1, 0.9], EXAMPLE["predictions"][1]]}
    (source / "probe.json").write_text(json.dumps(other))


def taken_over(fake):
    fake.live["metadata"]["annotations"]["pach_id"] = "f" * 32
