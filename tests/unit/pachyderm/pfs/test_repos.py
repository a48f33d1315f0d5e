import pytest

from pdk.pachyderm.errors import (
    BranchInUse,
    InvalidName,
    ProjectExists,
    ProjectNotEmpty,
    ProjectNotFound,
    RepoExists,
    RepoInUse,
    RepoNotFound,
)
from pdk.pachyderm.pfs import branches, repos
from pdk.pachyderm.values import Branch, Repo


def test_the_default_project_is_there_from_the_start(pfs):
    assert [project.name for project in pfs.list_project()] == ["default"]


def test_projects_are_made_updated_and_deleted(pfs):
    with pfs.transaction() as tx:
        repos.create_project(tx, "p", "one")
    with pfs.transaction() as tx:
        repos.create_project(tx, "p", "two", update=True)
    assert pfs.inspect_project("p").description == "two"
    with pytest.raises(ProjectExists, match="project p already exists"), pfs.transaction() as tx:
        repos.create_project(tx, "p")
    with pfs.transaction() as tx:
        repos.delete_project(tx, "p")
    with pytest.raises(ProjectNotFound, match='project "p" not found'):
        pfs.inspect_project("p")


def test_a_project_with_repos_is_deleted_by_force_only(pfs):
    with pfs.transaction() as tx:
        repos.create_project(tx, "p")
        repos.create_repo(tx, Repo("p", "a"))
        repos.create_repo(tx, Repo("p", "b"))
        branches.create_branch(tx, Branch(Repo("p", "a"), "master"))
        branches.create_branch(tx, Branch(Repo("p", "b"), "master"), None, [Branch(Repo("p", "a"), "master")])
    with pytest.raises(ProjectNotEmpty, match="p/a"), pfs.transaction() as tx:
        repos.delete_project(tx, "p")
    with pfs.transaction() as tx:
        repos.delete_project(tx, "p", force=True)
    assert pfs.list_repo() == []


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "-a", "_a", "x" * 52])
def test_bad_project_names(pfs, name):
    with pytest.raises(InvalidName), pfs.transaction() as tx:
        repos.create_project(tx, name)


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "ä"])
def test_bad_repo_names(pfs, name):
    reason = "only alphanumeric characters, underscores, and dashes are allowed"
    with pytest.raises(InvalidName, match=reason), pfs.transaction() as tx:
        repos.create_repo(tx, Repo("default", name))


def test_repos_are_made_updated_and_listed_newest_first(pfs, do):
    first, meta, second = do.repo("a"), do.repo("a", "meta"), do.repo("b")
    assert [info.repo for info in pfs.list_repo()] == [second, meta, first]
    assert [info.repo for info in pfs.list_repo("user")] == [second, first]
    assert pfs.list_repo("", ["other"]) == []
    with pytest.raises(RepoExists, match="repo default/a already exists"):
        do.repo("a")
    with pfs.transaction() as tx:
        repos.create_repo(tx, first, "new", update=True)
    assert pfs.inspect_repo(first).description == "new"
    with pytest.raises(ProjectNotFound), pfs.transaction() as tx:
        repos.create_repo(tx, Repo("nope", "a"))
    assert str(meta) == "default/a.meta"


def test_repo_info_has_branches_and_the_size_of_master(pfs, do):
    repo = do.repo("a")
    do.put("a", f=b"12345")
    do.branch("a", branch="dev")
    info = pfs.inspect_repo(repo)
    assert info.size_bytes == 5
    assert [branch.name for branch in info.branches] == ["dev", "master"]


def test_deleting_a_repo_takes_its_system_repos_and_says_whether_it_was_there(pfs, do):
    repo = do.repo("a")
    do.repo("a", "meta")
    do.put("a", f=b"1")
    do.put("a", f=b"2")
    with pfs.transaction() as tx:
        assert repos.delete_repo(tx, repo) is True
    with pfs.transaction() as tx:
        assert repos.delete_repo(tx, repo) is False
    assert pfs.list_repo() == []
    with pytest.raises(RepoNotFound, match="repo default/a not found"):
        pfs.inspect_repo(repo)


def test_a_pipelines_repo_is_deleted_by_its_pipeline_only(pfs, do):
    repo = do.repo("p")
    do.repo("p", "spec")
    with pytest.raises(RepoInUse, match="delete the pipeline instead"), pfs.transaction() as tx:
        repos.delete_repo(tx, repo, force=True)
    with pfs.transaction() as tx:
        repos.delete_repo(tx, repo, pipeline=True)
    assert pfs.list_repo() == []


def test_a_repo_others_come_from_is_deleted_by_force_only(pfs, do):
    repo, other = do.repo("a"), do.repo("b")
    do.branch("a")
    do.branch("b", "a")
    with pytest.raises(BranchInUse, match="default/b@master"), pfs.transaction() as tx:
        repos.delete_repo(tx, repo)
    with pfs.transaction() as tx:
        repos.delete_repo(tx, repo, force=True)
    assert pfs.inspect_branch(Branch(other, "master")).provenance == ()


def test_a_failed_transaction_changes_nothing(pfs):
    with pytest.raises(RepoExists), pfs.transaction() as tx:
        repos.create_repo(tx, Repo("default", "a"))
        repos.create_repo(tx, Repo("default", "a"))
    assert pfs.list_repo() == []
