"""Rows of projects and repos; called by `pfs` inside its transactions and reads. Mirrors `pfsdb` of pachd."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """One row of `projects`; `created` is RFC 3339 text."""

    name: str
    description: str
    created: str


@dataclass(frozen=True, slots=True)
class RepoRow:
    """One row of `repos`; `created` is RFC 3339 text."""

    id: int
    project: str
    name: str
    type: str
    description: str
    created: str


_PROJECT = "SELECT name, description, created FROM projects"
_REPO = "SELECT id, project, name, type, description, created FROM repos"


def get_project(conn: sqlite3.Connection, name: str) -> ProjectRow | None:
    """Return the project, or None."""
    row = conn.execute(f"{_PROJECT} WHERE name = ?", (name,)).fetchone()
    return ProjectRow(*row) if row else None


def list_projects(conn: sqlite3.Connection) -> list[ProjectRow]:
    """Return all projects in order of creation."""
    return [ProjectRow(*row) for row in conn.execute(f"{_PROJECT} ORDER BY id")]


def insert_project(conn: sqlite3.Connection, name: str, description: str, created: str) -> None:
    """Add a project; sqlite3.IntegrityError when the name is taken."""
    conn.execute("INSERT INTO projects (name, description, created) VALUES (?, ?, ?)", (name, description, created))


def describe_project(conn: sqlite3.Connection, name: str, description: str) -> None:
    """Set a project's description."""
    conn.execute("UPDATE projects SET description = ? WHERE name = ?", (description, name))


def delete_project(conn: sqlite3.Connection, name: str) -> None:
    """Remove a project without repos."""
    conn.execute("DELETE FROM projects WHERE name = ?", (name,))


def get(conn: sqlite3.Connection, project: str, name: str, type_: str) -> RepoRow | None:
    """Return the repo, or None."""
    row = conn.execute(f"{_REPO} WHERE project = ? AND name = ? AND type = ?", (project, name, type_)).fetchone()
    return RepoRow(*row) if row else None


def list_all(conn: sqlite3.Connection, project: str = "", type_: str = "") -> list[RepoRow]:
    """Return repos, newest first; an empty project or type means every one."""
    rows = conn.execute(
        f"{_REPO} WHERE (? = '' OR project = ?) AND (? = '' OR type = ?) ORDER BY id DESC",
        (project, project, type_, type_),
    )
    return [RepoRow(*row) for row in rows]


def insert(conn: sqlite3.Connection, row: RepoRow) -> int:
    """Add a repo (its `id` is ignored) and return its row id."""
    cursor = conn.execute(
        "INSERT INTO repos (project, name, type, description, created) VALUES (?, ?, ?, ?, ?)",
        (row.project, row.name, row.type, row.description, row.created),
    )
    return int(cursor.lastrowid or 0)


def describe(conn: sqlite3.Connection, repo_id: int, description: str) -> None:
    """Set a repo's description."""
    conn.execute("UPDATE repos SET description = ? WHERE id = ?", (description, repo_id))


def delete(conn: sqlite3.Connection, repo_id: int) -> None:
    """Remove a repo with its branches and commits, which nothing outside the repo may have as parent or head."""
    conn.execute("DELETE FROM branches WHERE repo_id = ?", (repo_id,))
    conn.execute("UPDATE commits SET parent_id = NULL WHERE repo_id = ?", (repo_id,))
    conn.execute("DELETE FROM commits WHERE repo_id = ?", (repo_id,))
    conn.execute("DELETE FROM repos WHERE id = ?", (repo_id,))
