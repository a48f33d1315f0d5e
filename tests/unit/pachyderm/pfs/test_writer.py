import pytest

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.errors import (
    CommitFinished,
    CommitNotFound,
    FileNotFound,
    InvalidName,
    InvalidPath,
    OutputBranch,
    RepoNotFound,
)
from pdk.pachyderm.pfs import commit_sets, repos
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.values import Repo

A = Repo("default", "a")


def modify(pfs, **handle):
    return pfs.modify_file(CommitHandle(A, **handle))


def test_put_replaces_and_append_adds(pfs, do):
    do.repo("a")
    commit = do.start("a")
    with pfs.file_writer(commit) as writer:
        writer.put("/x", [b"one", b"two"])
        writer.put("x", [b"three"], append=True)
        writer.put("/y", [])
    assert do.read(commit) == {"/x": b"onetwothree", "/y": b""}
    with pfs.file_writer(commit) as writer:
        writer.put("/x", [b"new"])
        writer.append("/y", b"more")
    assert do.read(commit) == {"/x": b"new", "/y": b"more"}


def test_nothing_is_visible_before_the_end_nor_after_an_abort(pfs, do):
    do.repo("a")
    commit = do.start("a")
    writer = pfs.file_writer(commit)
    writer.put("/x", [b"1"])
    assert do.read(commit) == {}
    writer.abort()
    assert do.read(commit) == {}
    with pytest.raises(ZeroDivisionError), pfs.file_writer(commit) as writer:
        writer.put("/x", [b"1"])
        raise ZeroDivisionError
    assert do.read(commit) == {}
    assert pfs.storage.pins.pinned() == []


def test_a_branch_gets_a_one_off_commit(pfs, do):
    do.repo("a")
    first = do.put("a", x=b"1")
    assert pfs.inspect_commit(first).finished is not None
    with modify(pfs, id="master") as writer:
        writer.put("/y", [b"2"])
    assert do.read(do.head("a")) == {"/x": b"1", "/y": b"2"}
    assert do.resolve("a", "master^") == first


def test_a_branch_with_an_open_head_is_written_to_it(pfs, do):
    do.repo("a")
    commit = do.start("a")
    assert do.put("a", x=b"1") == commit
    assert pfs.inspect_commit(commit).finishing is None
    assert do.read(commit) == {"/x": b"1"}


def test_an_aborted_one_off_commit_never_was(pfs, do):
    repo = do.repo("a")
    writer = modify(pfs, branch="master")
    writer.put("/x", [b"1"])
    writer.abort()
    assert pfs.list_commit(repo) == pfs.list_branch(repo) == []


def test_what_cannot_be_written_to(pfs, do):
    with pytest.raises(RepoNotFound):
        modify(pfs, branch="master")
    do.repo("a")
    with pytest.raises(InvalidName):
        modify(pfs)
    commit = do.put("a", x=b"1")
    with pytest.raises(CommitFinished):
        modify(pfs, id=commit.id)
    with pytest.raises(CommitNotFound):
        modify(pfs, id="0" * 12 + "4" + "0" * 19)
    do.repo("b")
    do.branch("b", "a")
    do.finish(do.head("b"))
    writer = pfs.modify_file(CommitHandle(Repo("default", "b"), branch="master"))
    with pytest.raises(OutputBranch):
        writer.close()


def test_a_commit_finished_meanwhile(pfs, do):
    do.repo("a")
    commit = do.start("a")
    writer = pfs.file_writer(commit)
    writer.put("/x", [b"late"])
    do.finish(commit)
    with pytest.raises(CommitFinished):
        writer.close()
    assert do.read(commit) == {}


def test_bad_paths_and_datums(pfs, do):
    do.repo("a")
    with pfs.file_writer(do.start("a")) as writer:
        for path in ("/", "", "/a*", "../x", "/ü"):
            with pytest.raises(InvalidPath):
                writer.put(path, [b""])
        with pytest.raises(InvalidArgument, match="datum"):
            writer.put("/x", [b""], "d" * 2000)


def test_delete(pfs, do):
    do.repo("a")
    do.put("a", x=b"1", d__y=b"2", d__e__z=b"3", w=b"4")
    with modify(pfs, branch="master") as writer:
        writer.delete("/x")
        writer.delete("/d")
        writer.delete("/nope")
        writer.delete("/nope/")
        writer.delete("/d/e/")
    assert do.read(do.head("a")) == {"/d/y": b"2", "/w": b"4"}
    with modify(pfs, branch="master") as writer:
        writer.delete("/")
    assert do.read(do.head("a")) == {}


def test_delete_takes_only_its_own_datums_parts(pfs, do):
    do.repo("a")
    commit = do.start("a")
    do.write(commit, {"/x": b"1", "/y": b"1"}, datum="one")
    do.write(commit, {"/x": b"2"}, datum="two")
    with pfs.file_writer(commit) as writer:
        writer.delete("/")
        writer.delete("/x", "one")
    assert do.read(commit) == {"/x": b"2", "/y": b"1"}


def test_copy(pfs, do):
    do.repo("a")
    do.repo("b")
    source = do.put("b", f=b"1", d__x=b"2", d__e__y=b"3")
    do.put("a", f=b"old", g=b"old")
    files = pfs.files(source)
    with modify(pfs, branch="master") as writer:
        writer.copy("/f", files, "/f")
        writer.copy("/g", files, "/f", append=True)
        writer.copy("/into/", files, "/f")
        writer.copy("/copy", files, "/d")
        with pytest.raises(FileNotFound):
            writer.copy("/z", files, "/nope")
    expected = {"/f": b"1", "/g": b"old1", "/into/f": b"1", "/copy/x": b"2", "/copy/e/y": b"3"}
    assert do.read(do.head("a")) == expected


def test_a_copied_commit_may_go_before_the_copy_is_closed(pfs, do):
    do.repo("a")
    repo = do.repo("b")
    data = bytes(range(256)) * 1000
    writer = modify(pfs, branch="master")
    writer.copy("/x", pfs.files(do.put("b", f=data)), "/f")
    with pfs.transaction() as tx:
        repos.delete_repo(tx, repo)
    pfs.collect_garbage()
    commit = writer.close()
    pfs.collect_garbage()
    assert do.read(commit) == {"/x": data}


def test_garbage_is_what_no_commit_has(pfs, do):
    do.repo("a")
    data = bytes(range(256)) * 1000
    kept = do.put("a", x=data)
    dropped = do.put("a", y=data[::-1])
    with pfs.transaction() as tx:
        commit_sets.drop_commit_set(tx, dropped.id)
    assert pfs.collect_garbage().chunk_files >= 1
    assert do.read(kept) == {"/x": data}
