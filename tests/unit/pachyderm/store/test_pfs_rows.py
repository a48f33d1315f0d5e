import sqlite3

import pytest

from pdk.db.database import Database
from pdk.pachyderm.store import branches, commits, repos
from pdk.pachyderm.store.branches import BranchRow
from pdk.pachyderm.store.pfs_schema import MIGRATIONS
from pdk.pachyderm.values import OriginKind, Repo

NOW = "2024-01-01T00:00:00.000000Z"


@pytest.fixture
def conn(tmp_path):
    db = Database(tmp_path / "t.db", MIGRATIONS)
    with db.transaction() as conn:
        repos.insert_project(conn, "default", "", NOW)
        yield conn
    db.close()


def repo(conn, name, type_="user"):
    return repos.insert(conn, Repo("default", name, type_), "", NOW)


def commit(conn, repo_id, set_id, parent_id=None):
    branch = BranchRow(0, repo_id, Repo("", ""), "master", None)
    return commits.insert(conn, branch, set_id, OriginKind.USER, parent_id, "", NOW)


def test_names_are_taken_once(conn):
    repo(conn, "a")
    repo(conn, "a", "meta")
    with pytest.raises(sqlite3.IntegrityError):
        repo(conn, "a")
    with pytest.raises(sqlite3.IntegrityError):
        repos.insert_project(conn, "default", "", NOW)


def test_a_commit_set_holds_one_commit_per_repo(conn):
    a = repo(conn, "a")
    commit(conn, a, "s1")
    with pytest.raises(sqlite3.IntegrityError):
        commit(conn, a, "s1")


def test_what_is_still_pointed_to_cannot_be_deleted(conn):
    a = repo(conn, "a")
    head = commit(conn, a, "s1")
    branch = branches.insert(conn, a, "master", NOW)
    branches.set_head(conn, branch, head)
    with pytest.raises(sqlite3.IntegrityError):
        commits.delete(conn, head)
    branches.set_head(conn, branch, None)
    child = commit(conn, a, "s2", head)
    with pytest.raises(sqlite3.IntegrityError):
        commits.delete(conn, head)
    commits.set_parent(conn, child, None)
    commits.delete(conn, head)
    assert [row.set_id for row in commits.list_of_repo(conn, a)] == ["s2"]


def test_provenance_is_followed_to_its_end_and_across_diamonds(conn):
    names = {name: repo(conn, name) for name in "abcd"}
    rows = {name: commit(conn, repo_id, "s1") for name, repo_id in names.items()}
    commits.add_provenance(conn, rows["b"], [rows["a"]])
    commits.add_provenance(conn, rows["c"], [rows["a"]])
    commits.add_provenance(conn, rows["d"], [rows["c"], rows["b"]])
    assert [row.repo.name for row in commits.direct_provenance(conn, rows["d"])] == ["c", "b"]
    assert [row.repo.name for row in commits.provenance(conn, rows["d"])] == ["a", "b", "c"]
    assert [row.repo.name for row in commits.subvenance(conn, rows["a"])] == ["b", "c", "d"]
    other = commit(conn, names["d"], "s2")
    commits.add_provenance(conn, other, [rows["b"]])
    assert commits.provenance_of_set(conn, "s2", names["a"]).set_id == "s1"
    assert commits.provenance_of_set(conn, "s2", names["c"]) is None
    commits.delete(conn, rows["b"])
    assert [row.repo.name for row in commits.provenance(conn, rows["d"])] == ["a", "c"]


def test_deleting_a_repo_takes_its_rows_and_ties(conn):
    a, b = repo(conn, "a"), repo(conn, "b")
    first = commit(conn, a, "s1")
    second = commit(conn, a, "s2", first)
    downstream = commit(conn, b, "s2")
    commits.add_provenance(conn, downstream, [second])
    branch_a, branch_b = branches.insert(conn, a, "master", NOW), branches.insert(conn, b, "master", NOW)
    branches.set_head(conn, branch_a, second)
    branches.set_direct_provenance(conn, branch_b, [branch_a])
    repos.delete(conn, a)
    assert commits.direct_provenance(conn, downstream) == []
    assert branches.direct_provenance(conn, branch_b) == []
    assert [row.repo.name for row in commits.list_all(conn)] == ["b"]


def test_sets_are_listed_by_their_newest_commit(conn):
    a, b = repo(conn, "a"), repo(conn, "b")
    commit(conn, a, "s1")
    commit(conn, a, "s2")
    commit(conn, b, "s1")
    assert commits.list_set_ids(conn) == ["s1", "s2"]
    assert commits.list_set_ids(conn, "other") == []


def test_only_trees_with_files_are_roots(conn):
    a = repo(conn, "a")
    for set_id, tree in (("s1", None), ("s2", b""), ("s3", b"t"), ("s4", b"t")):
        commits.set_tree(conn, commit(conn, a, set_id), tree, 0)
    assert commits.trees(conn) == [b"t"]
