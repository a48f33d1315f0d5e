"""The server object in this process: start, stop, ports; long polls do not starve; a machine without namespaces."""

import socket
import threading
import time

import pytest
import requests
from determined.experimental import Determined

from pdk.base.errors import Unavailable
from pdk.determined.api.server import DeterminedServer
from pdk.determined.errors import DataFolderInUse
from pdk.determined.master.master import Master
from pdk.determined.master.settings import MasterSettings
from pdk.process import tree

pytestmark = pytest.mark.ours


@pytest.fixture
def server(tmp_path):
    settings = MasterSettings(
        data_dir=tmp_path / "master",
        marker_prefix=f"test-{tmp_path}/",
        max_concurrent_trials=1,
        stop_grace=2.0,
        trial_env={"GREETING": "hello from the composition root"},
    )
    server = DeterminedServer(Master(settings), port=0)
    server.start()
    yield server
    server.stop()
    assert tree.find_marked(lambda marker: marker.startswith(settings.marker_prefix)) == []


@pytest.fixture
def client(server):
    return Determined(server.url, user="determined", password="")


def test_ports_and_a_port_that_is_taken(server, tmp_path):
    assert server.ports == {"master": server.port}
    assert requests.get(f"{server.url}/health", timeout=10).json()["status"] == "up"
    with pytest.raises(DataFolderInUse, match="another master is running"):
        Master(MasterSettings(tmp_path / "master", "test-other/"))
    other = DeterminedServer(Master(MasterSettings(tmp_path / "other", "test-other/")), port=server.port)
    with pytest.raises(Unavailable, match="in use"):
        other.start()


def test_long_polls_hold_no_thread(server, client, lab):
    script = lab.script_config('echo "$GREETING"; sleep 60', preemption_timeout=1)
    experiment = client.create_experiment(script, str(lab.CORE_SCRIPT))
    lab.wait_until(lambda: lab.state_of(experiment) == "RUNNING")
    trial = client._session.get(f"api/v1/trials/{experiment.list_trials()[0].id}").json()["trial"]
    url = f"{server.url}/api/v1/allocations/{trial['taskId']}.1/signals/preemption"
    headers = {"Authorization": f"Bearer {client._session.token}"}
    answers = []

    def poll(seconds):
        began = time.monotonic()
        answer = requests.get(url, params={"timeout_seconds": seconds}, headers=headers, timeout=90).json()
        answers.append((answer["preempt"], time.monotonic() - began))

    pollers = [threading.Thread(target=poll, args=(1 if i % 2 else 60,)) for i in range(40)]
    for poller in pollers:
        poller.start()
    assert requests.get(f"{server.url}/api/v1/me", headers=headers, timeout=5).status_code == 200
    lab.wait_until(lambda: len(answers) == 20, 20)
    assert {preempt for preempt, _ in answers} == {False}
    assert min(waited for _, waited in answers) > 0.9
    experiment.pause()
    for poller in pollers:
        poller.join(10)
    assert [preempt for preempt, _ in answers[20:]] == [True] * 20
    assert "hello from the composition root" in lab.logs_of(experiment)


def test_a_stream_of_a_client_that_goes_away_ends(server, client, lab):
    experiment = client.create_experiment(lab.script_config("sleep 60"), str(lab.CORE_SCRIPT))
    trial = experiment.await_first_trial()
    path = f"/api/v1/trials/{trial.id}/logs?follow=true"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client._session.token}\r\n\r\n"
        connection.sendall(request.encode())
        assert b"200 OK" in connection.recv(4096)
    experiment.kill()
    lab.wait_until(lambda: lab.state_of(experiment) == "CANCELED")


def test_a_machine_without_mount_namespaces(tmp_path, lab, monkeypatch):
    monkeypatch.setattr("pdk.determined.master.runs.namespaces_available", lambda: "not in this test")
    settings = MasterSettings(tmp_path / "master", f"test-{tmp_path}/bare/", max_concurrent_trials=1)
    master = Master(settings)
    server = DeterminedServer(master, port=0)
    server.start()
    try:
        client = Determined(server.url, user="determined", password="")
        experiment = client.create_experiment(lab.toy_config(searcher__max_length={"batches": 100}), str(lab.TOY))
        assert experiment.wait(interval=0.2).value == "STATE_COMPLETED", lab.logs_of(experiment)
        (checkpoint,) = experiment.list_checkpoints()
        assert {"code/model_def.py", "state_dict.pth"} <= set(checkpoint.resources)
        assert list((tmp_path / "master" / "runs").iterdir()) == []
    finally:
        server.stop()
