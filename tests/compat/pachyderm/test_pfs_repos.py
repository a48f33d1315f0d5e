"""Projects, repos, branches, commits and commit sets through pachyderm_sdk."""

import threading

import grpc
import pytest
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import AuthServiceNotActivated
from targets import own
from waiting import within


@pytest.fixture
def repo(client):
    repo = pfs.Repo.from_uri(own("data"))
    client.pfs.create_repo(repo=repo)
    return repo


@pytest.fixture
def master(repo):
    return pfs.Branch(repo=repo, name="master")


def error_of(call, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        result = call(*args, **kwargs)
        list(result) if hasattr(result, "__iter__") else None
    return caught.value.code(), caught.value.details()


def test_what_every_client_asks_first(client):
    version = client.get_version()
    assert (version.major, version.minor, version.micro) == (2, 12, 2)
    assert client.admin.inspect_cluster().warnings_ok
    with pytest.raises(AuthServiceNotActivated):
        client.auth.who_am_i()


def test_projects(client):
    project = pfs.Project(name=own("churn"))
    assert not client.pfs.project_exists(project)
    client.pfs.create_project(project=project, description="one")
    assert client.pfs.project_exists(project)
    info = client.pfs.inspect_project(project=project)
    assert info.description == "one"
    assert info.created_at.year > 2000
    listed = [info.project.name for info in client.pfs.list_project()]
    assert [name for name in listed if name in ("default", project.name)] == ["default", project.name]
    assert error_of(client.pfs.create_project, project=project) == (
        grpc.StatusCode.ALREADY_EXISTS,
        f"project {project.name} already exists",
    )
    client.pfs.create_repo(repo=pfs.Repo.from_uri(own("churn/data")))
    assert error_of(client.pfs.delete_project, project=project)[0] is grpc.StatusCode.FAILED_PRECONDITION
    client.pfs.delete_project(project=project, force=True)
    code, text = error_of(client.pfs.inspect_project, project=project)
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, f'project "{project.name}" not found')


def test_repos(client, repo):
    assert client.pfs.repo_exists(repo)
    assert not client.pfs.repo_exists(pfs.Repo.from_uri(own("other")))
    client.pfs.create_repo(repo=repo, description="new", update=True)
    info = client.pfs.inspect_repo(repo=repo)
    assert (info.repo, info.description) == (repo, "new")
    assert [info.repo for info in client.pfs.list_repo() if info.repo.name == repo.name] == [repo]
    assert [info for info in client.pfs.list_repo(type="meta") if info.repo.name == repo.name] == []
    assert list(client.pfs.list_repo(projects=[pfs.Project(name=own("other"))])) == []
    code, text = error_of(client.pfs.create_repo, repo=repo)
    assert (code, text) == (grpc.StatusCode.ALREADY_EXISTS, f"repo default/{own('data')} already exists")
    assert client.pfs.delete_repo(repo=repo).deleted
    assert not client.pfs.delete_repo(repo=repo).deleted
    code, text = error_of(client.pfs.inspect_repo, repo=repo)
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, f"repo default/{own('data')} not found")


def test_an_empty_project_means_default(client, repo):
    info = client.pfs.inspect_repo(repo=pfs.Repo(name=own("data"), type="user", project=pfs.Project(name="")))
    assert info.repo.project.name == "default"


def test_deleting_several_repos(client):
    project = pfs.Project(name=own("several"))
    client.pfs.create_project(project=project)
    for name in ("data", "other", "p"):
        client.pfs.create_repo(repo=pfs.Repo(name=name, project=project))
    client.pfs.create_repo(repo=pfs.Repo(name="p", type="spec", project=project))
    deleted = client.pfs.delete_repos(projects=[project]).repos
    assert {repo.name for repo in deleted} == {"data", "other"}


@pytest.mark.ours  # would empty the server
def test_deleting_all_repos(client, repo):
    client.pfs.create_repo(repo=pfs.Repo.from_uri(own("other")))
    assert {repo.name for repo in client.pfs.delete_repos(all=True).repos} == {own("data"), own("other")}


