"""Create and delete projects and repos; mirrors `server_repo.go` and `server_project.go` of pachd."""

from collections.abc import Sequence
from dataclasses import replace

from pdk.pachyderm.errors import ProjectExists, ProjectNotEmpty, ProjectNotFound, RepoExists, RepoInUse
from pdk.pachyderm.pfs.branches import check_unused
from pdk.pachyderm.pfs.infos import find_project, is_pipeline_repo
from pdk.pachyderm.pfs.names import check_name, check_project_name, check_repo_type
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store import repos as repo_rows
from pdk.pachyderm.store.repos import RepoRow
from pdk.pachyderm.values import Repo, RepoId, RepoType


def create_project(tx: PfsTransaction, name: str, description: str = "", update: bool = False) -> None:
    """Add a project, or describe it anew (`update`). Raises ProjectExists, ProjectNotFound (`update`), InvalidName."""
    check_project_name(name)
    if repo_rows.get_project(tx.conn, name) is None:
        if update:
            raise ProjectNotFound(name)
        repo_rows.insert_project(tx.conn, name, description, tx.now)
    elif update:
        repo_rows.describe_project(tx.conn, name, description)
    else:
        raise ProjectExists(name)


def delete_project(tx: PfsTransaction, name: str, force: bool = False) -> None:
    """Remove a project; with `force` also its repos. Raises ProjectNotFound, ProjectNotEmpty."""
    find_project(tx.conn, name)
    rows = repo_rows.list_all(tx.conn, name)
    if rows and not force:
        raise ProjectNotEmpty(name, ", ".join(str(row.repo) for row in rows))
    for row in rows:
        _delete(tx, row, force=True, inside=[other.id for other in rows])
    repo_rows.delete_project(tx.conn, name)


def create_repo(tx: PfsTransaction, repo: Repo, description: str = "", update: bool = False) -> None:
    """Add a repo, or change its description with `update`. Raises RepoExists, ProjectNotFound, InvalidName."""
    check_name(repo.name)
    check_repo_type(repo.type)
    find_project(tx.conn, repo.project)
    row = repo_rows.get(tx.conn, repo)
    if row is None:
        repo_rows.insert(tx.conn, repo, description, tx.now)
    elif update:
        repo_rows.describe(tx.conn, row.id, description)
    else:
        raise RepoExists(repo)


def delete_repo(tx: PfsTransaction, repo: Repo, force: bool = False, pipeline: bool = False) -> bool:
    """Remove a repo with all that is in it (a user repo also with its `.meta` and `.spec`); False when there is none.

    `pipeline`: the caller is deleting the pipeline the repo belongs to. Raises RepoInUse, BranchInUse (unless `force`).
    """
    row = repo_rows.get(tx.conn, repo)
    if row is None:
        return False
    if is_pipeline_repo(tx.conn, repo) and not pipeline:
        raise RepoInUse("cannot delete a repo associated with a pipeline - delete the pipeline instead")
    rows = [row]
    if repo.type == RepoType.USER:
        system = [repo_rows.get(tx.conn, replace(repo, type=type_)) for type_ in (RepoType.META, RepoType.SPEC)]
        rows = [*(other for other in system if other is not None), row]
    for each in rows:
        _delete(tx, each, force, [other.id for other in rows])
    return True


def delete_repos(tx: PfsTransaction, projects: Sequence[str], force: bool) -> list[Repo]:
    """Remove the user repos of some projects (none = all) that no pipeline writes to; return which, newest first.

    Raises BranchInUse (unless `force`).
    """
    found = [row.repo for row in repo_rows.list_all(tx.conn, type_=RepoType.USER)]
    chosen = [repo for repo in found if not projects or repo.project in projects]
    plain = [repo for repo in chosen if not is_pipeline_repo(tx.conn, repo)]
    return [repo for repo in plain if delete_repo(tx, repo, force)]


def _delete(tx: PfsTransaction, row: RepoRow, force: bool, inside: list[RepoId]) -> None:
    for branch in branch_rows.list_of_repo(tx.conn, row.id):
        check_unused(tx, branch, force, inside)
    tx.settled += [commit.handle for commit in commit_rows.list_of_repo(tx.conn, row.id)]
    repo_rows.delete(tx.conn, row.id)
