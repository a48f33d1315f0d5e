"""Rollouts with a real TorchServe: no request lost, failures leave the old revision serving, nothing left behind."""

import http.client
import json
from pathlib import Path

import pytest

from pdk.kserve.predictor.revisions import Revisions
from pdk.kubernetes.store.pod_logs import LogOptions
from pdk.process import tree

pytestmark = pytest.mark.ours  # their models are folders of this machine


def pod_log(serving, revision, container):
    pods, _ = serving.store.list("pods", "default", f"serving.knative.dev/revision={revision}")
    options = LogOptions()
    return b"".join(serving.logs.follow("default", pods[0]["metadata"]["name"], container, options).read_new()).decode()


def test_a_rollout_under_load_loses_no_request_and_a_bad_one_changes_nothing(serving, tools, tmp_path):
    port, store = serving.ingress.port, serving.store
    one = tools.build_model(tmp_path / "one", "1.0", probe={"request": {"instances": [1]}})
    annotations = {"pdk/model-version": "1", "pdk/data-commit": "aaa", "pach_id": "job1"}
    tools.apply(store, tools.manifest(one.as_uri(), annotations=annotations))
    tools.wait_ready(store, 1)
    status, headers, value = tools.predict(port)
    assert (status, value) == (200, {"predictions": ["1.0"]})
    assert {key: headers[f"x-pdk-{key}"] for key in ("model-version", "data-commit", "revision", "job")} == {
        "model-version": "1", "data-commit": "aaa", "revision": "churn-predictor-00001", "job": "job1",
    }  # fmt: skip

    two = tools.build_model(tmp_path / "two", "2.0")
    with tools.Traffic(port) as traffic:
        tools.apply(store, tools.manifest(two.as_uri(), annotations={"pdk/model-version": "2"}))
        tools.wait_ready(store, 2)
        tools.wait_until(lambda: len(store.list("pods")[0]) == 1, what="the end of the old pod")
        seen = len(traffic.answers)
        tools.wait_until(lambda: len(traffic.answers) > seen + 20, what="more traffic")
    assert len(traffic.answers) > 50
    assert {status for status, _, _ in traffic.answers} == {200}
    versions = {(revision, value["predictions"][0]) for _, revision, value in traffic.answers}
    assert versions == {("churn-predictor-00001", "1.0"), ("churn-predictor-00002", "2.0")}

    bad = tools.build_model(tmp_path / "bad", "3.0", settings={"raise": "weights do not fit"})
    with tools.Traffic(port) as traffic:
        tools.apply(store, tools.manifest(bad.as_uri()))
        tools.wait_until(
            lambda: tools.status_of(store)["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad",
            what="the failure",
        )
    assert {(status, revision) for status, revision, _ in traffic.answers} == {(200, "churn-predictor-00002")}
    failure = tools.status_of(store)["modelStatus"]["lastFailureInfo"]
    assert failure["reason"] == "ModelLoadFailed"
    assert failure["message"].startswith("the handler failed to load: weights do not fit")
    assert "RuntimeError: weights do not fit" in failure["message"]
    assert "Traceback" in pod_log(serving, "churn-predictor-00003", "kserve-container")
    assert tools.condition(store)["status"] == "False"

    processes = Revisions(serving.db).all()
    store.delete(tools.ISVC, "default", "churn")
    tools.wait_until(lambda: store.find(tools.ISVC, "default", "churn") is None, what="deletion")
    pids = [each.process.pid for each in processes if each.process is not None]
    assert pids
    assert all(tree.identify(pid) is None for pid in pids)
    assert tree.find_marked(lambda marker: str(tmp_path) in marker) == []
    assert tools.predict(port)[0] == 404


def test_the_contract_of_the_runtime(serving, tools, tmp_path):
    """What a handler may rely on, and what each kind of request is answered."""
    port, store = serving.ingress.port, serving.store
    folder = tools.build_model(tmp_path / "one", "1.0", name="other-name", batchSize=8)
    obj = tools.manifest(folder.as_uri())
    obj["spec"]["predictor"]["model"]["env"] = [
        {"name": "GREETING", "value": "hello"},
        {"name": "TS_INFERENCE_ADDRESS", "value": "http://0.0.0.0:9"},
    ]
    obj["spec"]["predictor"]["model"]["resources"] = {"limits": {"cpu": "2"}}
    tools.apply(store, obj)
    tools.wait_ready(store, 1)

    def ask(*instances):
        return tools.predict(port, instances, model="other-name")[::2]

    assert ask(1, 2, 3) == (200, {"predictions": ["1.0"] * 3})
    assert ask("files")[1] == {"predictions": [["config", "model-store"]]}
    (environment,) = ask("env")[1]["predictions"]
    assert (environment["TS_SERVICE_ENVELOPE"], environment["OMP_NUM_THREADS"]) == ("kserve", "2")
    assert environment["GREETING"] == "hello"
    assert ask("bad") == (400, {"error": "row 0: bad"})
    status, value = ask("raise")
    assert status == 500
    assert "the pod's log has it (request " in value["error"]
    request_id = value["error"].partition("(request ")[2].rstrip(")")
    assert len(request_id) == 36
    assert tools.call(port, "POST", "/v1/models/other-name:predict", "{bad")[0] == 400
    assert tools.call(port, "POST", "/v1/models/other-name:predict", '{"inputs": 1}')[0] == 400
    assert "neither JSON, text nor bytes" in ask("set")[1]["error"]
    assert tools.call(port, "POST", "/v1/models/churn:predict", "{}")[0] == 404
    assert tools.call(port, "GET", "/v1/models")[2] == {"models": ["other-name"]}
    assert tools.call(port, "GET", "/v1/models/other-name")[2] == {"name": "other-name", "ready": True}
    log = pod_log(serving, "churn-predictor-00001", "kserve-container")
    for line in ("plugins_path is ignored", "batchSize 8 is served as 1", "env TS_INFERENCE_ADDRESS is ignored"):
        assert line in log
    assert "a handler raised" in log
    assert "Copying contents of file://" in pod_log(serving, "churn-predictor-00001", "storage-initializer")

    (row,) = Revisions(serving.db).all()
    listening = listeners(row.process.pid)
    assert listening
    assert all(address in ("127.0.0.1", "::1", "::ffff:127.0.0.1") for address in listening)
    status, body = management(row.process.ports["management"], "POST", "/models?url=other-name.mar&model_name=x")
    assert status == 405, body
    # A worker that dies is TorchServe's to restart: the request fails, the revision stays.
    assert ask("die")[1]["error"].startswith("Worker died. its process ended")
    # So is one whose answer is too large, which TorchServe takes for dead.
    assert "is over the max_response_size" in ask("huge")[1]["error"]
    assert ask(1) == (200, {"predictions": ["1.0"]})


def listeners(pid):
    """Return the addresses a process listens on, from /proc."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found = set()
    for table, width in (("tcp", 8), ("tcp6", 32)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                raw = fields[1].partition(":")[0]
                assert len(raw) == width
                number = bytes.fromhex(raw[-8:])[::-1]
                prefix = "::ffff:" if width == 32 else ""
                found.add(prefix + ".".join(str(byte) for byte in number))
    return found


def management(port, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize("name", ["no config", "batches"])
def test_other_ways_to_configure(serving, tools, tmp_path, name):
    port, store = serving.ingress.port, serving.store
    if name == "no config":
        folder = tools.build_model(tmp_path / "one", "1.0", config=False)
        obj = tools.manifest(folder.as_uri())
    else:
        folder = tools.build_model(tmp_path / "one", "1.0", batchSize=4, maxBatchDelay=50)
        obj = tools.manifest(folder.as_uri())
        obj["spec"]["predictor"]["model"]["env"] = [{"name": "TS_SERVICE_ENVELOPE", "value": ""}]
    tools.apply(store, obj)
    tools.wait_ready(store, 1)
    if name == "no config":
        assert tools.predict(port)[2] == {"predictions": ["1.0"]}
        return
    # Without the envelope the handler sees whole requests, and its answers are bodies.
    assert tools.predict(port)[::2] == (200, 1.0)
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n\x89\xff\r\n--b--\r\n'
    for path in ("/v1/models/churn:predict", "/predictions/churn"):
        answer = tools.call(port, "POST", path, form, {"Content-Type": "multipart/form-data; boundary=b"})
        assert (answer[0], json.loads(answer[2]) if isinstance(answer[2], bytes) else answer[2]) == (
            200,
            {"file": "89ff"},
        )


def test_a_model_that_never_gets_ready_times_out(tools, tmp_path):
    module = tools.load_serving()
    limits = module.replace(module.LIMITS, load_timeout=15.0, backoff=60.0, max_backoff=60.0)
    server = module.Serving(tmp_path / "server", limits)
    server.start()
    try:
        folder = tools.build_model(tmp_path / "slow", "1.0", settings={"sleep": 120})
        tools.apply(server.store, tools.manifest(folder.as_uri()))
        tools.wait_until(
            lambda: tools.status_of(server.store).get("modelStatus", {}).get("lastFailureInfo"), what="the time-out"
        )
        failure = tools.status_of(server.store)["modelStatus"]["lastFailureInfo"]
        assert "the model was not loaded within 15 s" in failure["message"]
        assert "Last log lines of churn-predictor-00001-deployment-" in failure["message"]
        status, headers, value = tools.predict(server.ingress.port)
        assert (status, headers["retry-after"]) == (503, "2")
        assert "was not loaded within 15 s" in value["error"]
        assert tree.find_marked(lambda marker: str(tmp_path) in marker) == []
    finally:
        server.stop()
