import pytest

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.errors import BranchNotFound, CommitNotFound, RepoNotFound
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.values import Repo


@pytest.fixture
def five(do):
    do.repo("a")
    return [do.put("a", x=str(number).encode()) for number in range(5)]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("master", 4),
        ("master^", 3),
        ("master^^", 2),
        ("master^2", 2),
        ("master~", 3),
        ("master~4", 0),
        ("master^0", 4),
        ("master.1", 0),
        ("master.5", 4),
        ("master.5^2", 2),
        ("master.4~1^1", 1),
    ],
)
def test_branches_with_suffixes(do, five, text, index):
    assert do.resolve("a", text) == five[index]


def test_ids(do, pfs, five):
    assert do.resolve("a", five[2].id) == five[2]
    assert do.resolve("a", five[2].id + "^") == five[1]
    assert pfs.resolve(CommitHandle(Repo("default", "a"), five[0].id, "master")) == five[0], "the id wins"


@pytest.mark.parametrize("text", ["master^5", "master~9", "master.6", "master.0", "0" * 12 + "4" + "0" * 19])
def test_no_such_commit(do, five, text):
    with pytest.raises(CommitNotFound, match=r"commit default/a@.* not found"):
        do.resolve("a", text)


@pytest.mark.parametrize("text", ["", "a b", "^", "master^x", "master/1"])
def test_nonsense(do, five, text):
    with pytest.raises(InvalidArgument):
        do.resolve("a", text)


def test_no_such_branch_or_repo(do, five):
    with pytest.raises(BranchNotFound, match='branch "dev" not found in repo default/a'):
        do.resolve("a", "dev")
    with pytest.raises(RepoNotFound, match="repo default/b not found"):
        do.resolve("b", "master")


def test_a_job_id_stands_for_the_input_commit_the_job_used(pfs, do):
    for name in ("in", "other", "p", "q", "unrelated"):
        do.repo(name)
    do.branch("in")
    do.branch("other")
    do.branch("p", "in", "other")
    do.branch("q", "p")
    used = do.put("in", x=b"1")
    job = do.put("other", x=b"1").id
    do.put("in", x=b"2")
    assert do.resolve("in", job) == used, "not the newest one"
    assert do.resolve("q", job).id == job
    assert do.resolve("in", job + "^") == pfs.inspect_commit(used).parent
    alone = do.put("unrelated", x=b"1").id
    with pytest.raises(CommitNotFound):
        do.resolve("in", alone)
