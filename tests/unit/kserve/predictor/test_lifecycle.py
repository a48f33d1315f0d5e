"""One revision from storage to serving and back, with a stand-in for TorchServe."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pdk.db.database import Database
from pdk.kserve.kinds.names import CONTAINER
from pdk.kserve.predictor.lifecycle import Lifecycle
from pdk.kserve.predictor.node import INITIALIZER, Node
from pdk.kserve.predictor.revisions import MIGRATIONS, Revision, Revisions, RevisionState, ServiceRow
from pdk.kserve.predictor.routes import Backend, ServiceRoute, ServiceRoutes
from pdk.kserve.predictor.settings import ModelLimits, PredictorSettings
from pdk.kubernetes.store.objects import OBJECT_MIGRATIONS, ObjectStore
from pdk.kubernetes.store.pod_logs import LogOptions, PodLogs
from pdk.process import tree
from pdk.reconcile.changes import Changes

LIMITS = ModelLimits(load_timeout=20.0, drain_timeout=5.0, stop_grace=2.0, backoff=0.05, max_backoff=0.2)
S = RevisionState


class Bench:
    """A lifecycle over a data folder; `again` is what a restarted server would have."""

    def __init__(self, root, limits=LIMITS, java=None):
        self.root = root
        java = java or root / "java"
        if not java.exists() and java.parent == root:
            fake = Path(__file__).with_name("fake_torchserve.py")
            java.write_text(f'#!/bin/sh\nexec {sys.executable} -S {fake} "$@"\n')
            java.chmod(0o755)
        db = Database(root / "db", [*OBJECT_MIGRATIONS, *MIGRATIONS])
        self.store = ObjectStore(db, Changes())
        self.revisions = Revisions(db)
        self.logs = PodLogs(root / "logs")
        self.routes = ServiceRoutes()
        self.settings = PredictorSettings(
            root=root / "models", marker_prefix=f"test-lifecycle/{root}/", python=Path(sys.executable),
            environment={"PATH": os.environ["PATH"]}, temp=Path(tempfile.gettempdir()), java=java,
            jvm_flags=(), mount_models=False, limits=limits,
        )  # fmt: skip
        self.node = Node(self.store, self.revisions, self.logs, self.routes, self.settings)
        self.lifecycle = Lifecycle(self.node)

    def again(self, **limits):
        return Bench(self.root, replace(LIMITS, **limits))

    def model(self, behaviour=None, probe=None, name="model"):
        store = self.root / name / "model-store"
        store.mkdir(parents=True)
        manifest = {"model": {"modelName": "m", "modelVersion": "1", "handler": "h.py"}}
        with zipfile.ZipFile(store / "m.mar", "w") as archive:
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            archive.writestr("h.py", "pass")
            if probe is not None:
                archive.writestr("probe.json", json.dumps(probe))
        if behaviour is not None:
            (store / "behaviour.json").write_text(json.dumps(behaviour))
        return (self.root / name).as_uri()

    def revision(self, uri, number=1):
        uid = str(uuid.uuid4())
        self.revisions.put_service(ServiceRow(uid, "default", "churn"))
        return self.revisions.put(
            Revision(
                uid, "default", "churn", number, "abc",
                {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": uri}},
                {"pdk/model-version": "7"}, "churn-predictor-00001-deployment-abc-x", 1,
            )
        )  # fmt: skip

    def row(self, revision):
        return self.revisions.of_service(revision.uid)[0]

    def advance(self, revision):
        return self.lifecycle.of(revision).advance()

    def retire(self, revision):
        return self.lifecycle.of(revision).retire()

    def until_ended(self, revision):
        deadline = time.monotonic() + 5
        while alive(revision):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def until(self, revision, *states, timeout=20.0, step=None):
        step = step or self.advance
        deadline = time.monotonic() + timeout
        while revision.state not in states:
            assert time.monotonic() < deadline, revision
            time.sleep(0.02)
            revision = step(revision)
        return revision

    def log(self, revision, container):
        return b"".join(self.logs.follow("default", revision.pod, container, LogOptions()).read_new()).decode()

    def behave(self, revision, behaviour):
        path = self.node.folders(revision).store / "behaviour.json"
        path.unlink(missing_ok=True)
        path.write_text(json.dumps(behaviour))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    tree.kill_marked(lambda marker: marker.startswith(bench.settings.marker_prefix))


def backend_of(revision):
    return Backend(revision.name, revision.process.ports["inference"], revision.process.models)


def alive(revision):
    return tree.identify(revision.process.pid) is not None


def test_a_model_gets_ready_and_is_retired(bench):
    revision = bench.until(bench.revision(bench.model(probe={"instances": [1]})), S.READY)
    assert set(revision.stages) >= {"fetch", "fetched", "start", "ready"}
    assert "Copying contents" in bench.log(revision, INITIALIZER)
    assert bench.row(revision) == revision
    stopped = bench.until(revision, S.STOPPED, step=bench.retire)
    assert tree.identify(revision.process.pid) is None
    bench.lifecycle.forget(stopped)
    assert bench.revisions.all() == []
    assert not list((bench.root / "models").glob("*/1"))


def test_retiring_waits_for_requests_under_way(bench):
    revision = bench.until(bench.revision(bench.model()), S.READY)
    backend = backend_of(revision)
    bench.routes.set(ServiceRoute("default", "churn", ("h",), ((backend, 100),)))
    assert bench.routes.acquire("default/churn") == backend
    bench.routes.set(ServiceRoute("default", "churn", ("h",)))
    for _ in range(5):
        revision = bench.retire(revision)
        assert revision.state is S.DRAINING
    bench.routes.release(backend)
    assert bench.retire(revision).state is S.STOPPING


def test_draining_has_an_end(bench):
    short = bench.again(drain_timeout=0.1)
    revision = short.until(short.revision(short.model()), S.READY)
    backend = backend_of(revision)
    short.routes.set(ServiceRoute("default", "churn", ("h",), ((backend, 100),)))
    short.routes.acquire("default/churn")
    short.until(revision, S.STOPPED, step=short.retire, timeout=8.0)


@pytest.mark.parametrize(
    ("behaviour", "reason", "words"),
    [
        ({"exit": 3}, "RuntimeUnhealthy", "exit status 3"),
        ({"load_error": "weights do not fit", "loading": True}, "ModelLoadFailed", "weights do not fit"),
    ],
)
def test_failures_say_cause_and_last_lines(bench, behaviour, reason, words):
    revision = bench.until(bench.revision(bench.model(behaviour)), S.FAILED)
    assert revision.failure.reason == reason
    assert words in revision.failure.message
    assert "Last log lines of churn-predictor-00001-deployment-abc-x/kserve-container" in revision.failure.message
    assert "fake TorchServe" in bench.log(revision, CONTAINER)
    assert (revision.restarts, revision.attempts) == (1, 1)
    again = bench.until(bench.advance(revision), S.STARTING)
    assert again.failure is not None


def test_a_model_that_never_gets_ready(bench):
    short = bench.again(load_timeout=3.0)
    revision = short.until(short.revision(short.model({"loading": True})), S.FAILED)
    assert revision.failure.reason == "ModelLoadFailed"
    assert "not loaded within 3 s" in revision.failure.message


def test_a_failed_probe_is_a_failed_load(bench):
    uri = bench.model({"predict": [503, "Prediction failed"]}, probe={"instances": [1]})
    revision = bench.until(bench.revision(uri), S.FAILED)
    assert "the probe (probe.json of model m) was answered 503: Prediction failed" in revision.failure.message


def test_a_probe_answered_otherwise_than_at_the_build_is_a_failed_load(bench):
    probe = {"request": {"instances": [0.25]}, "predictions": [0.75]}
    revision = bench.until(bench.revision(bench.model(probe=probe)), S.FAILED)
    assert revision.failure.reason == "ModelLoadFailed"
    assert "(predictions[0] is 0.25 instead of 0.75)" in revision.failure.message
    same = bench.model(probe=probe | {"predictions": [0.25]}, name="same")
    assert bench.until(bench.revision(same), S.READY).failure is None


def test_a_slow_probe_holds_up_nobody(bench):
    uri = bench.model({"predict_seconds": 1.0}, probe={"instances": [1]})
    revision = bench.until(bench.revision(uri), S.STARTING)
    longest = 0.0
    while revision.state is not S.READY:
        began = time.monotonic()
        revision = bench.advance(revision)
        longest = max(longest, time.monotonic() - began)
        assert revision.state in (S.STARTING, S.READY), revision
        time.sleep(0.02)
    assert longest < 0.9
    assert revision.stages["ready"] - revision.stages["start"] >= 1.0


def test_a_probe_that_is_never_answered_ends_with_the_time_to_load(bench):
    short = bench.again(load_timeout=2.0)
    uri = short.model({"predict_seconds": 30}, probe={"instances": [1]})
    revision = short.until(short.revision(uri), S.FAILED)
    assert "did not answer its probe within 2 s" in revision.failure.message


def test_a_broken_archive(bench):
    uri = bench.model()
    (bench.root / "model/model-store/m.mar").write_bytes(b"junk")
    revision = bench.until(bench.revision(uri), S.FAILED)
    assert "m.mar is not a readable model archive" in revision.failure.message


def test_storage_that_is_empty_is_asked_until_it_is_not(bench):
    source = bench.root / "later"
    revision = bench.advance(bench.revision(source.as_uri()))
    revision = bench.until(revision, S.PENDING)
    assert "no objects under" in revision.waiting
    assert revision.failure is None
    assert bench.lifecycle.of(revision).seconds_to_next() < 1.0
    bench.model(name="later")
    ready = bench.until(revision, S.READY)
    assert ready.waiting == ""
    assert ready.fetch_restarts >= 1


def test_a_crash_while_serving_restarts_at_once_and_is_counted(bench):
    revision = bench.until(bench.revision(bench.model()), S.READY)
    os.kill(revision.process.pid, signal.SIGKILL)
    failed = bench.until(revision, S.FAILED)
    assert failed.failure.reason == "RuntimeUnhealthy"
    assert "while it served" in failed.failure.message
    assert failed.retry_at <= time.time()
    again = bench.until(failed, S.READY)
    assert (again.restarts, again.failure) == (1, None)
    assert again.process.pid != revision.process.pid


def test_a_server_that_hangs_is_restarted(bench, monkeypatch):
    monkeypatch.setattr("pdk.kserve.predictor.torchserve.POLL_TIMEOUT", 0.1)
    revision = bench.until(bench.revision(bench.model({})), S.READY)
    bench.behave(revision, {"silent": True})
    failed = bench.until(revision, S.FAILED)
    assert "did not answer 5 times" in failed.failure.message


def test_a_server_without_workers_is_restarted_after_a_while(bench):
    short = bench.again(worker_timeout=0.3)
    revision = short.until(short.revision(short.model({})), S.READY)
    short.behave(revision, {"loading": True})
    assert short.advance(revision) == revision
    short.behave(revision, {})
    assert short.advance(revision) == revision
    time.sleep(0.4)
    short.behave(revision, {"loading": True})
    # Counted anew: there was a worker in between.
    assert short.advance(revision) == revision
    failed = short.until(revision, S.FAILED)
    assert failed.failure.reason == "RuntimeUnhealthy"
    assert "no worker of TorchServe was ready for 0.3 s" in failed.failure.message
    assert tree.identify(revision.process.pid) is None
    assert failed.attempts == 1


def test_retiring_signals_nobody_who_got_the_pid_meanwhile(bench):
    revision = bench.until(bench.revision(bench.model()), S.READY)
    os.kill(revision.process.pid, signal.SIGKILL)
    bench.until_ended(revision)
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        process = replace(revision.process, pid=bystander.pid)
        again = bench.again()
        row = again.revisions.put(replace(revision, state=S.DRAINING, process=process))
        again.until(row, S.STOPPED, step=again.retire)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_restarted_server_adopts_what_serves_and_ends_the_rest(bench):
    serving = bench.until(bench.revision(bench.model()), S.READY)
    stray = bench.until(bench.revision(bench.model(name="other")), S.READY)
    bench.revisions.delete(stray)
    again = bench.again()
    assert again.lifecycle.adopt() == 1
    assert alive(serving)
    assert tree.identify(stray.process.pid) is None
    row = again.row(serving)
    assert again.advance(row) == row
    assert row.process == serving.process
    again.until(row, S.STOPPED, step=again.retire)
    assert tree.identify(serving.process.pid) is None


def test_a_server_killed_while_loading_goes_on(bench):
    starting = bench.until(bench.revision(bench.model({"seconds": 1.0})), S.STARTING)
    again = bench.again()
    assert again.lifecycle.adopt() == 1
    ready = again.until(again.row(starting), S.READY)
    assert ready.process.pid == starting.process.pid


def test_a_server_killed_between_row_and_start_starts_anew(bench):
    revision = bench.until(bench.revision(bench.model()), S.STARTING)
    lost = bench.revisions.put(replace(revision, process=replace(revision.process, pid=None)))
    again = bench.again()
    assert again.lifecycle.adopt() == 0
    ready = again.until(lost, S.READY)
    assert ready.process.pid != revision.process.pid
    assert tree.identify(revision.process.pid) is None


def test_a_server_killed_while_fetching_fetches_again(bench):
    revision = bench.revisions.put(replace(bench.revision(bench.model()), state=S.FETCHING))
    again = bench.again()
    again.lifecycle.adopt()
    assert again.until(revision, S.READY).state is S.READY


def test_a_process_that_ended_while_no_server_ran_is_restarted(bench):
    revision = bench.until(bench.revision(bench.model()), S.READY)
    os.kill(revision.process.pid, signal.SIGKILL)
    bench.until_ended(revision)
    again = bench.again()
    assert again.lifecycle.adopt() == 0
    row = again.row(revision)
    assert (row.state, row.failure) == (S.PENDING, None)
    assert again.until(row, S.READY).restarts == 1


def test_stopping_the_server_ends_all_and_the_rows_start_it_again(bench):
    revision = bench.until(bench.revision(bench.model()), S.READY)
    bench.lifecycle.stop_all()
    assert tree.identify(revision.process.pid) is None
    again = bench.again()
    assert again.lifecycle.adopt() == 0
    row = again.row(revision)
    assert row.state is S.PENDING
    ready = again.until(row, S.READY)
    assert ready.stages["fetched"] == revision.stages["fetched"]


def test_a_missing_java_says_what_to_do(bench):
    bench = Bench(bench.root, java=Path("/nowhere/java"))
    revision = bench.revision(bench.model())
    failed = bench.until(revision, S.FAILED)
    assert failed.failure.reason == "RuntimeUnhealthy"
    assert "/nowhere/java" in failed.failure.message
