"""`kill -9` of a whole pachd in the middle of a job: nothing finished is lost or done twice, nothing open forgotten."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pps
from waiting import wait_until

from pdk.process.tree import find_marked

PROCESS = Path(__file__).with_name("pachd_process.py")

pytestmark = pytest.mark.ours


class Server:
    """A pachd in a process of its own, which can be killed and started again on the same data."""

    def __init__(self, root):
        self.root = root
        self.port = 0
        self.process = None

    def start(self):
        port_file = self.root / "port"
        port_file.unlink(missing_ok=True)
        log = (self.root / "pachd.log").open("ab")
        arguments = [sys.executable, PROCESS, self.root / "data", port_file, str(self.port)]
        self.process = subprocess.Popen(arguments, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        log.close()
        wait_until(lambda: self.process.poll() is not None or (port_file.exists() and port_file.read_text()))
        assert self.process.poll() is None, (self.root / "pachd.log").read_text()
        self.port = int(port_file.read_text())
        return Client(host="127.0.0.1", port=self.port)

    def kill(self):
        self.process.kill()
        self.process.wait()

    @property
    def children(self):
        return find_marked(lambda marker: marker.startswith(f"pdk-test-pps-{self.root / 'data'}/"))


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    (tmp_path / "data").mkdir()
    yield server
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    assert server.children == []


def build(bench, flag):
    """A job of three datums: `/a` ends at once, `/b` waits for the file `flag` the first time, `/c` comes after it."""
    bench.repo("data")
    count = flag.parent / "runs"
    script = [
        f"echo $(basename $data) >> {count}",
        f"if [ $(basename $data) = b ]; then until [ -e {flag} ]; do sleep 0.05; done; fi",
        "cp $data /pfs/out",
    ]
    return bench.pipeline("p", *script, datum_tries=1), count


def test_kill_9_in_the_middle_of_a_datum(server, bench_of, tmp_path):
    bench = bench_of(server.start())
    flag = tmp_path / "go"
    pipeline, runs = build(bench, flag)
    downstream = bench.pipeline("q", "cp -r /pfs/p/* /pfs/out", reads="p", glob="/")
    job_id = bench.commit("data", {"/a": "1", "/b": "2", "/c": "3"})
    wait_until(lambda: runs.exists() and runs.read_text() == "a\nb\n")
    assert server.children
    server.kill()
    assert server.children, "user code outlives its server; the next one must end it"
    orphans = set(server.children)
    bench.client = server.start()
    wait_until(lambda: not orphans & set(server.children))
    flag.touch()
    info = bench.wait(pipeline, job_id)
    assert (info.state, info.data_processed, info.data_failed, info.restart) == (pps.JobState.JOB_SUCCESS, 3, 0, 1)
    assert runs.read_text().split() == ["a", "b", "b", "c"]
    assert bench.output(pipeline, job_id) == {"/a": "1", "/b": "2", "/c": "3"}
    assert bench.wait(downstream, job_id).state == pps.JobState.JOB_SUCCESS
    assert bench.output(downstream, job_id) == {"/a": "1", "/b": "2", "/c": "3"}
    assert list((server.root / "data/pps/scratch").iterdir()) == []


def test_a_graceful_stop_counts_as_nothing(server, bench_of, tmp_path):
    bench = bench_of(server.start())
    flag = tmp_path / "go"
    pipeline, runs = build(bench, flag)
    job_id = bench.commit("data", {"/a": "1", "/b": "2"})
    wait_until(lambda: runs.exists() and runs.read_text() == "a\nb\n")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert server.children == []
    bench.client = server.start()
    flag.touch()
    assert bench.wait(pipeline, job_id).state == pps.JobState.JOB_SUCCESS
    assert runs.read_text().split() == ["a", "b", "b"]


def test_kill_9_at_random_moments_of_a_busy_server(server, bench_of):
    """Each life of the server is a little longer; whatever it was doing, the last one finishes everything, once."""
    bench = bench_of(server.start())
    bench.repo("data")
    pipeline = bench.pipeline("p", "sleep 0.05; cp $data /pfs/out")
    downstream = bench.pipeline("q", "cat /pfs/p/* > /pfs/out/all", reads="p", glob="/")
    ids = []
    for number, life in enumerate((0.05, 0.15, 0.3, 0.5)):
        ids.append(bench.commit("data", {f"/{number}-{part}": str(number) for part in "ab"}))
        time.sleep(life)
        server.kill()
        bench.client = server.start()
    for job_id in ids:
        assert bench.wait(pipeline, job_id).state == pps.JobState.JOB_SUCCESS
        assert bench.wait(downstream, job_id).state == pps.JobState.JOB_SUCCESS
    assert bench.output(pipeline, ids[-1]) == {f"/{n}-{part}": str(n) for n in range(4) for part in "ab"}
    assert bench.output(downstream, ids[-1]) == {"/all": "00112233"}
    infos = [bench.wait(pipeline, job_id) for job_id in ids]
    assert [info.data_processed for info in infos] == [2, 2, 2, 2]
    assert [info.data_skipped for info in infos] == [0, 2, 4, 6]
