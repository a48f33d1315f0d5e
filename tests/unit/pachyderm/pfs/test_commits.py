import threading

import pytest
from waiting import within

from pdk.base.errors import InvalidArgument, Unavailable
from pdk.pachyderm.errors import (
    BaseNotFinished,
    CommitDeleted,
    CommitExists,
    CommitFinished,
    CommitInUse,
    CommitSetNotFound,
    OutputBranch,
    OutputCommit,
    ParentNotFinished,
    RepoNotFound,
)
from pdk.pachyderm.pfs import branches, commit_sets, commits, propagation, repos
from pdk.pachyderm.pfs.types import CommitState
from pdk.pachyderm.values import Branch, Commit, OriginKind, Repo


@pytest.fixture
def chain(do):
    """Repos a -> b -> c with branches; what creating the branches opened is finished."""
    for name in "abc":
        do.repo(name)
    do.branch("a")
    for name, upstream in (("b", "a"), ("c", "b")):
        do.branch(name, upstream)
        do.finish(do.head(name), force=True)
    return do


def test_a_commit_is_started_written_and_finished(pfs, do):
    do.repo("a")
    commit = do.start("a", description="first")
    assert pfs.commit_state(commit) is CommitState.READY
    do.write(commit, {"/x": b"1"})
    assert do.read(commit) == {"/x": b"1"}, "an open commit shows what was written"
    do.finish(commit, description="")
    info = pfs.inspect_commit(commit)
    assert (info.description, info.size_bytes, info.error, info.origin) == ("first", 1, "", OriginKind.USER)
    assert info.branch == "master"
    assert info.started <= info.finishing <= info.finished
    with pytest.raises(CommitFinished, match=f"commit default/a@{commit.id} has already finished"):
        do.finish(commit)
    with pytest.raises(CommitFinished):
        do.write(commit, {"/x": b"2"})


def test_a_commit_starts_with_its_parents_files(pfs, do):
    repo = do.repo("a")
    first = do.put("a", x=b"1")
    second = do.put("a", y=b"2")
    assert do.read(second) == {"/x": b"1", "/y": b"2"}
    assert pfs.inspect_commit(second).parent == first
    assert pfs.inspect_commit(first).children == (second,)
    with pfs.transaction() as tx:
        forked = commits.start_commit(tx, Branch(repo, "fork"), first)
    assert do.read(forked) == {"/x": b"1"}


def test_start_commit_refuses(pfs, chain):
    with pytest.raises(RepoNotFound):
        chain.start("nope")
    commit = chain.start("a")
    with pytest.raises(ParentNotFinished, match=f"parent commit default/a@{commit.id} has not been finished"):
        chain.start("a")
    with pytest.raises(OutputBranch, match="cannot start a commit on an output branch"):
        chain.start("b")
    chain.finish(commit)
    with pytest.raises(CommitExists), pfs.transaction() as tx:
        commits.start_commit(tx, Branch(Repo("default", "a"), "master"))
        commits.start_commit(tx, Branch(Repo("default", "a"), "other"))


def test_downstream_commits_are_open_while_the_input_is(pfs, chain):
    opened = []
    pfs.on_propagate.append(lambda tx, new: opened.extend(new))
    commit = chain.start("a")
    assert [(str(new.branch), new.commit.id) for new in opened] == [
        ("default/b@master", commit.id),
        ("default/c@master", commit.id),
    ]
    b, c = opened[0].commit, opened[1].commit
    assert opened[1].direct_provenance == (b,)
    assert pfs.inspect_commit(c).origin is OriginKind.AUTO
    assert pfs.commit_state(b) is CommitState.STARTED
    chain.finish(commit)
    assert pfs.commit_state(b) is CommitState.READY
    assert pfs.commit_state(c) is CommitState.STARTED
    assert pfs.provenance(c) == [commit, b]
    assert pfs.provenance(b) == [commit]


def test_the_other_input_of_a_commit_set_is_the_present_head(pfs, do):
    for name in ("a", "b", "out"):
        do.repo(name)
    do.branch("a")
    do.branch("b")
    do.branch("out", "a", "b")
    head_b = do.head("b")
    commit = do.put("a", x=b"1")
    out = pfs.inspect_commit(do.head("out"))
    assert out.commit.id == commit.id
    assert out.direct_provenance == (commit, head_b)
    both = [info.commit for info in pfs.commit_set(commit.id)]
    assert both == [head_b, commit, out.commit]


