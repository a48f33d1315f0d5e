"""From rows of `store` to the values of `pfs.types`; called by every module of pfs that answers a question."""

import sqlite3
from dataclasses import replace

from pdk.base import clock
from pdk.pachyderm.errors import BranchNotFound, CommitNotFound, ProjectNotFound, RepoNotFound
from pdk.pachyderm.pfs.types import BranchInfo, CommitInfo, ProjectInfo, RepoInfo
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store import repos as repo_rows
from pdk.pachyderm.store.branches import BranchRow
from pdk.pachyderm.store.commits import CommitRow
from pdk.pachyderm.store.repos import ProjectRow, RepoRow
from pdk.pachyderm.values import MASTER, Branch, Commit, Repo, RepoType


def find_project(conn: sqlite3.Connection, name: str) -> ProjectRow:
    """Return the project's row. Raises ProjectNotFound."""
    row = repo_rows.get_project(conn, name)
    if row is None:
        raise ProjectNotFound(name)
    return row


def find_repo(conn: sqlite3.Connection, repo: Repo) -> RepoRow:
    """Return the repo's row. Raises RepoNotFound."""
    row = repo_rows.get(conn, repo)
    if row is None:
        raise RepoNotFound(repo)
    return row


def is_pipeline_repo(conn: sqlite3.Connection, repo: Repo) -> bool:
    """Tell whether a pipeline writes to this repo: only pipelines have a spec repo."""
    return repo_rows.get(conn, replace(repo, type=RepoType.SPEC)) is not None


def find_branch(conn: sqlite3.Connection, branch: Branch) -> BranchRow:
    """Return the branch's row. Raises RepoNotFound, BranchNotFound."""
    row = branch_rows.get(conn, find_repo(conn, branch.repo).id, branch.name)
    if row is None:
        raise BranchNotFound(branch.repo, branch.name)
    return row


def find_commit(conn: sqlite3.Connection, commit: Commit) -> CommitRow:
    """Return the commit's row. Raises RepoNotFound, CommitNotFound."""
    row = commit_rows.get(conn, find_repo(conn, commit.repo).id, commit.id)
    if row is None:
        raise CommitNotFound(commit.repo, commit.id)
    return row


def project_info(row: ProjectRow) -> ProjectInfo:
    """Describe a project."""
    return ProjectInfo(row.name, clock.from_rfc3339(row.created), row.description)


def repo_info(conn: sqlite3.Connection, row: RepoRow) -> RepoInfo:
    """Describe a repo."""
    branches = branch_rows.list_of_repo(conn, row.id)
    head_id = next((branch.head_id for branch in branches if branch.branch == MASTER), None)
    return RepoInfo(
        row.repo,
        clock.from_rfc3339(row.created),
        row.description,
        tuple(sorted(branch.handle for branch in branches)),
        commit_rows.get_by_id(conn, head_id).size_bytes if head_id is not None else 0,
    )


def branch_info(conn: sqlite3.Connection, row: BranchRow) -> BranchInfo:
    """Describe a branch."""
    return BranchInfo(
        row.handle,
        commit_rows.get_by_id(conn, row.head_id).handle if row.head_id is not None else None,
        tuple(upstream.handle for upstream in branch_rows.direct_provenance(conn, row.id)),
        tuple(upstream.handle for upstream in branch_rows.provenance(conn, row.id)),
        tuple(downstream.handle for downstream in branch_rows.subvenance(conn, row.id)),
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
        parent=commit_rows.get_by_id(conn, row.parent_id).handle if row.parent_id is not None else None,
        children=tuple(child.handle for child in commit_rows.children(conn, row.id)),
        direct_provenance=tuple(upstream.handle for upstream in commit_rows.direct_provenance(conn, row.id)),
        description=row.description,
        error=row.error,
        size_bytes=row.size_bytes,
    )
