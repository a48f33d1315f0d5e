import io
import tarfile

import pytest

from pdk.base.errors import InvalidArgument, NotFound
from pdk.pachyderm.errors import FileNotFound
from pdk.pachyderm.pfs.tar import tar_stream
from pdk.pachyderm.pfs.types import FileType


@pytest.fixture
def commit(pfs, do):
    do.repo("a")
    writer = pfs.file_writer(do.start("a"))
    files = {"/a.txt": b"1", "/a/x": b"22", "/a/y/z": b"333", "/b": b"", "/a0": b"4"}
    for path, data in files.items():
        writer.put(path, [data])
    commit = writer.close()
    do.finish(commit)
    return commit


@pytest.fixture
def empty(pfs, do):
    do.repo("empty")
    do.branch("empty")
    return do.head("empty")


def paths(infos):
    return [info.path for info in infos]


def test_inspect(pfs, commit, empty):
    file = pfs.files(commit).inspect("a/x")
    assert (file.path, file.type, file.size_bytes, file.datum) == ("/a/x", FileType.FILE, 2, "default")
    assert file.committed == pfs.inspect_commit(commit).finishing
    folder = pfs.files(commit).inspect("/a")
    assert (folder.path, folder.type, folder.size_bytes, folder.datum) == ("/a/", FileType.DIR, 5, "")
    assert pfs.files(commit).inspect("/").size_bytes == 7
    for path in ("/nope", "/a/x/y"):
        with pytest.raises(FileNotFound, match=f"file {path} not found in repo default/a at commit {commit.id}"):
            pfs.files(commit).inspect(path)
    with pytest.raises(FileNotFound):
        pfs.files(empty).inspect("/")


def test_list(pfs, commit, empty):
    assert paths(pfs.files(commit).list("/")) == ["/a.txt", "/a/", "/a0", "/b"]
    assert paths(pfs.files(commit).list("/a/")) == ["/a/x", "/a/y/"]
    assert paths(pfs.files(commit).list("/a/x")) == ["/a/x"]
    assert paths(pfs.files(commit).list("/nope")) == paths(pfs.files(empty).list("/")) == []


@pytest.mark.parametrize(
    ("after", "number", "reverse", "expected"),
    [
        ("", 2, False, ["/a.txt", "/a/"]),
        ("/a/", 0, False, ["/a0", "/b"]),
        ("/a", 0, False, ["/a.txt", "/a0", "/b"]),
        ("/a.txt", 1, False, ["/a/"]),
        ("/zzz", 0, False, []),
        ("", 2, True, ["/b", "/a0"]),
        ("/a0", 1, True, ["/a/"]),
    ],
)
def test_list_in_pages(pfs, commit, after, number, reverse, expected):
    assert paths(pfs.files(commit).list("/", after, number, reverse)) == expected


def test_walk(pfs, commit, empty):
    assert paths(pfs.files(commit).walk("")) == ["/", "/a.txt", "/a/", "/a/x", "/a/y/", "/a/y/z", "/a0", "/b"]
    assert paths(pfs.files(commit).walk("/a/y")) == ["/a/y/", "/a/y/z"]
    assert paths(pfs.files(commit).walk("/a/x")) == ["/a/x"]
    assert paths(pfs.files(empty).walk("/")) == []
    with pytest.raises(NotFound, match=r"does not contain item: \(/nope\)"):
        list(pfs.files(commit).walk("nope"))
    with pytest.raises(NotFound):
        list(pfs.files(empty).walk("/x"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/", ["/"]),
        ("/*", ["/a.txt", "/a/", "/a0", "/b"]),
        ("/**", ["/a.txt", "/a/", "/a/x", "/a/y/", "/a/y/z", "/a0", "/b"]),
        ("/a*", ["/a.txt", "/a/", "/a0"]),
        ("a/x", ["/a/x"]),
        ("/a/", ["/a/"]),
        ("/*/*/z", ["/a/y/z"]),
        ("/{a/x,b}", ["/a/x", "/b"]),
        ("/nope", []),
        ("/a/x/y", []),
    ],
)
def test_glob(pfs, commit, pattern, expected):
    assert paths(pfs.files(commit).glob(pattern)) == expected


def test_glob_of_an_empty_commit(pfs, empty):
    assert paths(pfs.files(empty).glob("/")) == paths(pfs.files(empty).glob("/*")) == []


def test_find_one(pfs, commit):
    files = pfs.files(commit)
    assert files.find_one("/a.t*") == "/a.txt"
    with pytest.raises(InvalidArgument, match=r"matched multiple files. Use GetFileTAR instead"):
        files.find_one("/a*")
    with pytest.raises(FileNotFound):
        files.find_one("/nope*")
    with pytest.raises(InvalidArgument, match=r"cannot get directory or non-regular file. Use GetFileTAR instead"):
        files.read("/a")
    with pytest.raises(FileNotFound):
        files.read("/nope")


