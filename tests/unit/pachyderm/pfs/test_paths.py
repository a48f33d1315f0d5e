import pytest

from pdk.pachyderm.errors import InvalidPath
from pdk.pachyderm.pfs.paths import check_file, check_writable, clean


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("a", "/a"),
        ("/a/", "/a"),
        ("a//b", "/a/b"),
        ("/a/../..", "/"),
        ("./a", "/a"),
    ],
)
def test_normal_form(path, cleaned):
    assert clean(path) == cleaned


@pytest.mark.parametrize("char", "*?[]{}!()@+^")
def test_globbing_characters_are_refused(char):
    with pytest.raises(InvalidPath, match=r"globbing character \(.\) not allowed in path"):
        check_writable(f"/a{char}")


@pytest.mark.parametrize("path", ["/ä", "/a\n", "/a\0b", "/\u202e", "/a\x7f"])
def test_only_printable_ascii(path):
    with pytest.raises(InvalidPath, match="only printable ASCII characters allowed"):
        check_writable(path)


@pytest.mark.parametrize("path", ["../a", "/a/../b", "a/.", "."])
def test_relative_paths_are_refused(path):
    with pytest.raises(InvalidPath, match="relative file paths are not allowed"):
        check_writable(path)


@pytest.mark.parametrize("path", ["/" + "a" * 256, "/a" * 3000])
def test_paths_that_no_file_system_could_hold(path):
    with pytest.raises(InvalidPath, match="longer than"):
        check_writable(path)


def test_good_paths():
    assert check_writable("a//b c/~$#%&'.csv/") == "/a/b c/~$#%&'.csv"
    assert check_file("/a") == "/a"
    with pytest.raises(InvalidPath, match="a file needs a name"):
        check_file("/")
