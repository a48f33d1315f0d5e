import pytest

from pdk.pachyderm.errors import InvalidGlob
from pdk.pachyderm.pfs.glob import Glob


@pytest.mark.parametrize(
    ("pattern", "path", "captures"),
    [
        ("/*", "/a", ()),
        ("/*", "/a/b", None),
        ("*.csv", "/x.csv", ()),
        ("/*.csv", "/.csv", ()),
        ("/**", "/a/b", ()),
        ("/a/**/b", "/a/x/y/b", ()),
        ("/a**", "/ab/c", ()),
        ("/?", "/a", ()),
        ("/a?b", "/a/b", None),
        ("/[abc]", "/b", ()),
        ("/[a-c]", "/d", None),
        ("/[!a]x", "/bx", ()),
        ("/[!a]x", "/ax", None),
        ("/a[!b]c", "/a/c", None),
        ("/[[:alpha:]][[:digit:]]", "/a1", ()),
        ("/[]]", "/]", ()),
        ("/[a-]", "/-", ()),
        ("/{a,b}/c", "/b/c", ()),
        ("/{a/b,c}", "/a/b", ()),
        ("/{a,{b,c}}x", "/cx", ()),
        (r"/a\*", "/a*", ()),
        (r"/a\*", "/ab", None),
        ("/a.b", "/aXb", None),
        ("/(*).@(csv|txt)", "/a.csv", ("a", "csv")),
        ("/data-(*)-(*).txt", "/data-1-2.txt", ("1", "2")),
        ("/((a)b)", "/ab", ("ab", "a")),
        ("/*(ab)", "/abab", ("abab",)),
        ("/+(ab)c", "/c", None),
        ("/?(a)b", "/b", ("",)),
        ("/!(a).txt", "/b.txt", ("b",)),
        ("/!(a).txt", "/a.txt", None),
        ("/!(a|b)", "/ab", ("ab",)),
        ("/!(*.csv)(x)", "/a.csvx", None),
        ("a/../b//c/", "/b/c", ()),
        ("/", "/", ()),
        ("", "/", ()),
        ("/*", "/", None),
        ("/**", "/", None),
        ("/", "/a", None),
    ],
)
def test_matching_and_captures(pattern, path, captures):
    assert Glob(pattern).captures(path) == captures
    assert Glob(pattern).match(path) == (captures is not None)


@pytest.mark.parametrize(
    ("template", "result"),
    [("$1", "a"), ("$2-$1", "b-a"), ("${1}2", "a2"), ("$$1", "$1"), ("$3", ""), ("$0", ""), ("x", "x"), ("$x", "$x")],
)
def test_replacing_with_captures(template, result):
    assert Glob("/(*)-(*)").replace("/a-b", template) == result


@pytest.mark.parametrize(
    "pattern", ["/(a", "/{a,b", "/[a", "/[", "/a)", "/}", "/[b-a]", "/[[:foo:]]", "/a\\", "/(" * 40, "/" + "a" * 5000]
)
def test_what_does_not_parse_says_where(pattern):
    with pytest.raises(InvalidGlob, match="glob"):
        Glob(pattern)


def test_literal_patterns_and_segments():
    assert Glob("/a/b.csv").literal == "/a/b.csv"
    assert Glob(r"/a\*").literal == "/a*"
    assert Glob("/a*").literal is None
    assert [segment.literal for segment in Glob("/a/*/c").segments] == ["a", None, "c"]
    assert Glob("/a/**").segments is None
    assert Glob("/{a/b,c}").segments is None
    assert Glob("/{a,b}/c").segments[0].match("b")
    assert Glob("/").segments == ()
