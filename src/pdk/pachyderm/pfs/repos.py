"""Create and delete projects and repos; mirrors `server_repo.go` and `server_project.go` of pachd."""

import sqlite3
from typing import TYPE_CHECKING

from pdk.pachyderm.errors import ProjectExists, ProjectNotEmpty, ProjectNotFound, RepoExists, RepoInUse
from pdk.pachyderm.pfs.branches import check_unused
from pdk.pachyderm.pfs.infos import commit_of, find_project, repo_of
from pdk.pachyderm.pfs.names import check_name, check_project_name, check_repo_type
from pdk.pachyderm.pfs.types import META, SPEC, USER, Repo
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store import repos as repo_rows
from pdk.pachyderm.store.repos import RepoRow

if TYPE_CHECKING:
    from pdk.pachyderm.pfs.transaction import PfsTransaction


def create_project(tx: "PfsTransaction", name: str, description: str, update: bool) -> None:
    """See `PfsTransaction.create_project`."""
    check_project_name(name)
    if repo_rows.get_project(tx.conn, name) is None:
        if update:
            raise ProjectNotFound(name)
        repo_rows.insert_project(tx.conn, name, description, tx.now)
    elif update:
        repo_rows.describe_project(tx.conn, name, description)
    else:
        raise ProjectExists(name)


def delete_project(tx: "PfsTransaction", name: str, force: bool) -> None:
    """See `PfsTransaction.delete_project`."""
    find_project(tx.conn, name)
    rows = repo_rows.list_all(tx.conn, name)
    if rows and not force:
        raise ProjectNotEmpty(name, ", ".join(str(repo_of(row)) for row in rows))
    for row in rows:
        _delete(tx, row, force=True, inside=[other.id for other in rows])
    repo_rows.delete_project(tx.conn, name)


def create_repo(tx: "PfsTransaction", repo: Repo, description: str, update: bool) -> None:
    """See `PfsTransaction.create_repo`."""
    check_name(repo.name)
    check_repo_type(repo.type)
    find_project(tx.conn, repo.project)
    row = repo_rows.get(tx.conn, repo.project, repo.name, repo.type)
    if row is None:
        repo_rows.insert(tx.conn, RepoRow(0, repo.project, repo.name, repo.type, description, tx.now))
    elif update:
        repo_rows.describe(tx.conn, row.id, description)
    else:
        raise RepoExists(repo)


def is_pipeline_repo(conn: sqlite3.Connection, repo: Repo) -> bool:
    """Tell whether a pipeline writes to this repo: only pipelines have a spec repo."""
    return repo_rows.get(conn, repo.project, repo.name, SPEC) is not None


def delete_repo(tx: "PfsTransaction", repo: Repo, force: bool, pipeline: bool) -> bool:
    """See `PfsTransaction.delete_repo`."""
    row = repo_rows.get(tx.conn, repo.project, repo.name, repo.type)
    if row is None:
        return False
    if is_pipeline_repo(tx.conn, repo) and not pipeline:
        raise RepoInUse("cannot delete a repo associated with a pipeline - delete the pipeline instead")
    rows = [row]
    if repo.type == USER:
        system = [repo_rows.get(tx.conn, repo.project, repo.name, type_) for type_ in (META, SPEC)]
        rows = [*(other for other in system if other is not None), row]
    for each in rows:
        _delete(tx, each, force, [other.id for other in rows])
    return True


def _delete(tx: "PfsTransaction", row: RepoRow, force: bool, inside: list[int]) -> None:
    for branch in branch_rows.list_of_repo(tx.conn, row.id):
        check_unused(tx, branch, force, inside)
    tx.settled += [commit_of(commit) for commit in commit_rows.list_of_repo(tx.conn, row.id)]
    repo_rows.delete(tx.conn, row.id)
