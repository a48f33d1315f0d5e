import pytest

from pdk.pachyderm.errors import (
    BranchInUse,
    BranchNotFound,
    CommitNotFound,
    InvalidName,
    InvalidProvenance,
    RepoNotFound,
)
from pdk.pachyderm.pfs import branches
from pdk.pachyderm.pfs.types import CommitState
from pdk.pachyderm.values import Branch, Commit, OriginKind, Repo


def test_a_new_branch_has_an_empty_finished_auto_head(pfs, do):
    repo = do.repo("a")
    branch = do.branch("a")
    info = pfs.inspect_commit(pfs.inspect_branch(branch).head)
    assert info.origin is OriginKind.AUTO
    assert info.finished is not None
    assert list(pfs.files(info.commit).walk("/")) == []
    do.branch("a")
    assert len(pfs.list_commit(repo)) == 1, "creating it again keeps the head"


def test_a_branch_moves_to_a_given_head(pfs, do):
    repo = do.repo("a")
    first, _ = do.put("a", f=b"1"), do.put("a", f=b"2")
    with pfs.transaction() as tx:
        branches.create_branch(tx, Branch(repo, "master"), first)
        branches.create_branch(tx, Branch(repo, "tag"), first)
    assert do.head("a") == do.head("a", "tag") == first
    with pytest.raises(CommitNotFound), pfs.transaction() as tx:
        branches.create_branch(tx, Branch(repo, "x"), Commit(repo, "0" * 32))


def test_moving_an_input_branch_opens_downstream_commits(pfs, do):
    repo = do.repo("a")
    do.repo("b")
    first, _ = do.put("a", f=b"1"), do.put("a", f=b"2")
    do.branch("b", "a")
    before = do.head("b")
    with pfs.transaction() as tx:
        branches.create_branch(tx, Branch(repo, "master"), first)
    after = pfs.inspect_commit(do.head("b"))
    assert after.parent == before
    assert after.direct_provenance == (first,)


def test_an_output_branch_gets_an_open_commit_in_the_set_of_its_making(pfs, do):
    do.repo("a")
    do.repo("b")
    do.branch("a")
    do.branch("b", "a")
    info = pfs.inspect_commit(do.head("b"))
    assert info.finishing is None
    assert info.direct_provenance == (do.head("a"),)
    assert pfs.commit_state(info.commit) is CommitState.READY


def test_provenance_and_subvenance_are_transitive(pfs, do):
    for name in "abc":
        do.repo(name)
    a, b, c = do.branch("a"), do.branch("b", "a"), do.branch("c", "b")
    info = pfs.inspect_branch(c)
    assert info.direct_provenance == (b,)
    assert set(info.provenance) == {a, b}
    assert set(pfs.inspect_branch(a).subvenance) == {b, c}


def test_taking_the_provenance_away_and_giving_it_back(pfs, do):
    """Pausing a pipeline: new input opens no output; starting it again opens one at once."""
    do.repo("a")
    do.repo("b")
    do.branch("a")
    do.branch("b", "a")
    head = do.head("b")
    do.finish(head)
    do.branch("b")
    do.put("a", f=b"1")
    assert do.head("b") == head
    do.branch("b", "a")
    assert pfs.inspect_commit(do.head("b")).direct_provenance == (do.head("a"),)
    again = do.head("b")
    do.branch("b")
    do.branch("b", "a")
    assert do.head("b") != again, "also when nothing came in meanwhile"


def test_cycles_are_refused(pfs, do):
    for name in "abc":
        do.repo(name)
        do.branch(name)
    do.branch("b", "a")
    do.branch("c", "b")
    with pytest.raises(InvalidProvenance, match="its own provenance"):
        do.branch("a", "c")
    with pytest.raises(InvalidProvenance, match="its own provenance"):
        do.branch("a", "a")
    assert pfs.inspect_branch(Branch(Repo("default", "a"), "master")).provenance == ()


def test_two_branches_of_one_repo_may_not_meet(pfs, do):
    a = do.repo("a")
    for name in "bc":
        do.repo(name)
    do.branch("a")
    do.branch("a", branch="dev")
    do.branch("b", "a")
    with pytest.raises(InvalidProvenance, match="multiple branches from the same repo"), pfs.transaction() as tx:
        branches.create_branch(
            tx, Branch(Repo("default", "c"), "master"), None, [Branch(Repo("default", "b"), "master"), Branch(a, "dev")]
        )


def test_deleting_branches(pfs, do):
    for name in "ab":
        do.repo(name)
    a, b = do.branch("a"), do.branch("b", "a")
    with pytest.raises(BranchInUse, match="default/b@master"), pfs.transaction() as tx:
        branches.delete_branch(tx, a)
    with pfs.transaction() as tx:
        branches.delete_branch(tx, a, force=True)
    assert pfs.inspect_branch(b).direct_provenance == ()
    with pytest.raises(BranchNotFound, match='branch "master" not found in repo default/a'), pfs.transaction() as tx:
        branches.delete_branch(tx, a)


def test_missing_and_misnamed(pfs, do):
    do.repo("a")
    with pytest.raises(RepoNotFound):
        do.branch("nope")
    do.repo("b")
    with pytest.raises(BranchNotFound, match='branch "master" not found in repo default/b'):
        do.branch("a", "b")
    with pytest.raises(InvalidName):
        do.branch("a", branch="x y")


def test_branches_are_listed_newest_first(pfs, do):
    repo = do.repo("a")
    do.branch("a")
    do.branch("a", branch="dev")
    assert [info.branch.name for info in pfs.list_branch(repo)] == ["dev", "master"]
    assert [info.branch.name for info in pfs.list_branch(repo, reverse=True)] == ["master", "dev"]
    assert len(pfs.list_branch()) == 2
