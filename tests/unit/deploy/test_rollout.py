"""What a rollout decides, against a small Kubernetes API and data plane on loopback. The whole is in tests/e2e."""

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import deploy
import pytest
import yaml
from deployment import rollout
from deployment.errors import ClusterError, InputError, RolloutError, Superseded
from deployment.rollout import Clock, Rollout, RolloutOptions

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


@pytest.fixture
def cluster():
    with FakeCluster() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def config_file(cluster, tmp_path):
    path = tmp_path / "kubeconfig"
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    server = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}
    users = [{"name": "u", "user": {}}]
    path.write_text(
        yaml.safe_dump({"current-context": "c", "contexts": [context], "clusters": [server], "users": users})
    )
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    write_source(folder)
    return folder


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


class Passing:
    """A clock whose sleeping takes no time."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.fixture
def roll_out(source, config_file):
    said = []

    def run(**changes):
        clock = Passing()
        filled = {
            "source": source,
            "input_commit": COMMIT,
            "deployment_name": "customer-churn",
            "namespace": "models",
            "job": JOB,
            "config_file": str(config_file),
            "service_account": "pach-deploy",
            **changes,
        }
        return Rollout(RolloutOptions(**filled), said.append, Clock(clock.now, clock.sleep)).run()

    run.said = said
    return run


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


def test_absent_is_created_with_everything_that_ties_it_to_its_origin(cluster, roll_out):
    cluster.moves = [report("r1", "r1")]
    document = roll_out(requests={"cpu": "1"}, limits={"memory": "2Gi"}, tolerations={"gpu": "yes"})
    assert cluster.live["spec"]["predictor"] == {
        "model": {
            "name": "",  # the SDK's way to leave it to KServe
            "modelFormat": {"name": "pytorch"},
            "protocolVersion": "v1",
            "storageUri": f"s3://{COMMIT}.master.customer-churn-deploy.pdk-customer-churn/customer-churn/",
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}},
        },
        "serviceAccountName": "pach-deploy",
        "tolerations": [{"effect": "NoSchedule", "key": "gpu", "operator": "Equal", "value": "yes"}],
    }
    assert cluster.live["metadata"]["annotations"] == {
        "sidecar.istio.io/inject": "false",
        "pach_id": JOB,
        "pdk/model-version": "3",
        "pdk/data-commit": "d" * 32,
        "pdk/code-commit": "5a5a",
        "pdk/build-commit": COMMIT,
        "pdk/previous": "null",
    }
    assert (document["revision"], document["url"], document["ready"]) == ("r1", f"http://{HOST}", True)
    assert (document["model_version"], document["data_commit"], document["job"]) == (3, "d" * 32, JOB)


def test_a_bucket_needs_no_service_account_and_batches_need_no_envelope(cluster, roll_out, source):
    write_source(source, uri="gs://models/customer-churn/v3-b/", batch_size=8)
    cluster.moves = [report("r1", "r1")]
    roll_out()
    predictor = cluster.live["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == "gs://models/customer-churn/v3-b/"
    assert predictor["model"]["env"] == [{"name": "TS_SERVICE_ENVELOPE", "value": ""}]
    assert "serviceAccountName" not in predictor


def test_replaced_and_a_stale_ready_is_waited_out(cluster, roll_out):
    """Ready stays True from the old revision, then the new one comes up, then traffic moves."""
    live_service(cluster)
    cluster.info, cluster.revision = OLD_INFO, "r1"

    def answers_from_the_new_one(fake):
        fake.info, fake.revision = EXAMPLE["predictions"][1], "r2"

    stale, starting = report("r1", "r1"), report("r2", "r1", "Unknown", "InProgress")
    loaded = report("r2", "r2")
    cluster.moves = [stale, stale, stale, starting, loaded, loaded, answers_from_the_new_one]
    assert roll_out()["revision"] == "r2"
    assert writes(cluster) == ["PUT"]
    told = "\n".join(roll_out.said)
    for text in ("has not made a new revision yet", "r2 is not ready yet", "still answers from model version 2"):
        assert text in told


def test_a_conflicting_write_is_tried_again_on_the_new_state(cluster, roll_out):
    live_service(cluster)

    def other_writer(fake):
        fake.put(fake.live)
        return failure(409, "Conflict")

    cluster.refusals["PUT"] = [other_writer]
    cluster.moves = [report("r1", "r1"), report("r1", "r1"), report("r2", "r2")]
    assert roll_out()["revision"] == "r2"
    assert writes(cluster) == ["PUT", "PUT"]


def test_one_that_appears_meanwhile_is_replaced(cluster, roll_out):
    def other_writer(fake):
        live_service(fake)
        fake.moves = [report("r1", "r1"), report("r2", "r2")]
        return failure(409, "AlreadyExists")

    cluster.refusals["POST"] = [other_writer]
    assert roll_out()["revision"] == "r2"
    assert writes(cluster) == ["POST", "PUT"]


@pytest.mark.parametrize("code", [401, 403])
def test_refused_is_not_absent(cluster, roll_out, code):
    cluster.refusals["GET"] = [(code, "Forbidden")]
    with pytest.raises(ClusterError, match=f"cannot read InferenceService customer-churn: {code}"):
        roll_out()
    assert writes(cluster) == []


def test_an_api_that_is_away_for_a_while_is_waited_for(cluster, roll_out):
    cluster.refusals["GET"] = [(503, "ServiceUnavailable"), (500, "InternalError")]
    cluster.refusals["POST"] = [(503, "ServiceUnavailable")]

    def away(fake):
        fake.report("r1", "r1")
        fake.refusals["GET"] = [(503, "ServiceUnavailable")] * 2

    cluster.moves = [report("r1", None, "Unknown"), away]
    assert roll_out()["revision"] == "r1"


def test_a_namespace_or_kserve_that_is_not_there_is_named(cluster, roll_out):
    cluster.refusals["POST"] = [(404, "NotFound")]
    with pytest.raises(ClusterError, match="does namespace models exist, and is KServe installed"):
        roll_out()


@pytest.mark.parametrize("transition", ["BlockedByFailedLoad", "InvalidSpec"])
def test_a_failed_load_ends_the_job_with_the_evidence(cluster, roll_out, transition):
    live_service(cluster)
    info = {"reason": "ModelLoadFailed", "message": "exit code 1"}
    cluster.moves = [report("r1", "r1"), report("r2", "r1", "False", transition, info)]
    with pytest.raises(RolloutError) as error:
        roll_out()
    lines = str(error.value).splitlines()
    assert lines[-1] == (f"model version 3 does not serve: {transition}: reason ModelLoadFailed, message exit code 1")
    assert "  Ready=False told by the controller" in lines
    assert "  Warning InternalError: no such object" in lines
    assert (
        lines.index("log of kserve-container:")
        == lines.index("  pod pod-2", lines.index("log of storage-initializer:") + 2) - 1
    )
    assert "  RuntimeError: size mismatch" in lines


def test_the_deadline_ends_the_wait_with_what_was_missing(cluster, roll_out):
    live_service(cluster)
    with pytest.raises(RolloutError) as error:
        roll_out(timeout=4)
    assert "does not serve after 4 s: the controller has not made a new revision yet" in str(error.value)


def test_a_new_revision_that_predicts_something_else_is_a_failure(cluster, roll_out, source):
    cluster.moves = [report("r1", "r1")]
    serves_otherwise(source)
    with pytest.raises(RolloutError, match="serves, but predicts"):
        roll_out()


OLD_ANNOTATIONS = {"pach_id": "e" * 32, "pdk/model-version": "2"}
OLD_MODEL = {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://old/"}


def serves_otherwise(source):
    """Let the build have predicted something else than what the service answers."""
    other = {**EXAMPLE, "predictions": [[1, 0.9], EXAMPLE["predictions"][1]]}
    (source / "probe.json").write_text(json.dumps(other))


def demand_put_back(cluster, roll_out):
    assert cluster.live["metadata"]["annotations"] == OLD_ANNOTATIONS
    assert cluster.live["spec"] == {"predictor": {"model": OLD_MODEL}}
    assert roll_out.said[-1] == "put model version 2 back"


def test_a_wrong_answer_puts_the_version_before_back(cluster, roll_out, source):
    serves_otherwise(source)
    live_service(cluster)
    cluster.moves = [report("r1", "r1"), report("r2", "r2")]
    with pytest.raises(RolloutError, match="serves, but predicts"):
        roll_out()
    demand_put_back(cluster, roll_out)
    assert writes(cluster) == ["PUT", "PUT"]


def test_a_failed_load_puts_back_after_gathering_the_evidence(cluster, roll_out):
    live_service(cluster)
    cluster.moves = [report("r1", "r1"), report("r2", "r1", "False", "BlockedByFailedLoad", {"reason": "Load"})]
    with pytest.raises(RolloutError, match=r"does not serve: BlockedByFailedLoad: reason Load$"):
        roll_out()
    demand_put_back(cluster, roll_out)
    log = max(place for place, (_, path) in enumerate(cluster.calls) if path.endswith("/log"))
    assert log < max(place for place, (method, _) in enumerate(cluster.calls) if method == "PUT")


def test_the_deadline_puts_back_and_the_same_job_writes_again(cluster, roll_out):
    live_service(cluster)
    with pytest.raises(RolloutError, match="does not serve after 4 s"):
        roll_out(timeout=4)
    demand_put_back(cluster, roll_out)
    cluster.moves = [report("r1", "r1"), report("r3", "r3")]
    assert roll_out()["revision"] == "r3"
    assert writes(cluster) == ["PUT", "PUT", "PUT"]
    assert json.loads(cluster.live["metadata"]["annotations"]["pdk/previous"]) == {
        "annotations": OLD_ANNOTATIONS,
        "spec": {"predictor": {"model": OLD_MODEL}},
    }


def test_a_job_that_died_after_writing_still_knows_what_was_before(cluster, roll_out):
    live_service(cluster)
    roll_out(wait=False)
    cluster.report("r2", "r1", "Unknown", "InProgress")
    with pytest.raises(RolloutError, match="does not serve after 4 s"):
        roll_out(timeout=4)
    assert "this job has written it already; waiting for it" in roll_out.said
    demand_put_back(cluster, roll_out)


def test_a_job_that_writes_twice_does_not_go_back_to_its_own_write(cluster, roll_out, source):
    live_service(cluster)
    roll_out(wait=False)
    write_source(source, uri="gs://models/customer-churn/v3-b/")
    with pytest.raises(RolloutError, match="does not serve after 4 s"):
        roll_out(timeout=4)
    demand_put_back(cluster, roll_out)
    assert writes(cluster) == ["PUT", "PUT", "PUT"]


def test_a_failed_first_rollout_leaves_nothing(cluster, roll_out, source):
    serves_otherwise(source)
    cluster.moves = [report("r1", "r1")]
    cluster.refusals["DELETE"] = [(409, "Conflict")]
    with pytest.raises(RolloutError, match="serves, but predicts"):
        roll_out()
    assert cluster.live is None
    assert writes(cluster) == ["POST", "DELETE", "DELETE"]
    assert roll_out.said[-1] == "deleted the InferenceService again: there was none before"


def test_putting_back_is_tried_again_on_a_conflict(cluster, roll_out):
    live_service(cluster)

    def other_writer(fake):
        fake.put(fake.live)
        return failure(409, "Conflict")

    def failed(fake):
        fake.report("r2", "r1", "False", "BlockedByFailedLoad")
        fake.refusals["PUT"] = [other_writer]

    cluster.moves = [report("r1", "r1"), failed]
    with pytest.raises(RolloutError, match="BlockedByFailedLoad"):
        roll_out()
    demand_put_back(cluster, roll_out)
    assert writes(cluster) == ["PUT", "PUT", "PUT"]


def taken_over(fake):
    fake.live["metadata"]["annotations"]["pach_id"] = "f" * 32


def test_what_another_job_wrote_meanwhile_stays(cluster, roll_out):
    live_service(cluster)
    failed = report("r2", "r1", "False", "BlockedByFailedLoad")
    # The third reading is for the evidence, the fourth to put back.
    cluster.moves = [report("r1", "r1"), failed, failed, taken_over]
    with pytest.raises(RolloutError, match="BlockedByFailedLoad"):
        roll_out()
    assert roll_out.said[-1] == f"nothing put back: job {'f' * 32} has written the InferenceService since"
    assert writes(cluster) == ["PUT"]


def test_a_superseded_rollout_puts_nothing_back(cluster, roll_out):
    live_service(cluster)
    cluster.moves = [report("r1", "r1"), taken_over]
    with pytest.raises(Superseded):
        roll_out()
    assert writes(cluster) == ["PUT"]


@pytest.mark.parametrize(("code", "reason"), [(503, "ServiceUnavailable"), (403, "Forbidden")])
def test_an_api_that_does_not_take_it_back_is_named(cluster, roll_out, code, reason):
    live_service(cluster)

    def failed(fake):
        fake.report("r2", "r1", "False", "BlockedByFailedLoad")
        fake.refusals["PUT"] = [(code, reason)] * 100

    cluster.moves = [report("r1", "r1"), failed]
    with pytest.raises(RolloutError, match="does not serve: BlockedByFailedLoad"):
        roll_out()
    assert roll_out.said[-1].startswith("nothing put back, the spec still names the build that failed: cannot replace")
    assert len(writes(cluster)) == (32 if code == 503 else 2)


def test_a_newer_version_is_not_replaced_by_an_older_rollout(cluster, roll_out):
    live_service(cluster, version=4)
    with pytest.raises(Superseded, match="version 3 was not rolled out: version 4 is live"):
        roll_out()
    assert writes(cluster) == []
    cluster.moves = [report("r1", "r1"), report("r2", "r2")]
    assert roll_out(force=True)["model_version"] == 3


def test_another_job_that_takes_over_while_waiting_is_named(cluster, roll_out):
    cluster.moves = [report("r1", None, "Unknown"), taken_over]
    with pytest.raises(Superseded, match=f"job {'f' * 32} replaced the InferenceService"):
        roll_out()


def test_a_second_run_of_the_same_job_waits_and_does_not_write(cluster, roll_out):
    cluster.moves = [report("r1", "r1")]
    roll_out()
    cluster.calls.clear()
    assert roll_out()["revision"] == "r1"
    assert writes(cluster) == []


def test_not_waiting_says_so(cluster, roll_out):
    document = roll_out(wait=False)
    assert (document["ready"], document["revision"]) == (False, None)
    assert not any(path.startswith("/v1/") for _, path in cluster.calls)


def test_the_service_must_be_called_like_the_served_model(roll_out):
    with pytest.raises(InputError, match="give both commands the same --deployment-name"):
        roll_out(deployment_name="other")


def test_the_output_of_training_is_no_input_of_rollout(roll_out, source):
    document = yaml.safe_load((source / "model-info.yaml").read_text())
    del document["build"]
    (source / "model-info.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match="the input of rollout must be the output of"):
        roll_out()


def test_the_command_reads_its_surroundings(cluster, source, config_file, tmp_path, monkeypatch, capsys):
    cluster.moves = [report("r1", "r1")]
    surroundings = {"PACH_JOB_ID": JOB, "model_COMMIT": COMMIT, "KSERVE_NAMESPACE": "models"}
    surroundings |= {"INGRESS_HOST": "127.0.0.1", "INGRESS_PORT": str(cluster.server_port)}
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    places = [f"--input={source}", f"--output={tmp_path / 'out'}", f"--k8s-config-file={config_file}"]
    arguments = ["rollout", "--deployment-name=customer-churn", *places]
    assert deploy.main(arguments) == 0
    document = yaml.safe_load((tmp_path / "out" / "rollout.yaml").read_text())
    assert (document["revision"], document["build_commit"]) == ("r1", COMMIT)
    monkeypatch.delenv("model_COMMIT")
    assert deploy.main(arguments) == 1
    assert "model_COMMIT is not set" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "waits"), [("--wait", True), ("--no-wait", False)])
def test_wait_is_a_real_boolean(monkeypatch, source, flag, waits):
    seen = []

    class Recorded:
        def __init__(self, options, say):
            seen.append(options.wait)

        def run(self):
            raise RolloutError("recorded")

    monkeypatch.setattr(rollout, "Rollout", Recorded)
    monkeypatch.setenv("PACH_JOB_ID", JOB)
    assert deploy.main(["rollout", "--deployment-name=m", f"--input={source}", f"--commit={COMMIT}", flag]) == 1
    assert seen == [waits]
    with pytest.raises(SystemExit):
        deploy.main(["rollout", "--deployment-name=m", flag + "=False"])
