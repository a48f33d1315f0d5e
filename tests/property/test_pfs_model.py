"""Random sequences of what users do to a repo, against a model: a dict of path to bytes for every commit."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from pdk.db.database import Database
from pdk.pachyderm.pfs import branches, commit_sets, commits, repos
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import CommitHandle, FileType
from pdk.pachyderm.store.pfs_schema import MIGRATIONS
from pdk.pachyderm.values import Branch, Repo
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage

REPO = Repo("default", "data")
NOISE = bytes((i * i + i // 251) % 256 for i in range(300_000))

names = st.sampled_from(["a", "b", "a.b", "a0"])
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
contents = st.one_of(
    st.binary(max_size=3),
    st.builds(
        lambda start, size: NOISE[start : start + size], st.integers(0, 1000), st.sampled_from([20_000, 200_000])
    ),
)


def below(files, folder):
    return {path for path in files if path.startswith(folder.rstrip("/") + "/")}


def collides(files):
    return any(below(files, path) for path in files)


class PfsMachine(RuleBasedStateMachine):
    """`commits` maps each finished commit to its files; `branches` each branch to its head."""

    finished = Bundle("finished")

    @initialize()
    def open(self):
        self.root = Path(tempfile.mkdtemp(prefix="pdk-model-"))
        self.commits, self.branches, self.parents = {}, {}, {}
        self.open_commit, self.open_files = None, None
        self.start_server()
        with self.pfs.transaction() as tx:
            repos.create_repo(tx, REPO)

    def start_server(self):
        self.db = Database(self.root / "pachd.db", MIGRATIONS)
        self.storage = FileSetStorage(self.root / "storage", self.db)
        self.pfs = Pfs(self.db, self.storage, Changes())

    def teardown(self):
        if hasattr(self, "root"):
            self.storage.close()
            self.db.close()
            shutil.rmtree(self.root)

    def base(self, branch):
        return dict(self.commits[self.branches[branch]]) if branch in self.branches else {}

    def record(self, branch, commit, files):
        if commit not in self.commits:
            self.parents[commit] = self.branches.get(branch)
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit

    @precondition(lambda self: self.open_commit is None)
    @rule(target=finished, branch=st.sampled_from(["master", "dev"]), data=st.data())
    def one_off_commit(self, branch, data):
        files = self.base(branch)
        with self.pfs.modify_file(CommitHandle(REPO, branch=branch)) as writer:
            for _ in range(data.draw(st.integers(1, 4))):
                self.change(writer, files, data)
            if collides(files):
                writer.delete("/")
                files.clear()
        commit = self.pfs.resolve(CommitHandle(REPO, branch=branch))
        return self.record(branch, commit, files)

    def change(self, writer, files, data):
        path = data.draw(paths)
        match data.draw(st.sampled_from(["put", "append", "delete", "delete folder", "copy"])):
            case "put":
                files[path] = data.draw(contents)
                writer.put(path, [files[path][:7], files[path][7:]])
            case "append":
                more = data.draw(contents)
                files[path] = files.get(path, b"") + more
                writer.append(path, more)
            case "delete":
                files.pop(path, None)
                writer.delete(path)
            case "delete folder":
                for each in below(files, path):
                    del files[each]
                writer.delete(path + "/")
            case "copy":
                self.copy(writer, files, path, data)

    def copy(self, writer, files, path, data):
        if not self.commits:
            return
        commit = data.draw(st.sampled_from(list(self.commits)))
        source = self.commits[commit]
        folders = {each[:i] for each in source for i, char in enumerate(each) if char == "/" and i}
        for source_path in sorted(folders | set(source))[:2]:
            append = data.draw(st.booleans())
            for each in {source_path} & set(source) or below(source, source_path):
                target = path + each.removeprefix(source_path)
                files[target] = (files.get(target, b"") if append else b"") + source[each]
            writer.copy(path, self.pfs.files(commit), source_path, append=append)

    @precondition(lambda self: self.open_commit is None)
    @rule()
    def start(self):
        with self.pfs.transaction() as tx:
            self.open_commit = commits.start_commit(tx, Branch(REPO, "master"))
        self.open_files = self.base("master")

    @precondition(lambda self: self.open_commit is not None)
    @rule(data=st.data(), keep=st.booleans())
    def write(self, data, keep):
        files = dict(self.open_files)
        writer = self.pfs.file_writer(self.open_commit)
        self.change(writer, files, data)
        if keep and not collides(files):
            writer.close()
            self.open_files = files
        else:
            writer.abort()

    @precondition(lambda self: self.open_commit is not None)
    @rule()
    def clear(self):
        with self.pfs.transaction() as tx:
            commits.clear_commit(tx, self.open_commit)
        self.open_files = self.base("master")

    @precondition(lambda self: self.open_commit is not None)
    @rule(target=finished, error=st.sampled_from(["", "", "", "bad"]))
    def finish(self, error):
        with self.pfs.transaction() as tx:
            commits.finish_commit(tx, self.open_commit, error=error)
        commit, files, self.open_commit = self.open_commit, self.open_files, None
        if error:
            # What comes next does not build on it; the model leaves it out altogether, so move the branch back.
            if "master" not in self.branches:
                with self.pfs.transaction() as tx:
                    branches.delete_branch(tx, Branch(REPO, "master"))
            else:
                with self.pfs.transaction() as tx:
                    branches.create_branch(tx, Branch(REPO, "master"), self.branches["master"])
            return multiple()
        return self.record("master", commit, files)

    @precondition(lambda self: self.open_commit is None)
    @rule(commit=finished, branch=st.sampled_from(["master", "dev", "tag"]))
    def move_branch(self, commit, branch):
        if commit in self.commits:
            with self.pfs.transaction() as tx:
                branches.create_branch(tx, Branch(REPO, branch), commit)
            self.branches[branch] = commit

    @precondition(lambda self: self.open_commit is None)
    @rule(commit=finished)
    def drop(self, commit):
        parent = self.parents.get(commit)
        if commit not in self.commits or parent is None or self.pfs.inspect_commit(commit).children:
            return
        with self.pfs.transaction() as tx:
            commit_sets.drop_commit_set(tx, commit.id)
        del self.commits[commit]
        self.branches = {name: parent if head == commit else head for name, head in self.branches.items()}

    @rule()
    def restart(self):
        self.storage.close()
        self.db.close()
        self.start_server()

    @rule()
    def collect_garbage(self):
        self.pfs.collect_garbage()

    @rule(new=finished, old=finished)
    def diff(self, new, old):
        if new in self.commits and old in self.commits:
            mine, other = self.commits[new], self.commits[old]
            found = set()
            for difference in self.pfs.diff_file(new, "/", old):
                info = difference.new or difference.old
                if info.type is FileType.FILE:
                    found.add((info.path, difference.new is not None, difference.old is not None))
            expected = {
                (path, path in mine, path in other)
                for path in mine.keys() | other.keys()
                if mine.get(path) != other.get(path)
            }
            assert found == expected

    @rule(commit=finished, path=paths, offset=st.sampled_from([0, 1, 100_000]))
    def read_from_offset(self, commit, path, offset):
        if path in self.commits.get(commit, {}):
            assert b"".join(self.pfs.files(commit).read(path, offset)) == self.commits[commit][path][offset:]

    @invariant()
    def the_files_are_those_of_the_model(self):
        if not hasattr(self, "pfs"):
            return
        for branch, head in self.branches.items():
            if not (branch == "master" and self.open_commit):
                assert self.pfs.resolve(CommitHandle(REPO, branch=branch)) == head
        if self.commits:
            newest = max(self.commits, key=lambda commit: commit.id)
            self.check(newest, self.commits[newest])
        if self.open_commit is not None:
            self.check(self.open_commit, self.open_files)

    @rule()
    def every_commit_is_still_what_it_was(self):
        for commit, files in self.commits.items():
            self.check(commit, files)

    def check(self, commit, files):
        infos = list(self.pfs.files(commit).walk("/"))
        found = {info.path: info.size_bytes for info in infos if info.type is FileType.FILE}
        assert found == {path: len(data) for path, data in files.items()}
        for path, data in files.items():
            assert b"".join(self.pfs.files(commit).read(path)) == data
        folders = {path[: i + 1] for path in files for i, char in enumerate(path) if char == "/"}
        assert {info.path for info in infos if info.type is FileType.DIR} == folders
        if files:
            assert self.pfs.files(commit).inspect("/").size_bytes == sum(map(len, files.values()))


TestPfsModel = PfsMachine.TestCase
TestPfsModel.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
