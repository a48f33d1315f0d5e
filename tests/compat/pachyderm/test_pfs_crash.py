"""`kill -9` of the server in the middle of things: nothing finished is lost, nothing half done is seen."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from pdk.db.database import Database
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.store.pfs_schema import MIGRATIONS
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage

MASTER = pfs.Commit.from_uri("data@master")
DATA = random.Random(9).randbytes(12 << 20)

pytestmark = pytest.mark.ours


class KilledServer:
    """A server process that is killed and started again on the same folder."""

    def __init__(self, root):
        self.root = root
        self.process = None

    def start(self):
        script = Path(__file__).with_name("serve_pfs.py")
        self.process = subprocess.Popen([sys.executable, script, self.root], stdout=subprocess.PIPE, text=True)
        return Client(host="127.0.0.1", port=int(self.process.stdout.readline()))

    def kill(self):
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()
            self.process = None


@pytest.fixture
def server(tmp_path):
    killed = KilledServer(tmp_path / "pachd")
    yield killed
    killed.kill()


def get(client, path, commit=MASTER):
    with client.pfs.pfs_file(pfs.File(commit=commit, path=path)) as file:
        return file.read()


def test_killed_in_the_middle_of_a_put(server):
    client = server.start()
    client.pfs.create_repo(repo=pfs.Repo.from_uri("data"))
    client.pfs.put_file_from_bytes(commit=MASTER, path="/before", data=DATA[: 3 << 20])
    before = client.pfs.inspect_branch(branch=pfs.Branch.from_uri("data@master")).head
    opened = client.pfs.start_commit(branch=pfs.Branch.from_uri("data@open"))
    client.pfs.put_file_from_bytes(commit=opened, path="/kept", data=b"kept")
    half_way = threading.Event()

    def requests(commit):
        yield pfs.ModifyFileRequest(set_commit=commit)
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/half", raw=DATA))
        # More than flow control lets through unread: when this is taken, most of what came before has been read.
        for _ in range(2):
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/half", raw=DATA))
        half_way.set()
        threading.Event().wait(30)

    def put(commit):
        with pytest.raises(grpc.RpcError):
            client.pfs.modify_file(requests(commit))

    putting = [threading.Thread(target=put, args=(commit,), daemon=True) for commit in (MASTER, opened)]
    for thread in putting:
        thread.start()
    assert half_way.wait(60)
    server.kill()

    client = server.start()
    assert [info.commit.id for info in client.pfs.list_commit(repo=pfs.Repo.from_uri("data"))] == [opened.id, before.id]
    assert get(client, "/before") == DATA[: 3 << 20]
    assert get(client, "/kept", opened) == b"kept"
    walked = client.pfs.walk_file(file=pfs.File(commit=opened, path="/"))
    assert [info.file.path for info in walked] == ["/", "/kept"]
    client.pfs.put_file_from_bytes(commit=MASTER, path="/half", data=DATA)
    client.pfs.finish_commit(commit=opened)
    assert get(client, "/half") == DATA
    server.kill()
    check_store(server.root)


def check_store(root):
    """Whatever the killed processes left is collected, and every file of every commit is whole."""
    db = Database(root / "pachd.db", MIGRATIONS)
    storage = FileSetStorage(root / "storage", db)
    engine = Pfs(db, storage, Changes())
    assert list((root / "storage" / "tmp").iterdir()) == []
    engine.collect_garbage()
    used = set()
    for info in engine.list_commit():
        for file in engine.files(info.commit).walk("/"):
            if not file.path.endswith("/"):
                assert sum(map(len, engine.files(info.commit).read(file.path))) == file.size_bytes
                entry, _ = storage.trees.find(engine.files(info.commit).tree, file.path)
                for part in entry.parts:
                    used |= {chunk.digest for chunk, _ in storage.contents.list_chunks(part.content)}
    assert set(storage.chunks.list_large()) <= used
    storage.close()
    db.close()


@pytest.mark.parametrize("way", ["raise RuntimeError('no more')", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_client_that_dies_in_the_middle_of_a_put_changes_nothing(server, way):
    client = server.start()
    repo = pfs.Repo.from_uri("data")
    client.pfs.create_repo(repo=repo)
    code = f"""
import os, signal
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

def requests():
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit.from_uri("data@master"))
    yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/f", raw=b"half"))
    {way}

Client(host="127.0.0.1", port={client.address.rpartition(":")[2]}).pfs.modify_file(requests())
"""
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0
    assert list(client.pfs.list_commit(repo=repo)) == []


def test_what_was_acknowledged_is_there_after_each_kill(server):
    """Several rounds: a client commits as fast as it can, the server dies at some moment; what it answered counts."""
    client = server.start()
    client.pfs.create_repo(repo=pfs.Repo.from_uri("data"))
    acknowledged = 0
    dice = random.Random(4)
    for _ in range(3):
        killer = threading.Timer(0.3 + 0.4 * dice.random(), server.kill)
        killer.start()
        started = acknowledged
        try:
            while True:
                size = dice.choice([10, 200_000])
                data = acknowledged.to_bytes(4, "big") * (size // 4)
                client.pfs.put_file_from_bytes(commit=MASTER, path=f"/{acknowledged:04}", data=data)
                acknowledged += 1
        except (grpc.RpcError, ConnectionError):
            killer.join()
        assert acknowledged > started
        client = server.start()
        infos = [info for info in client.pfs.walk_file(file=pfs.File(commit=MASTER)) if info.file.path != "/"]
        commits = list(client.pfs.list_commit(repo=pfs.Repo.from_uri("data")))
        # The last one may have been committed without the client hearing of it.
        assert len(infos) in (acknowledged, acknowledged + 1)
        assert len(commits) >= len(infos)
        assert all(info.finished for info in commits)
        acknowledged = len(infos)
        for number, info in enumerate(infos):
            assert get(client, info.file.path) == number.to_bytes(4, "big") * (info.size_bytes // 4)
    server.kill()
    check_store(server.root)