def test_two_inputs_changed_at_once_make_one_output_commit(pfs, do):
    for name in ("a", "b", "out"):
        do.repo(name)
    do.branch("a")
    do.branch("b")
    do.branch("out", "a", "b")
    with pfs.transaction() as tx:
        a = commits.start_commit(tx, Branch(Repo("default", "a"), "master"))
        propagation.propagate(tx, pfs.on_propagate)
        b = commits.start_commit(tx, Branch(Repo("default", "b"), "master"))
    assert set(pfs.inspect_commit(do.head("out")).direct_provenance) == {a, b}
    assert a.id == b.id == do.head("out").id


def test_a_branch_that_only_comes_from_a_spec_is_left_alone(pfs, do):
    do.repo("spout")
    spec = do.repo("spout", "spec")
    with pfs.transaction() as tx:
        commits.create_finished_commit(tx, Branch(spec, "master"))
        branches.create_branch(tx, Branch(Repo("default", "spout"), "master"), None, [Branch(spec, "master")])
    head = do.head("spout")
    with pfs.transaction() as tx:
        commits.create_finished_commit(tx, Branch(spec, "master"))
    assert do.head("spout") == head


def test_an_output_commit_is_finished_only_after_its_inputs(pfs, chain):
    finished = []
    pfs.on_finished.append(finished.append)
    commit = chain.start("a")
    b, c = chain.head("b"), chain.head("c")
    chain.finish(c, error="killed")
    chain.finish(b)
    assert pfs.commit_state(b) is pfs.commit_state(c) is CommitState.FINISHING
    assert finished == []
    chain.finish(commit)
    assert finished == [commit, b, c]
    assert pfs.inspect_commit(c).error == "killed"


def test_a_commit_is_finished_only_after_the_one_it_builds_on(pfs, chain):
    first = chain.start("a")
    chain.finish(first)
    b_first = chain.head("b")
    second = chain.start("a")
    chain.finish(second)
    b_second = chain.head("b")
    with pytest.raises(BaseNotFinished, match=f"base commit {b_first} unfinished"):
        chain.write(b_second, {"/x": b"2"})
    chain.finish(b_second)
    assert pfs.commit_state(b_second) is CommitState.FINISHING
    chain.write(b_first, {"/x": b"1"})
    chain.finish(b_first)
    assert pfs.commit_state(b_second) is CommitState.FINISHED
    assert chain.read(b_second) == {"/x": b"1"}


def test_a_pipelines_commit_is_finished_by_force_only(pfs, chain):
    chain.repo("b", "spec")
    chain.put("a", x=b"1")
    with pytest.raises(OutputCommit, match="use 'stop job' instead"):
        chain.finish(chain.head("b"))
    chain.finish(chain.head("b"), force=True)


def test_an_errored_commit_is_no_base(pfs, do):
    do.repo("a")
    good = do.put("a", x=b"good")
    bad = do.start("a")
    do.write(bad, {"/x": b"bad", "/y": b"bad"})
    do.finish(bad, error="no good")
    assert do.read(bad) == {"/x": b"bad", "/y": b"bad"}
    after = do.put("a", z=b"after")
    assert pfs.inspect_commit(after).parent == bad
    assert do.read(after) == {"/x": b"good", "/z": b"after"}
    assert do.read(good) == {"/x": b"good"}


def test_validation_marks_a_commit_bad(pfs, do):
    do.repo("a")
    commit = do.start("a")
    do.write(commit, {"/x": b"1"}, datum="one")
    do.write(commit, {"/x": b"2"}, datum="two")
    do.finish(commit)
    assert pfs.inspect_commit(commit).error == "duplicate path output by different datums (/x from one and /x from two)"
    collision = do.put("a", y=b"1", y__z=b"2")
    assert pfs.inspect_commit(collision).error == "file / directory path collision (/y)"
    assert do.read(do.put("a", w=b"3")) == {"/w": b"3"}


def test_clearing_a_commit_undoes_its_writes(pfs, do):
    do.repo("a")
    do.put("a", x=b"1")
    commit = do.start("a")
    do.write(commit, {"/x": b"22", "/y": b"2"})
    assert pfs.inspect_commit(commit).size_bytes == 3
    with pfs.transaction() as tx:
        commits.clear_commit(tx, commit)
    assert do.read(commit) == {"/x": b"1"}
    assert pfs.inspect_commit(commit).size_bytes == 1
    do.finish(commit)
    with pytest.raises(CommitFinished), pfs.transaction() as tx:
        commits.clear_commit(tx, commit)


