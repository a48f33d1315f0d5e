"""From rows of `store` to the values of `pfs.types`; called by every module of pfs that answers a question."""

import sqlite3
from dataclasses import replace

from pdk.base import clock
from pdk.pachyderm.errors import BranchNotFound, CommitNotFound, ProjectNotFound, RepoNotFound
from pdk.pachyderm.pfs.types import BranchInfo, CommitInfo, ProjectInfo, RepoInfo
from pdk.pachyderm.store import branches, commits, repos
from pdk.pachyderm.store.branches import BranchRow
from pdk.pachyderm.store.commits import CommitRow
from pdk.pachyderm.store.repos import ProjectRow, RepoRow
from pdk.pachyderm.values import Branch, Commit, Repo, RepoType

MASTER = "master"


def find_project(conn: sqlite3.Connection, name: str) -> ProjectRow:
    """Return the project's row or raise ProjectNotFound."""
    row = repos.get_project(conn, name)
    if row is None:
        raise ProjectNotFound(name)
    return row


def find_repo(conn: sqlite3.Connection, repo: Repo) -> RepoRow:
    """Return the repo's row or raise RepoNotFound."""
    row = repos.get(conn, repo)
    if row is None:
        raise RepoNotFound(repo)
    return row


def is_pipeline_repo(conn: sqlite3.Connection, repo: Repo) -> bool:
    """Tell whether a pipeline writes to this repo: only pipelines have a spec repo."""
    return repos.get(conn, replace(repo, type=RepoType.SPEC)) is not None


def find_branch(conn: sqlite3.Connection, branch: Branch) -> BranchRow:
    """Return the branch's row or raise RepoNotFound or BranchNotFound."""
    row = branches.get(conn, find_repo(conn, branch.repo).id, branch.name)
    if row is None:
        raise BranchNotFound(branch.repo, branch.name)
    return row


def find_commit(conn: sqlite3.Connection, commit: Commit) -> CommitRow:
    """Return the commit's row or raise RepoNotFound or CommitNotFound."""
    row = commits.get(conn, find_repo(conn, commit.repo).id, commit.id)
    if row is None:
        raise CommitNotFound(commit.repo, commit.id)
    return row


def project_info(row: ProjectRow) -> ProjectInfo:
    """Describe a project."""
    return ProjectInfo(row.name, clock.from_rfc3339(row.created), row.description)


def repo_info(conn: sqlite3.Connection, row: RepoRow) -> RepoInfo:
    """Describe a repo."""
    branch_rows = branches.list_of_repo(conn, row.id)
    head_id = next((branch.head_id for branch in branch_rows if branch.branch == MASTER), None)
    return RepoInfo(
        row.repo,
        clock.from_rfc3339(row.created),
        row.description,
        tuple(sorted(branch.handle for branch in branch_rows)),
        commits.get_by_id(conn, head_id).size_bytes if head_id is not None else 0,
    )


def branch_info(conn: sqlite3.Connection, row: BranchRow) -> BranchInfo:
    """Describe a branch."""
    return BranchInfo(
        row.handle,
        commits.get_by_id(conn, row.head_id).handle if row.head_id is not None else None,
        tuple(upstream.handle for upstream in branches.direct_provenance(conn, row.id)),
        tuple(upstream.handle for upstream in branches.provenance(conn, row.id)),
        tuple(downstream.handle for downstream in branches.subvenance(conn, row.id)),
    )


def commit_info(conn: sqlite3.Connection, row: CommitRow) -> CommitInfo:
    """Describe a commit."""
    return CommitInfo(
        commit=row.handle,
        branch=row.branch,
        origin=row.origin,
        started=clock.from_rfc3339(row.started),
        finishing=clock.from_rfc3339(row.finishing) if row.finishing else None,
        finished=clock.from_rfc3339(row.finished) if row.finished else None,
        parent=commits.get_by_id(conn, row.parent_id).handle if row.parent_id is not None else None,
        children=tuple(child.handle for child in commits.children(conn, row.id)),
        direct_provenance=tuple(upstream.handle for upstream in commits.direct_provenance(conn, row.id)),
        description=row.description,
        error=row.error,
        size_bytes=row.size_bytes,
    )
