"""kill -9 of each server in the middle of a put, a training and a rollout; code that fails: the loop goes on."""

import contextlib
import subprocess
import sys
import time
import uuid
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk.api import pfs
from pdk_demo.__main__ import put
from pdk_demo.systems import DATA_REPO, DEPLOY, PROJECT, ROLLOUT, TRAIN, sample_request
from pdk_demo.traffic import Caller
from pdk_demo.watch import LoopFailed, Watcher
from waiting import wait_until

ROOT = Path(__file__).parents[2]
TIMEOUT = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    """A function that makes a new small CSV with rows of its own."""
    folder = tmp_path_factory.mktemp("small")

    def make():
        seed = uuid.uuid4().int % 100_000
        command = [sys.executable, ROOT / "sample-data" / "generate.py", "--out", folder / str(seed)]
        subprocess.run([*command, "--rows", "3000", "--seed", str(seed)], check=True)
        path = folder / str(seed) / "data_part1.csv"
        return path.rename(folder / f"rows-{seed}.csv")

    return make


@pytest.fixture(scope="module")
def serving(module_stack, module_quick_code, small_data):
    """A stack that serves a first version."""
    systems = module_stack.prepare(module_quick_code)
    lap = finish(systems, put(systems, small_data()))
    return module_stack, systems, lap


def finish(systems, commit_id):
    watcher = Watcher(systems, commit_id)
    for _ in watcher.follow(TIMEOUT):
        pass
    return watcher.lap


def until(systems, commit_id, text):
    """Watch until a line contains `text`."""
    watcher = Watcher(systems, commit_id)
    seen = []
    for line in watcher.follow(TIMEOUT):
        seen.append(line)
        if text in line:
            return watcher
    raise AssertionError(f"{text!r} never seen in {seen}")


def answer(systems):
    caller = Caller(systems, sample_request()[1])
    try:
        return caller.call()
    finally:
        caller.close()


def experiments_of(systems, commit_id):
    return systems.determined.list_experiments(labels=[commit_id])


def test_pachd_killed_in_the_middle_of_a_put(serving, small_data):
    stack, systems, _ = serving
    before = systems.pachyderm.pfs.inspect_commit(commit=systems.data_commit("master")).commit.id
    served = answer(systems).data_commit

    def requests():
        yield pfs.ModifyFileRequest(set_commit=systems.data_commit("master"))
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/half.csv", raw=b"x" * 4_000_000))
        time.sleep(0.3)
        requests.killed = stack.kill("pachyderm")
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/half.csv", raw=b"y" * 4_000_000))

    with pytest.raises(grpc.RpcError):
        systems.pachyderm.pfs.modify_file(requests())
    stack.wait_restarted("pachyderm", requests.killed)
    systems = stack.systems()
    head = systems.pachyderm.pfs.inspect_commit(commit=systems.data_commit("master")).commit
    assert head.id == before
    assert not systems.pachyderm.pfs.path_exists(pfs.File(commit=head, path="/half.csv"))
    assert answer(systems).data_commit == served
    lap = finish(systems, put(systems, small_data()))
    assert answer(systems).data_commit == lap.commit_id


def test_master_killed_in_the_middle_of_a_training(serving, small_data):
    stack, systems, _ = serving
    commit_id = put(systems, small_data())
    until(systems, commit_id, "batch")
    stack.wait_restarted("determined", stack.kill("determined"))
    lap = finish(stack.systems(), commit_id)
    assert len(experiments_of(systems, commit_id)) == 1
    assert lap.trial["totalBatchesProcessed"] == 100
    assert answer(systems).data_commit == commit_id


def test_pachd_killed_in_the_middle_of_a_training(serving, small_data):
    stack, systems, _ = serving
    commit_id = put(systems, small_data())
    until(systems, commit_id, "experiment  ")
    stack.wait_restarted("pachyderm", stack.kill("pachyderm"))
    systems = stack.systems()
    finish(systems, commit_id)
    assert len(experiments_of(systems, commit_id)) == 1
    assert answer(systems).data_commit == commit_id


def test_kserve_killed_in_the_middle_of_a_rollout(serving, small_data):
    stack, systems, _ = serving
    served = answer(systems).data_commit
    commit_id = put(systems, small_data())
    until(systems, commit_id, "rollout job      running")
    stack.wait_restarted("kserve", stack.kill("kserve"))

    def good_answer():
        with contextlib.suppress(OSError):
            found = answer(systems)
            return found if found.status == 200 else None

    first = wait_until(good_answer, 20, "an answer after the restart")
    assert first.data_commit in (served, commit_id)
    finish(stack.systems(), commit_id)
    assert answer(systems).data_commit == commit_id


def test_model_code_that_fails_is_told_and_changes_nothing(serving, small_data, module_quick_code):
    stack, systems, _ = serving
    served = answer(systems).data_commit
    model = module_quick_code / "experiment" / "network.py"
    good = model.read_text()
    model.write_text(good + "\n\nraise RuntimeError('the network is on strike')\n")
    commit_id = put(systems, small_data())
    try:
        with pytest.raises(LoopFailed, match="the network is on strike"):
            finish(systems, commit_id)
    finally:
        model.write_text(good)
    assert "the network is on strike" in stack.pdk("status").stdout
    assert answer(systems).data_commit == served
    lap = finish(systems, put(systems, small_data()))
    assert answer(systems).data_commit == lap.commit_id


def test_a_commit_that_only_deletes_and_an_empty_one_change_nothing(serving, small_data):
    stack, systems, _ = serving
    path = small_data()
    served = finish(systems, put(systems, path)).commit_id
    versions = len(systems.determined.get_model("customer-churn").list_versions())
    stack.pdk("delete", "file", f"{DATA_REPO}@master:{path.name}", "--project", PROJECT)
    deleted = systems.pachyderm.pfs.inspect_commit(commit=systems.data_commit("master")).commit.id
    with systems.pachyderm.pfs.commit(branch=systems.data_commit("master").branch) as empty:
        pass
    for commit_id in (deleted, empty.id):
        for pipeline in (TRAIN, DEPLOY, ROLLOUT):
            stack.pdk("wait", "job", f"{pipeline}@{commit_id}", "--project", PROJECT, check=False)
    log = stack.pdk("logs", "-j", f"{TRAIN}@{deleted}", "--project", PROJECT).stdout
    reason = stack.pdk("inspect", "job", f"{TRAIN}@{deleted}", "--project", PROJECT).stdout
    assert "No data" in log + reason
    assert len(systems.determined.get_model("customer-churn").list_versions()) == versions
    assert answer(systems).data_commit == served