def test_branches(client, repo, master):
    assert not client.pfs.branch_exists(master)
    client.pfs.create_branch(branch=master)
    info = client.pfs.inspect_branch(branch=master)
    assert info.branch == master
    assert client.pfs.inspect_commit(commit=info.head).origin.kind == pfs.OriginKind.AUTO
    assert [info.branch for info in client.pfs.list_branch(repo=repo)] == [master]
    other = pfs.Branch(repo=repo, name="tag")
    client.pfs.create_branch(branch=other, head=pfs.Commit.from_uri(own("data@master")))
    assert client.pfs.inspect_branch(branch=other).head == info.head
    client.pfs.delete_branch(branch=other)
    code, text = error_of(client.pfs.inspect_branch, branch=other)
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, f'branch "tag" not found in repo default/{own("data")}')
    code, _ = error_of(client.pfs.create_branch, branch=other, trigger=pfs.Trigger(branch="master", commits=1))
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_a_commit_context(client, repo, master):
    with client.pfs.commit(branch=master, description="first") as commit:
        commit.put_file_from_bytes(path="/a", data=b"1")
        assert commit.branch.name == "", "pachd strips the branch of commits it sends"
    info = client.pfs.inspect_commit(commit=commit)
    assert info.description == "first"
    assert info.origin.kind == pfs.OriginKind.USER
    assert info.details.size_bytes == 1
    assert info.started <= info.finishing <= info.finished
    assert info.commit.branch is None or info.commit.branch.name == ""
    code, text = error_of(client.pfs.finish_commit, commit=commit)
    assert (code, text) == (grpc.StatusCode.UNKNOWN, f"commit default/{own('data')}@{commit.id} has already finished")


def test_start_commit_errors(client, repo, master):
    commit = client.pfs.start_commit(branch=master)
    code, text = error_of(client.pfs.start_commit, branch=master)
    assert code is grpc.StatusCode.UNKNOWN
    assert text == f"parent commit default/{own('data')}@{commit.id} has not been finished"
    code, text = error_of(client.pfs.start_commit, branch=pfs.Branch(repo=repo, name=""))
    assert (code, text) == (grpc.StatusCode.INVALID_ARGUMENT, "branch must be specified")
    assert error_of(client.pfs.start_commit)[1].startswith("validate request: ")
    missing = pfs.Branch(repo=pfs.Repo.from_uri(own("nope")), name="master")
    assert error_of(client.pfs.start_commit, branch=missing) == (
        grpc.StatusCode.NOT_FOUND,
        f"repo default/{own('nope')} not found",
    )


def put(client, text="x"):
    client.pfs.put_file_from_bytes(commit=pfs.Commit.from_uri(own("data@master")), path="/f", data=text.encode())
    return client.pfs.inspect_branch(branch=pfs.Branch.from_uri(own("data@master"))).head


def test_handles(client, repo):
    commits = [put(client, str(number)) for number in range(4)]
    for text, index in {"master": 3, "master^": 2, "master~2": 1, "master.1": 0, commits[2].id + "^": 1}.items():
        assert client.pfs.inspect_commit(commit=pfs.Commit.from_uri(own(f"data@{text}"))).commit.id == commits[index].id
    code, text = error_of(
        client.pfs.inspect_commit, commit=pfs.Commit.from_uri(own("data@" + "0" * 12 + "4" + "0" * 19))
    )
    assert code is grpc.StatusCode.NOT_FOUND
    assert "not found" in text


def test_listing_commits(client, repo):
    one, two, three = (put(client, str(number)) for number in range(3))

    def ids(**kwargs):
        return [info.commit.id for info in client.pfs.list_commit(**kwargs)]

    assert ids(repo=repo) == [three.id, two.id, one.id]
    assert ids(repo=repo, number=2) == [three.id, two.id]
    assert ids(repo=repo, reverse=True) == [one.id, two.id, three.id]
    assert ids(repo=repo, to=two) == [two.id, one.id]
    assert ids(repo=repo, to=three, from_=one) == [three.id, two.id]
    assert ids(repo=repo, origin_kind=pfs.OriginKind.AUTO) == []
    assert [id for id in ids() if id in (one.id, two.id, three.id)] == [three.id, two.id, one.id]
    started = client.pfs.inspect_commit(commit=three).started
    assert ids(repo=repo, started_time=started) == [two.id, one.id]
    assert error_of(client.pfs.list_commit, repo=repo, from_=one)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_waiting_for_a_commit_and_its_set(client, repo, master):
    output = pfs.Repo.from_uri(own("out"))
    client.pfs.create_branch(branch=master)
    client.pfs.create_repo(repo=output)
    client.pfs.create_branch(branch=pfs.Branch(repo=output, name="master"), provenance=[master])
    client.pfs.finish_commit(commit=pfs.Commit.from_uri(own("out@master")))
    commit = client.pfs.start_commit(branch=master)
    finished = pfs.Commit(repo=output, id=commit.id)

    seen = threading.Event()

    def finish():
        client.pfs.finish_commit(commit=commit)
        assert seen.wait(30)
        client.pfs.finish_commit(commit=finished)

    thread = threading.Thread(target=finish)
    thread.start()
    assert client.pfs.wait_commit(commit).finished
    seen.set()
    infos = client.pfs.wait_commit_set(pfs.CommitSet(id=commit.id))
    assert [info.commit.repo.name for info in infos] == [own("data"), own("out")]
    assert infos[1].direct_provenance[0].id == commit.id
    thread.join()