def test_commits_are_listed_newest_first(pfs, do):
    repo = do.repo("a")
    one, two, three = (do.put("a", x=str(i).encode()) for i in range(3))
    assert [info.commit for info in pfs.list_commit(repo)] == [three, two, one]
    assert [info.commit for info in pfs.list_commit(repo, reverse=True)] == [one, two, three]
    assert [info.commit for info in pfs.list_commit(repo, newest=two)] == [two, one]
    assert [info.commit for info in pfs.list_commit(repo, newest=three, oldest=one)] == [three, two]
    assert len(pfs.list_commit()) == 3
    with pytest.raises(InvalidArgument):
        pfs.list_commit(repo, oldest=one)


def test_waiting_for_a_commit(pfs, do):
    do.repo("a")
    commit = do.start("a")
    assert pfs.wait_commit(commit, CommitState.FINISHED, timeout=0.05).finished is None
    timer = threading.Timer(0.1, do.finish, [commit])
    timer.start()
    assert pfs.wait_commit(commit, CommitState.FINISHED, timeout=30).finished is not None
    timer.join()


def test_waiting_ends_when_the_commit_is_deleted(pfs, do):
    repo = do.repo("a")
    commit = do.start("a")

    def delete():
        with pfs.transaction() as tx:
            repos.delete_repo(tx, repo)

    timer = threading.Timer(0.1, delete)
    timer.start()
    with pytest.raises(CommitDeleted, match=f"commit default/a@{commit.id} was deleted"):
        pfs.wait_commit(commit, CommitState.FINISHED, timeout=30)
    timer.join()


def test_waiting_ends_at_once_when_the_server_stops(pfs, do):
    do.repo("a")
    commit = do.start("a")
    timer = threading.Timer(0.1, pfs.changes.close)
    timer.start()
    with pytest.raises(Unavailable, match="stopping"):
        within(3, pfs.wait_commit, commit, CommitState.FINISHED)
    timer.join()


def test_subscribers_see_old_and_new_commits_in_order(pfs, do):
    repo = do.repo("a")
    do.branch("a", branch="dev")
    first = do.put("a", x=b"1")
    stream = pfs.subscribe_commit(repo, "master", state=CommitState.FINISHED)
    assert next(stream).commit == first
    second = do.start("a")
    timer = threading.Timer(0.1, do.finish, [second])
    timer.start()
    info = next(stream)
    assert info.commit == second
    assert info.finished is not None
    timer.join()
    later = pfs.subscribe_commit(repo, after=first)
    assert next(later).commit == second
    pfs.changes.close()
    assert list(stream) == list(later) == []


def test_commit_sets_are_listed_newest_first(pfs, chain):
    commit = chain.put("a", x=b"1")
    newest = pfs.list_commit_set()[0]
    assert newest[0] == commit.id
    assert [info.commit.repo.name for info in newest[1]] == ["a", "b", "c"]
    assert pfs.list_commit_set("other") == []
    with pytest.raises(CommitSetNotFound, match="no commits found for commitset"):
        pfs.commit_set("0" * 32)


def test_dropping_a_commit_set_takes_its_data_away(pfs, chain):
    gone = []
    commit = chain.put("a", x=b"1")
    before = {name: pfs.inspect_commit(chain.head(name)).parent for name in "abc"}
    pfs.on_finished.append(gone.append)
    with pfs.transaction() as tx:
        commit_sets.drop_commit_set(tx, commit.id)
    assert {name: chain.head(name) for name in "abc"} == before
    assert {str(each) for each in gone} == {f"default/{name}@{commit.id}" for name in "abc"}
    assert chain.read(chain.head("a")) == {}


def test_dropping_the_only_commit_leaves_an_empty_one(pfs, do):
    do.repo("a")
    commit = do.put("a", x=b"1")
    with pfs.transaction() as tx:
        commit_sets.drop_commit_set(tx, commit.id)
    head = pfs.inspect_commit(do.head("a"))
    assert head.origin is OriginKind.AUTO
    assert head.commit != commit
    assert do.read(head.commit) == {}


