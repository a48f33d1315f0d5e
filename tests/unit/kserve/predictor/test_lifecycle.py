"""One revision from storage to serving and back, with a stand-in for TorchServe."""

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import wait_until

from pdk.kserve.kinds.names import CONTAINER
from pdk.kserve.predictor.node import INITIALIZER
from pdk.kserve.predictor.revisions import RevisionState
from pdk.kserve.predictor.routes import ServiceRoute

S = RevisionState


def test_a_model_gets_ready_and_is_retired(bench):
    revision = bench.ready(probe={"instances": [1]})
    assert set(revision.stages) >= {"fetch", "fetched", "start", "ready"}
    assert "Copying contents" in bench.log(revision, INITIALIZER)
    assert bench.row(revision) == revision
    stopped = bench.until(revision, S.STOPPED, step=bench.retire)
    assert not bench.alive(revision)
    bench.lifecycle.forget(stopped)
    assert bench.revisions.all() == []
    assert not list((bench.root / "models").glob("*/1"))


def test_retiring_waits_for_requests_under_way(bench):
    revision = bench.ready()
    backend = bench.backend(revision)
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
    revision = short.ready()
    backend = bench.backend(revision)
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
    revision = bench.until(bench.revision(bench.model(behaviour=behaviour)), S.FAILED)
    assert revision.failure.reason == reason
    assert words in revision.failure.message
    assert "Last log lines of churn-predictor-00001-deployment-abc-x/kserve-container" in revision.failure.message
    assert "fake TorchServe" in bench.log(revision, CONTAINER)
    assert (revision.restarts, revision.attempts) == (1, 1)
    again = bench.until(bench.advance(revision), S.STARTING)
    assert again.failure is not None


def test_a_model_that_never_gets_ready(bench):
    short = bench.again(load_timeout=3.0)
    revision = short.until(short.revision(short.model(behaviour={"loading": True})), S.FAILED)
    assert revision.failure.reason == "ModelLoadFailed"
    assert "not loaded within 3 s" in revision.failure.message


def test_a_failed_probe_is_a_failed_load(bench):
    uri = bench.model(behaviour={"predict": [503, "Prediction failed"]}, probe={"instances": [1]})
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
    uri = bench.model(behaviour={"predict_seconds": 1.0}, probe={"instances": [1]})
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
    uri = short.model(behaviour={"predict_seconds": 30}, probe={"instances": [1]})
    revision = short.until(short.revision(uri), S.FAILED)
    assert "did not answer its probe within 2 s" in revision.failure.message


def test_a_broken_archive(bench):
    uri = bench.model()
    (bench.root / "sources/model/model-store/m.mar").write_bytes(b"junk")
    revision = bench.until(bench.revision(uri), S.FAILED)
    assert "m.mar is not a readable model archive" in revision.failure.message


def test_storage_that_is_empty_is_asked_until_it_is_not(bench):
    source = bench.root / "sources/later"
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
    revision = bench.ready()
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
    revision = bench.ready(behaviour={})
    bench.behave(revision, {"silent": True})
    failed = bench.until(revision, S.FAILED)
    assert "did not answer 5 times" in failed.failure.message


def test_a_server_without_workers_is_restarted_after_a_while(bench):
    short = bench.again(worker_timeout=0.3)
    revision = short.ready(behaviour={})
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
    assert not bench.alive(revision)
    assert failed.attempts == 1


def test_retiring_signals_nobody_who_got_the_pid_meanwhile(bench):
    revision = bench.ready()
    os.kill(revision.process.pid, signal.SIGKILL)
    wait_until(lambda: not bench.alive(revision), 5.0)
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
    serving = bench.ready()
    stray = bench.ready(name="other")
    bench.revisions.delete(stray)
    again = bench.again()
    assert again.lifecycle.adopt() == 1
    assert bench.alive(serving)
    assert not bench.alive(stray)
    row = again.row(serving)
    assert again.advance(row) == row
    assert row.process == serving.process
    again.until(row, S.STOPPED, step=again.retire)
    assert not bench.alive(serving)


def test_a_server_killed_while_loading_goes_on(bench):
    starting = bench.until(bench.revision(bench.model(behaviour={"seconds": 1.0})), S.STARTING)
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
    assert not bench.alive(revision)


def test_a_server_killed_while_fetching_fetches_again(bench):
    revision = bench.revisions.put(replace(bench.revision(bench.model()), state=S.FETCHING))
    again = bench.again()
    again.lifecycle.adopt()
    assert again.until(revision, S.READY).state is S.READY


def test_a_process_that_ended_while_no_server_ran_is_restarted(bench):
    revision = bench.ready()
    os.kill(revision.process.pid, signal.SIGKILL)
    wait_until(lambda: not bench.alive(revision), 5.0)
    again = bench.again()
    assert again.lifecycle.adopt() == 0
    row = again.row(revision)
    assert (row.state, row.failure) == (S.PENDING, None)
    assert again.until(row, S.READY).restarts == 1


def test_stopping_the_server_ends_all_and_the_rows_start_it_again(bench):
    revision = bench.ready()
    bench.lifecycle.stop_all()
    assert not bench.alive(revision)
    again = bench.again()
    assert again.lifecycle.adopt() == 0
    row = again.row(revision)
    assert row.state is S.PENDING
    ready = again.until(row, S.READY)
    assert ready.stages["fetched"] == revision.stages["fetched"]


def test_a_missing_java_says_what_to_do(bench):
    without = bench.again(java=Path("/nowhere/java"))
    failed = without.until(without.revision(without.model()), S.FAILED)
    assert failed.failure.reason == "RuntimeUnhealthy"
    assert "/nowhere/java" in failed.failure.message
