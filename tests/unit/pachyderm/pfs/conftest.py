import pytest

from pdk.db.database import Database
from pdk.pachyderm.pfs import branches, commits, repos
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.store.pfs_schema import MIGRATIONS
from pdk.pachyderm.values import Branch, Repo
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage


@pytest.fixture
def pfs(tmp_path):
    db = Database(tmp_path / "pachd.db", MIGRATIONS)
    storage = FileSetStorage(tmp_path / "storage", db)
    changes = Changes()
    yield Pfs(db, storage, changes)
    changes.close()
    storage.close()
    db.close()


class Shorthand:
    """What most tests do, in few words; repos are named by their name in project default, branches are `master`."""

    def __init__(self, pfs):
        self.pfs = pfs

    def repo(self, name, type_="user"):
        repo = Repo("default", name, type_)
        with self.pfs.transaction() as tx:
            repos.create_repo(tx, repo)
        return repo

    def branch(self, name, *upstream, branch="master"):
        target = Branch(Repo("default", name), branch)
        with self.pfs.transaction() as tx:
            branches.create_branch(tx, target, None, [Branch(Repo("default", other), "master") for other in upstream])
        return target

    def start(self, name, **options):
        with self.pfs.transaction() as tx:
            return commits.start_commit(tx, Branch(Repo("default", name), "master"), **options)

    def finish(self, commit, **options):
        with self.pfs.transaction() as tx:
            commits.finish_commit(tx, commit, **options)

    def put(self, name, **files):
        """Put files in a one-off commit; `a__b` stands for the path /a/b."""
        writer = self.pfs.modify_file(CommitHandle(Repo("default", name), branch="master"))
        for path, data in files.items():
            writer.put("/" + path.replace("__", "/"), [data])
        return writer.close()

    def write(self, commit, files, datum="default"):
        with self.pfs.file_writer(commit) as writer:
            for path, data in files.items():
                writer.put(path, [data], datum)

    def read(self, commit):
        return {
            info.path: b"".join(self.pfs.files(commit).read(info.path))
            for info in self.pfs.files(commit).walk("/")
            if not info.path.endswith("/")
        }

    def head(self, name, branch="master"):
        return self.pfs.inspect_branch(Branch(Repo("default", name), branch)).head

    def resolve(self, name, text):
        return self.pfs.resolve(CommitHandle(Repo("default", name), id=text))


@pytest.fixture
def do(pfs):
    return Shorthand(pfs)