def test_waiting_for_a_commit_that_is_deleted(client, repo, master):
    commit = client.pfs.start_commit(branch=master)
    thread = threading.Timer(0.2, lambda: client.pfs.delete_repo(repo=repo))
    thread.start()
    code, text = error_of(client.pfs.wait_commit, commit)
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, f"commit default/{own('data')}@{commit.id} was deleted")
    thread.join()


def test_subscribing(client, repo, master):
    client.pfs.create_branch(branch=master)
    stream = client.pfs.subscribe_commit(repo=repo, branch="master", state=pfs.CommitState.FINISHED)
    assert next(stream).origin.kind == pfs.OriginKind.AUTO
    first = put(client)
    assert next(stream).commit.id == first.id
    second = put(client)
    assert next(stream).commit.id == second.id
    after = client.pfs.subscribe_commit(repo=repo, branch="master", from_=first, state=pfs.CommitState.STARTED)
    assert next(after).commit.id == second.id


@pytest.mark.ours
def test_stopping_the_server_ends_waiting_calls(client, pfs_server, repo, master):
    commit = client.pfs.start_commit(branch=master)
    stopper = threading.Timer(0.3, pfs_server.server.stop)
    stopper.start()
    assert within(4, error_of, client.pfs.wait_commit, commit)[0] is grpc.StatusCode.UNAVAILABLE
    stopper.join()


def test_commit_sets(client, repo):
    one, two = put(client, "1"), put(client, "2")
    assert [info.commit_set.id for info in client.pfs.list_commit_set()][:2] == [two.id, one.id]
    infos = list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=one.id)))
    assert [info.commit.id for info in infos] == [one.id]
    code, text = error_of(client.pfs.drop_commit_set, commit_set=pfs.CommitSet(id=one.id))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "cannot drop a commit that has children" in text
    client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=one.id))
    client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=two.id))
    assert [info.origin.kind for info in client.pfs.list_commit(repo=repo)] == [pfs.OriginKind.AUTO]
    missing = pfs.CommitSet(id="0" * 32)
    code, text = error_of(client.pfs.inspect_commit_set, commit_set=missing)
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, f"no commits found for commitset {missing.id}")


def test_clearing_a_commit(client, repo, master):
    commit = client.pfs.start_commit(branch=master)
    client.pfs.put_file_from_bytes(commit=commit, path="/a", data=b"1")
    client.pfs.clear_commit(commit=commit)
    assert list(client.pfs.walk_file(file=pfs.File(commit=commit, path="/"))) == []


@pytest.mark.ours
def test_what_is_not_implemented_says_so(client):
    code, text = error_of(client.pfs.find_commits, start=pfs.Commit.from_uri(own("data@master")), file_path="/f")
    assert (code, text) == (grpc.StatusCode.UNIMPLEMENTED, "unknown method FindCommits for service pfs_v2.API")


def test_health(client):
    with grpc.insecure_channel(client.address.removeprefix("grpc://")) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"") == b"\x08\x01"


def test_dropping_and_squashing_one_commit(client, repo):
    one, two, three = (put(client, text) for text in "123")
    code, text = error_of(client.pfs.drop_commit, commit=one)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "recursive" in text
    client.pfs.squash_commit(commit=two)
    client.pfs.drop_commit(commit=three)
    assert [info.commit.id for info in client.pfs.list_commit(repo=repo)] == [one.id]
    assert error_of(client.pfs.inspect_commit, commit=one, wait=9)[0] is grpc.StatusCode.INVALID_ARGUMENT
