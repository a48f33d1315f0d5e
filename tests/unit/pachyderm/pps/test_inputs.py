import pytest

from pdk.pachyderm.pps import inputs
from pdk.pachyderm.pps.errors import InvalidSpec
from pdk.pachyderm.pps.types import Combination, CombinedInput
from pdk.pachyderm.values import Branch, Repo


def pfs(repo, **options):
    return {"pfs": {"repo": repo, "glob": "/*", **options}}


def parse(node):
    tree = inputs.parse_input(inputs.with_input_defaults(node, "q"))
    inputs.check_unique_names(tree)
    return tree


def test_a_tree_keeps_its_shape():
    tree = parse({"cross": [pfs("a"), {"union": [pfs("b", name="x"), pfs("c", name="x")]}]})
    assert isinstance(tree, CombinedInput)
    assert tree.combination is Combination.CROSS
    assert [leaf.name for leaf in inputs.pfs_inputs(tree)] == ["a", "x", "x"]
    assert inputs.branches(tree) == [Branch(Repo("q", name), "master") for name in "abc"]


def test_globs_become_absolute_and_clean():
    assert parse(pfs("a", glob="x//y/")).glob == "/x/y"


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, "no input set at input"),
        ({**pfs("a"), "cross": [pfs("b")]}, r"multiple input types set \(pfs, cross\)"),
        ({"cross": [pfs("a"), pfs("a")]}, 'name "a" was used more than once'),
        ({"cross": [pfs("a"), {"union": [pfs("b", name="a"), pfs("c")]}]}, 'name "a" was used more than once'),
        ({"pfs": {"glob": "/"}}, "input must specify a name"),
        ({"pfs": {"name": "n", "glob": "/"}}, "input must specify a repo"),
        ({"pfs": {"repo": "r"}}, "input must specify a glob"),
        (pfs("r", name="out"), 'input cannot be named "out"'),
        (pfs("r", name=".env"), 'input cannot be named ".env"'),
        (pfs("r", name="../x"), r"input name \(\.\./x\) invalid"),
        (pfs("r", name=".."), "invalid"),
        (pfs("r", commit="x"), "cannot specify a commit"),
        ({"join": [pfs("a", join_on="$1"), pfs("b")]}, 'input "b" must specify join_on'),
        ({"group": [pfs("a")]}, 'input "a" must specify group_by'),
        ({"cross": [pfs("a"), {"cross": [{}]}]}, r"no input set at input.cross\[1\].cross\[0\]"),
    ],
)
def test_what_is_wrong_with_an_input_is_said(node, message):
    with pytest.raises(InvalidSpec, match=message):
        parse(node)


def test_nesting_has_a_bound():
    node = pfs("a")
    for _ in range(20):
        node = {"cross": [node]}
    with pytest.raises(InvalidSpec, match="nested deeper"):
        parse(node)


def test_the_arms_of_a_union_may_share_a_name():
    assert parse({"union": [pfs("a", name="x"), pfs("b", name="x")]})


def test_a_job_shows_its_id_as_the_commit_of_every_input():
    shown = inputs.with_commit({"cross": [pfs("a"), pfs("b")]}, "id")
    assert [child["pfs"]["commit"] for child in shown["cross"]] == ["id", "id"]
