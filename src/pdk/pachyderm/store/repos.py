"""Rows of projects and repos; called by `pfs` inside its transactions and reads. Mirrors `pfsdb` of pachd."""

import sqlite3
from dataclasses import dataclass

from pdk.db import rows
from pdk.pachyderm.values import Repo, RepoId


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """One row of `projects`; `created` is RFC 3339 text."""

    name: str
    description: str
    created: str


@dataclass(frozen=True, slots=True)
class RepoRow:
    """One row of `repos`; `created` is RFC 3339 text."""

    id: RepoId
    repo: Repo
    description: str
    created: str


_PROJECT = "SELECT name, description, created FROM projects"
_REPO = "SELECT id, project, name, type, description, created FROM repos"


def get_project(conn: sqlite3.Connection, name: str) -> ProjectRow | None:
    """Return the project, or None."""
    return rows.fetch_one(conn, ProjectRow, f"{_PROJECT} WHERE name = ?", name)


def list_projects(conn: sqlite3.Connection) -> list[ProjectRow]:
    """Return all projects in order of creation."""
    return rows.fetch(conn, ProjectRow, f"{_PROJECT} ORDER BY id")


def insert_project(conn: sqlite3.Connection, name: str, description: str, created: str) -> None:
    """Add a project; sqlite3.IntegrityError when the name is taken."""
    rows.insert(conn, "projects", {"name": name, "description": description, "created": created})


def describe_project(conn: sqlite3.Connection, name: str, description: str) -> None:
    """Set a project's description."""
    rows.update(conn, "projects", ("name", name), {"description": description})


def delete_project(conn: sqlite3.Connection, name: str) -> None:
    """Remove a project without repos."""
    conn.execute("DELETE FROM projects WHERE name = ?", (name,))


def get(conn: sqlite3.Connection, repo: Repo) -> RepoRow | None:
    """Return the repo, or None."""
    query = f"{_REPO} WHERE project = ? AND name = ? AND type = ?"
    return rows.fetch_one(conn, RepoRow, query, repo.project, repo.name, repo.type)


def list_all(conn: sqlite3.Connection, project: str = "", type_: str = "") -> list[RepoRow]:
    """Return repos, newest first; an empty project or type means every one."""
    query = f"{_REPO} WHERE (? = '' OR project = ?) AND (? = '' OR type = ?) ORDER BY id DESC"
    return rows.fetch(conn, RepoRow, query, project, project, type_, type_)


def insert(conn: sqlite3.Connection, repo: Repo, description: str, created: str) -> RepoId:
    """Add a repo; sqlite3.IntegrityError when the name is taken."""
    values = {"project": repo.project, "name": repo.name, "type": repo.type}
    return RepoId(rows.insert(conn, "repos", {**values, "description": description, "created": created}))


def describe(conn: sqlite3.Connection, repo_id: RepoId, description: str) -> None:
    """Set a repo's description."""
    rows.update(conn, "repos", ("id", repo_id), {"description": description})


def delete(conn: sqlite3.Connection, repo_id: RepoId) -> None:
    """Remove a repo with its branches and commits, which nothing outside the repo may have as parent or head."""
    conn.execute("DELETE FROM branches WHERE repo_id = ?", (repo_id,))
    conn.execute("UPDATE commits SET parent_id = NULL WHERE repo_id = ?", (repo_id,))
    conn.execute("DELETE FROM commits WHERE repo_id = ?", (repo_id,))
    conn.execute("DELETE FROM repos WHERE id = ?", (repo_id,))
