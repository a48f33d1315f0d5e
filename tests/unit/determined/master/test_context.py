"""Model definitions: what goes in comes out, and what must not go in does not."""

import base64
import stat

import pytest

from pdk.determined.errors import InvalidContext
from pdk.determined.master import context
from pdk.determined.master.context import FILE_TYPE, FOLDER_TYPE, ContextFile, pack, unpack


def file(path, content=b"", mode=0o100644, kind=FILE_TYPE):
    return ContextFile(path, kind, base64.b64encode(content).decode(), mode, 1_700_000_000)


def test_files_folders_and_modes_survive(tmp_path):
    unpack(
        pack(
            [file("pkg", mode=0o40755, kind=FOLDER_TYPE), file("pkg/a.py", b"x = 1\n"), file("run.sh", b"#!", 0o104755)]
        ),
        tmp_path,
    )
    assert (tmp_path / "pkg" / "a.py").read_bytes() == b"x = 1\n"
    mode = stat.S_IMODE((tmp_path / "run.sh").stat().st_mode)
    assert mode & 0o700 == 0o700
    assert not mode & stat.S_ISUID


def test_folders_that_are_not_named_are_made(tmp_path):
    unpack(pack([file("./a/b/c.txt", b"deep")]), tmp_path)
    assert (tmp_path / "a/b/c.txt").read_text() == "deep"


def test_read_only_files_can_be_packed_again(tmp_path):
    unpack(pack([file("a", b"1", 0o100000)]), tmp_path)
    assert (tmp_path / "a").read_text() == "1"


def test_the_same_files_give_the_same_bytes():
    assert pack([file("a", b"1")]) == pack([file("a", b"1")])
    assert pack([file("a", b"1")]) != pack([file("a", b"2")])


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (file("../a"), "stays inside"),
        (file("a/../../b"), "stays inside"),
        (file("/etc/passwd"), "stays inside"),
        (file(""), "stays inside"),
        (file("a\0b"), "stays inside"),
        (file("x" * 2000), "stays inside"),
        (file("link", kind=ord("2")), "neither a file nor a folder"),
        (file("device", kind=ord("3")), "neither a file nor a folder"),
        (ContextFile("a", FILE_TYPE, "not base64!", 0o644, 0), "not base64"),
    ],
)
def test_refused(bad, problem):
    with pytest.raises(InvalidContext, match=problem):
        pack([bad])


def test_repeated_paths_are_refused():
    with pytest.raises(InvalidContext, match="given twice"):
        pack([file("a"), file("./a")])


def test_sizes_are_bounded(monkeypatch):
    monkeypatch.setattr(context, "MAX_BYTES", 10)
    monkeypatch.setattr(context, "MAX_ENTRIES", 2)
    with pytest.raises(InvalidContext, match="larger than"):
        pack([file("a", b"x" * 11)])
    with pytest.raises(InvalidContext, match="more than 2 files"):
        pack([file("a"), file("b"), file("c")])
