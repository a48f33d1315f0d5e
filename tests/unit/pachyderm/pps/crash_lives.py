"""Lets a pps die by SIGKILL before or after its n-th COMMIT, for n = 0, 1, 2, ..., and a second one finish its work.

    python crash_lives.py <folder>

Prints a JSON line per life that was cut short: what the second one found and left. Every life is a fork of this
process, which has all imports done and no threads.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from pdk.db.database import Database
from pdk.pachyderm.pfs import commits, repos
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import CommitState
from pdk.pachyderm.pps.engine import Pps
from pdk.pachyderm.pps.images import ImageMap
from pdk.pachyderm.pps.settings import PpsSettings
from pdk.pachyderm.pps.types import Job, Pipeline
from pdk.pachyderm.store import pfs_schema, pps_schema
from pdk.pachyderm.values import Branch, DatumState, Repo
from pdk.process.child import SubprocessLauncher
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage

DATA = Repo("default", "data")
MASTER = Branch(DATA, "master")
COPY = {"cmd": ["/bin/sh", "-e"], "stdin": ["cp $data /pfs/out"]}
FAIL = {"cmd": ["/bin/sh", "-e"], "stdin": ["echo broken >&2; exit 1"]}
JOIN = {"cmd": ["/bin/sh", "-e"], "stdin": ["cat /pfs/copy/* > /pfs/out/all"]}
PIPELINES = {
    "copy": {"transform": COPY, "input": {"pfs": {"repo": "data", "glob": "/*"}}},
    "fail": {"transform": FAIL, "input": {"pfs": {"repo": "data", "glob": "/"}}, "datum_tries": 1},
    "join": {"transform": JOIN, "input": {"pfs": {"repo": "copy", "glob": "/"}}},
    "below": {"transform": COPY, "input": {"pfs": {"repo": "fail", "glob": "/", "name": "data"}}},
}


class MortalDatabase(Database):
    """Dies at a chosen COMMIT once it is armed."""

    left = None
    after = False

    def arm(self, left, after):
        self.left, self.after = left, after

    def _commit(self):
        dying = self.left == 0
        if self.left is not None:
            self.left -= 1
        if dying and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        callbacks = super()._commit()
        if dying:
            os.kill(os.getpid(), signal.SIGKILL)
        return callbacks


class Life:
    """The engines on a data folder."""

    def __init__(self, root):
        self.db = MortalDatabase(root / "pachd.db", [*pfs_schema.MIGRATIONS, *pps_schema.MIGRATIONS])
        changes = Changes()
        self.pfs = Pfs(self.db, FileSetStorage(root / "storage", self.db), changes)
        settings = PpsSettings(root / "pps", f"pdk-test-lives-{root}/")
        self.pps = Pps(self.db, self.pfs, changes, SubprocessLauncher(), ImageMap(dict), settings)
        self.pps.start("127.0.0.1", 1)

    def wait_all(self, set_id):
        return {name: self.pps.jobs.wait_job(Job(Pipeline("default", name), set_id)) for name in PIPELINES}

    def prepare(self):
        with self.pfs.transaction() as tx:
            repos.create_repo(tx, DATA)
        for name, spec in PIPELINES.items():
            self.pps.pipelines.create_pipeline("{}", {"pipeline": {"name": name}, **spec})
        for _, jobs in self.pps.jobs.list_job_set():
            for info in jobs:
                self.pps.jobs.wait_job(info.job)

    def commit(self):
        with self.pfs.transaction() as tx:
            commit = commits.start_commit(tx, MASTER)
        with self.pfs.file_writer(commit) as writer:
            for name in "ab":
                writer.put(f"/{name}", [name.encode()])
        return commit

    def finish(self, commit):
        with self.pfs.transaction() as tx:
            commits.finish_commit(tx, commit)


def begin(root):
    """Make the pipelines and an open commit, then leave."""
    life = Life(root)
    life.prepare()
    life.commit()
    life.pps.stop()


def cut_short(root, number, after):
    """First life: finish the commit and die at the n-th COMMIT from there."""
    life = Life(root)
    commit = life.pfs.inspect_branch(MASTER).head
    life.db.arm(number, after)
    life.finish(commit)
    life.wait_all(commit.id)


def go_on(root, number, after):
    """Second life: finish whatever is there and say what came out."""
    life = Life(root)
    head = life.pfs.inspect_branch(MASTER).head
    if life.pfs.commit_state(head) < CommitState.FINISHING:
        life.finish(head)
    infos = life.wait_all(head.id)
    outputs = {
        name: {
            info.path: b"".join(life.pfs.files(job.job.output_commit).read(info.path)).decode()
            for info in life.pfs.files(job.job.output_commit).walk("/")
            if not info.path.endswith("/")
        }
        for name, job in infos.items()
    }
    datums = [d.state for job in infos.values() for d in life.pps.jobs.list_datum(job.job)]
    states = [life.pfs.commit_state(c.commit) for c in life.pfs.commit_set(head.id)]
    report = {
        "point": f"{'after' if after else 'before'} {number}",
        "states": {name: info.state.name for name, info in infos.items()},
        "reasons": {name: info.reason for name, info in infos.items()},
        "processed": {name: info.processed for name, info in infos.items()},
        "outputs": outputs,
        "open_datums": datums.count(DatumState.STARTING),
        "open_commits": sum(state is not CommitState.FINISHED for state in states),
        "scratch": len(list((root / "pps/scratch").glob("*"))),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    life.pps.stop()


def live(act, *arguments):
    """Run one life in a fork; return its wait status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act(*arguments)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def main():
    root = Path(sys.argv[1])
    template = root / "template"
    template.mkdir()
    assert live(begin, template) == 0
    number = 0
    while True:
        # After one COMMIT and before the next one the database is the same: every second point dies on the other side.
        after = number % 2 == 1
        folder = root / str(number)
        shutil.copytree(template, folder)
        status = live(cut_short, folder, number, after)
        if not os.WIFSIGNALED(status):
            assert status == 0
            return
        assert live(go_on, folder, number, after) == 0
        number += 1


if __name__ == "__main__":
    main()
