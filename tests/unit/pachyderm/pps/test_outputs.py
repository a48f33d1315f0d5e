import os
import socket
from pathlib import Path

import pytest

from pdk.pachyderm.pps.outputs import BadOutput, output_files
from pdk.pachyderm.pps.scratch import Scratch, new_scratch


@pytest.fixture
def scratch(tmp_path):
    with new_scratch(tmp_path / "scratch") as scratch:
        data = scratch.pfs / "data"
        (data / "dir").mkdir(parents=True)
        (data / "a.csv").write_text("a")
        (data / "dir/b.csv").write_text("b")
        yield scratch


def stored(scratch):
    return {file.path: b"".join(file.chunks()).decode() for file in output_files(scratch)}


def test_files_are_stored_with_their_paths_and_folders_are_implicit(scratch):
    (scratch.out / "x/empty").mkdir(parents=True)
    (scratch.out / "x/1").write_text("one")
    (scratch.out / "2").write_text("")
    assert stored(scratch) == {"/2": "", "/x/1": "one"}
    assert [file.path for file in output_files(scratch)] == ["/2", "/x/1"]


def test_links_to_inputs_are_copies(scratch):
    (scratch.out / "file").symlink_to("/pfs/data/a.csv")
    (scratch.out / "relative").symlink_to("../data/a.csv")
    (scratch.out / "folder").symlink_to("/pfs/data/dir")
    (scratch.out / "twice").symlink_to("file")
    assert stored(scratch) == {"/file": "a", "/relative": "a", "/folder/b.csv": "b", "/twice": "a"}


def test_links_are_read_as_user_code_saw_them_without_namespaces(scratch):
    (scratch.out / "file").symlink_to(scratch.pfs / "data/a.csv")
    assert stored(Scratch(scratch.root, mounted=False)) == {"/file": "a"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/passwd", "outside /pfs"),
        ("../../../../etc/passwd", "outside /pfs"),
        ("/pfs/../etc/passwd", "outside /pfs"),
        ("/pfs/data/missing", "does not exist"),
        ("/pfs", "folder of the output itself"),
        ("/pfs/out", "folder of the output itself"),
        ("loop", "outside /pfs"),
    ],
)
def test_a_link_that_leads_elsewhere_is_refused(scratch, target, message):
    (scratch.out / "loop").symlink_to(target)
    with pytest.raises(BadOutput, match=message):
        stored(scratch)


def test_a_link_in_a_linked_folder_cannot_escape(scratch):
    (scratch.pfs / "data/dir/evil").symlink_to("/etc")
    (scratch.out / "folder").symlink_to("/pfs/data/dir")
    with pytest.raises(BadOutput, match="outside /pfs"):
        stored(scratch)


def test_a_link_through_an_escaping_folder_is_refused(scratch):
    (scratch.out / "etc").symlink_to("/etc")
    (scratch.out / "a").symlink_to("etc/passwd")
    with pytest.raises(BadOutput, match="/pfs/out/a is a link"):
        stored(scratch)


def test_a_linked_folder_that_contains_itself_is_refused(scratch):
    (scratch.pfs / "data/dir/self").symlink_to(".")
    (scratch.out / "folder").symlink_to("/pfs/data/dir")
    with pytest.raises(BadOutput, match="links to a folder that contains it"):
        stored(scratch)


def deep_folder(root, depth):
    folder = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)


def test_nesting_has_a_bound_and_is_cleaned_up(tmp_path):
    with new_scratch(tmp_path / "scratch") as scratch:
        deep_folder(scratch.out, 3000)
        with pytest.raises(BadOutput, match="nested deeper than"):
            stored(scratch)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_pipes_and_sockets_are_refused(scratch):
    os.mkfifo(scratch.out / "pipe")
    with pytest.raises(BadOutput, match="/pfs/out/pipe is a named pipe"):
        stored(scratch)
    (scratch.out / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        # Bound by a relative name: a socket's path may not be longer than 108 bytes.
        folder = Path.cwd()
        os.chdir(scratch.out)
        try:
            server.bind("socket")
        finally:
            os.chdir(folder)
        with pytest.raises(BadOutput, match="is a socket"):
            stored(scratch)


def test_scratch_is_removed_even_when_user_code_took_its_permissions_away(tmp_path):
    with new_scratch(tmp_path) as scratch:
        locked = scratch.out / "locked/deeper"
        locked.mkdir(parents=True)
        (locked / "file").write_text("x")
        locked.chmod(0)
        locked.parent.chmod(0)
    assert list(tmp_path.iterdir()) == []