def test_a_commit_with_children_is_not_dropped(pfs, do):
    do.repo("a")
    commit, _ = do.put("a", x=b"1"), do.put("a", x=b"2")
    with pytest.raises(CommitInUse, match="cannot drop a commit that has children"), pfs.transaction() as tx:
        commit_sets.drop_commit_set(tx, commit.id)


def test_squashing_keeps_the_data_in_the_child(pfs, do):
    do.repo("a")
    first, second, third = do.put("a", x=b"1"), do.put("a", y=b"2"), do.put("a", z=b"3")
    with pfs.transaction() as tx:
        commit_sets.squash_commit_set(tx, second.id)
    assert pfs.inspect_commit(third).parent == first
    assert do.read(third) == {"/x": b"1", "/y": b"2", "/z": b"3"}
    with pytest.raises(CommitInUse, match="would cause data loss"), pfs.transaction() as tx:
        commit_sets.squash_commit_set(tx, third.id)


def test_squashing_waits_for_the_child(pfs, do):
    do.repo("a")
    first = do.put("a", x=b"1")
    do.start("a")
    with pytest.raises(CommitInUse, match=r"until child commit .* is finished"), pfs.transaction() as tx:
        commit_sets.squash_commit_set(tx, first.id)


def test_what_other_sets_come_from_is_neither_dropped_nor_squashed(pfs, do):
    for name in ("a", "b", "out"):
        do.repo(name)
    do.branch("a")
    do.branch("b")
    do.branch("out", "a", "b")
    do.finish(do.head("out"))
    commit = do.put("b", x=b"1")
    do.put("a", x=b"1")
    with pytest.raises(CommitInUse), pfs.transaction() as tx:
        commit_sets.drop_commit_set(tx, commit.id)


def test_a_transaction_that_fails_opens_nothing_and_signals_nothing(pfs, chain):
    signals = []
    pfs.on_finished.append(signals.append)
    with pytest.raises(ZeroDivisionError), pfs.transaction() as tx:
        commit = commits.start_commit(tx, Branch(Repo("default", "a"), "master"))
        commits.finish_commit(tx, commit)
        propagation.propagate(tx, pfs.on_propagate)
        raise ZeroDivisionError
    assert signals == []
    assert all(commit.id != info.commit.id for info in pfs.list_commit())


def test_a_commit_set_can_be_given_its_id(pfs, do):
    repo = do.repo("a")
    with pfs.transaction("1234567890ab4def1234567890abcdef") as tx:
        assert commits.start_commit(tx, Branch(repo, "master")) == Commit(repo, "1234567890ab4def1234567890abcdef")


def test_dropping_one_commit_with_all_that_depends_on_it(pfs, chain):
    first = chain.put("a", x=b"1")
    chain.finish(chain.head("b"))
    second = chain.put("a", y=b"2")
    with pytest.raises(CommitInUse, match="without recursive"), pfs.transaction() as tx:
        commit_sets.drop_commit(tx, first)
    with pfs.transaction() as tx:
        commit_sets.drop_commit(tx, first, recursive=True)
    left = {info.commit.id for info in pfs.list_commit()}
    assert not left & {first.id, second.id}
    assert chain.read(chain.head("a")) == {}


def test_squashing_one_commit_with_what_comes_from_it(pfs, chain):
    first = chain.put("a", x=b"1")
    chain.write(chain.head("b"), {"/out": b"1"})
    chain.finish(chain.head("b"))
    chain.finish(chain.head("c"))
    chain.put("a", y=b"2")
    chain.finish(chain.head("b"))
    chain.finish(chain.head("c"))
    with pytest.raises(CommitInUse, match="without recursive"), pfs.transaction() as tx:
        commit_sets.squash_commit(tx, first)
    with pfs.transaction() as tx:
        commit_sets.squash_commit(tx, first, recursive=True)
    assert first.id not in {info.commit.id for info in pfs.list_commit()}
    assert chain.read(chain.head("a")) == {"/x": b"1", "/y": b"2"}
    assert chain.read(chain.head("b")) == {"/out": b"1"}


def test_two_branches_that_lose_their_only_commit(pfs, do):
    repo = do.repo("a")
    commit = do.put("a", x=b"1")
    with pfs.transaction() as tx:
        branches.create_branch(tx, Branch(repo, "tag"), commit)
    with pfs.transaction() as tx:
        commit_sets.drop_commit_set(tx, commit.id)
    assert do.head("a") == do.head("a", "tag")
    assert do.read(do.head("a")) == {}