@pytest.mark.parametrize("pattern", ["/a", "/a/**", "/{a,a/x,a/y}"])
def test_subtrees_come_once(pfs, commit, pattern):
    found = paths(pfs.files(commit).subtrees(pattern))
    assert [path for path in found if path != "/a/"] == ["/a/x", "/a/y/", "/a/y/z"]


def test_tar(pfs, commit):
    data = b"".join(tar_stream(pfs.files(commit), "/"))
    assert data.endswith(bytes(1024))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == ["", "/a.txt", "/a", "/a/x", "/a/y", "/a/y/z", "/a0", "/b"]
        assert [member.isdir() for member in members] == [True, False, True, False, True, False, False, False]
        assert tar.extractfile("/a/y/z").read() == b"333"
        assert {(member.mode, member.mtime) for member in members} == {(0, 0)}


def test_tar_of_a_long_path(pfs, do):
    do.repo("a")
    path = "/" + "/".join(["d" * 60] * 8)
    writer = pfs.file_writer(do.start("a"))
    writer.put(path, [b"deep"])
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_stream(pfs.files(writer.close()), path)))) as tar:
        assert tar.getnames() == [path]


def test_export(pfs, commit, tmp_path):
    pfs.files(commit).export("/a", tmp_path / "one")
    found = {
        str(path.relative_to(tmp_path / "one")): path.read_bytes()
        for path in (tmp_path / "one").rglob("*")
        if path.is_file()
    }
    assert found == {"a/x": b"22", "a/y/z": b"333"}
    pfs.files(commit).export("/", tmp_path / "all", empty_files=True)
    assert (tmp_path / "all" / "a" / "y" / "z").read_bytes() == b""
    pfs.files(commit).export("/a/x", tmp_path / "file")
    assert (tmp_path / "file" / "a" / "x").read_bytes() == b"22"
    with pytest.raises(FileNotFound):
        pfs.files(commit).export("/nope", tmp_path / "none")


def differences(diffs):
    return [(d.new.path if d.new else None, d.old.path if d.old else None) for d in diffs]


def test_diff(pfs, do):
    do.repo("a")
    old = do.put("a", same=b"s", d__changed=b"1", d__removed=b"2", e__f=b"x")
    writer = pfs.file_writer(do.start("a"))
    writer.put("/d/changed", [b"11"])
    writer.delete("/d/removed")
    writer.put("/n/new", [b"n"])
    new = writer.close()
    do.finish(new)
    expected = [
        ("/", "/"),
        ("/d/", "/d/"),
        ("/d/changed", "/d/changed"),
        (None, "/d/removed"),
        ("/n/", None),
        ("/n/new", None),
    ]
    assert differences(pfs.diff_file(new, "/", old)) == expected
    assert differences(pfs.diff_file(new, "/")) == expected, "against the parent by default"
    assert differences(pfs.diff_file(new, "/d/changed", old)) == [("/d/changed", "/d/changed")]
    assert differences(pfs.diff_file(new, "/e", old)) == differences(pfs.diff_file(new, "/", new)) == []
    assert differences(pfs.diff_file(old, "/e")) == [("/e/", None), ("/e/f", None)], "no parent: everything is new"
    assert differences(pfs.diff_file(new, "/n", old)) == [("/n/", None), ("/n/new", None)]
    assert differences(pfs.diff_file(new, "/nope", old)) == []
    assert differences(pfs.diff_file(new, "/same", old, "/d/removed")) == [("/same", None), (None, "/d/removed")]


def test_diff_when_a_file_becomes_a_folder(pfs, do):
    do.repo("a")
    old = do.put("a", x=b"file")
    writer = pfs.file_writer(do.start("a"))
    writer.delete("/x")
    writer.put("/x/y", [b"inside"])
    new = writer.close()
    assert set(differences(pfs.diff_file(new, "/x", old))) == {("/x/", None), ("/x/y", None), (None, "/x")}
    assert set(differences(pfs.diff_file(new, "/", old))) == {("/", "/"), ("/x/", None), ("/x/y", None), (None, "/x")}


def test_equal_content_has_an_equal_hash(pfs, do):
    do.repo("a")
    one = do.put("a", x=b"same", d__y=b"same")
    assert pfs.files(one).inspect("/x").hash == pfs.files(one).inspect("/d/y").hash
    two = do.put("a", z=b"other")
    assert pfs.files(one).inspect("/d").hash == pfs.files(two).inspect("/d").hash
    assert pfs.files(one).inspect("/").hash != pfs.files(two).inspect("/").hash


def test_reading_goes_on_while_the_commit_changes(pfs, do, monkeypatch):
    monkeypatch.setattr("pdk.storage.nodes.CACHED_PAGES", 0)
    do.repo("a")
    commit = do.start("a")
    do.write(commit, {f"/{i:03}": b"x" for i in range(300)})
    walk = pfs.files(commit).walk("/")
    seen = [next(walk).path for _ in range(10)]
    with pfs.file_writer(commit) as writer:
        writer.delete("/")
    pfs.collect_garbage()
    assert len(seen + paths(walk)) == 301
