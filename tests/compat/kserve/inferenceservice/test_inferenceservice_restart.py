"""`kill -9` of the server: what served goes on serving, what was rolled out goes on, nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pdk.db.database import Database
from pdk.kserve.kinds.registry import serving_resources
from pdk.kserve.predictor.revisions import MIGRATIONS, Revisions
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.process import tree
from pdk.reconcile.changes import Changes

pytestmark = pytest.mark.ours  # their models are folders of this machine


class ServerProcess:
    """The server as a process of its own, on one port for all its lives."""

    def __init__(self, root):
        self.root = root
        root.mkdir()
        self.db = Database(root / "kserve.db", [*OBJECT_MIGRATIONS, *MIGRATIONS])
        self.store = ObjectStore(self.db, Changes(), serving_resources())
        self.store.create("namespaces", {"metadata": {"name": "default"}})
        self.revisions = Revisions(self.db)
        self.process = None

    @property
    def port(self):
        return int((self.root / "port").read_text())

    def start(self):
        script = Path(__file__).with_name("serving.py")
        with (self.root / "server.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, script, self.root], stderr=log, start_new_session=True)

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    server = ServerProcess(tmp_path / "server")
    server.start()
    yield server
    server.kill()
    tree.kill_marked(lambda marker: str(tmp_path) in marker)
    server.db.close()


def answers(tools, server):
    try:
        return tools.predict(server.port, timeout=5)[0] == 200
    except OSError:
        return False


def test_kill_while_serving_and_in_the_middle_of_a_rollout(server, tools, tmp_path):
    tools.wait_until(lambda: (server.root / "port").exists(), what="the server")
    one = tools.build_model(tmp_path / "one", "1.0")
    tools.apply(server.store, tools.manifest(one.as_uri()))
    tools.wait_ready(server.store, 1)
    (row,) = server.revisions.all()

    server.kill()
    assert tree.identify(row.process.pid) is not None
    server.start()
    # About a second on an idle machine; import of Python modules is most of it.
    tools.wait_until(lambda: answers(tools, server), 20, "an answer after the restart")
    assert tree.identify(row.process.pid) is not None
    assert server.revisions.all()[0].process == row.process

    two = tools.build_model(tmp_path / "two", "2.0")
    tools.apply(server.store, tools.manifest(two.as_uri()))
    tools.wait_until(
        lambda: any(each.number == 2 and each.process and each.process.pid for each in server.revisions.all()),
        what="the start of revision 2",
    )
    server.kill()
    server.start()
    tools.wait_until(lambda: answers(tools, server), 60, "an answer after the second restart")
    tools.wait_ready(server.store, 2)
    assert tools.predict(server.port)[2] == {"predictions": ["2.0"]}
    tools.wait_until(lambda: tree.identify(row.process.pid) is None, what="the end of revision 1")
    tools.wait_until(lambda: [each.number for each in server.revisions.all()] == [2], what="the end of its row")

    # TorchServe itself dies while no server runs: the next one starts it again.
    server.kill()
    tree.kill_marked(lambda marker: str(tmp_path) in marker)
    server.start()
    tools.wait_until(lambda: answers(tools, server), 60, "an answer from a new process")
    tools.wait_ready(server.store, 2)
    pods, _ = server.store.list("pods")
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [1], json.dumps(pods)
