"""Queries on workspaces and projects."""

import sqlite3
from dataclasses import dataclass

from pdk.db.rows import fetch, fetch_one
from pdk.determined.store.records import Project, ProjectId, Workspace, WorkspaceId


@dataclass(frozen=True)
class WorkspaceView:
    """A workspace with what its answers show beside the row."""

    workspace: Workspace
    username: str
    project_count: int
    experiment_count: int


@dataclass(frozen=True)
class ProjectView:
    """A project with what its answers show beside the row."""

    project: Project
    workspace_name: str
    username: str
    experiment_count: int
    active_experiment_count: int
    last_experiment_started_at: str | None


WORKSPACE_VIEW = """
SELECT workspaces.*, users.username AS username,
    (SELECT count(*) FROM projects WHERE projects.workspace_id = workspaces.id) AS project_count,
    (SELECT count(*) FROM experiments JOIN projects ON projects.id = experiments.project_id
        WHERE projects.workspace_id = workspaces.id) AS experiment_count
FROM workspaces JOIN users ON users.id = workspaces.user_id
"""

PROJECT_VIEW = """
SELECT projects.*, users.username AS username, workspaces.name AS workspace_name,
    (SELECT count(*) FROM experiments WHERE project_id = projects.id) AS experiment_count,
    (SELECT count(*) FROM experiments WHERE project_id = projects.id AND end_time IS NULL) AS active_experiment_count,
    (SELECT max(start_time) FROM experiments WHERE project_id = projects.id) AS last_experiment_started_at
FROM projects JOIN users ON users.id = projects.user_id JOIN workspaces ON workspaces.id = projects.workspace_id
"""


def workspaces(conn: sqlite3.Connection) -> list[WorkspaceView]:
    """Return every workspace by id."""
    return fetch(conn, WorkspaceView, WORKSPACE_VIEW + " ORDER BY workspaces.id")


def workspace(conn: sqlite3.Connection, workspace_id: WorkspaceId) -> WorkspaceView | None:
    """Return the workspace with this id."""
    return fetch_one(conn, WorkspaceView, WORKSPACE_VIEW + " WHERE workspaces.id = ?", workspace_id)


def workspace_named(conn: sqlite3.Connection, name: str) -> Workspace | None:
    """Return the workspace with exactly this name."""
    return fetch_one(conn, Workspace, "SELECT * FROM workspaces WHERE name = ?", name)


def projects(conn: sqlite3.Connection, workspace_id: WorkspaceId) -> list[ProjectView]:
    """Return the projects of a workspace by id."""
    return fetch(conn, ProjectView, PROJECT_VIEW + " WHERE workspace_id = ? ORDER BY projects.id", workspace_id)


def project(conn: sqlite3.Connection, project_id: ProjectId) -> ProjectView | None:
    """Return the project with this id."""
    return fetch_one(conn, ProjectView, PROJECT_VIEW + " WHERE projects.id = ?", project_id)


def project_named(conn: sqlite3.Connection, workspace_name: str, name: str) -> Project | None:
    """Return the project with exactly this name in the workspace with exactly that name."""
    query = """SELECT projects.* FROM projects JOIN workspaces ON workspaces.id = projects.workspace_id
        WHERE workspaces.name = ? AND projects.name = ?"""
    return fetch_one(conn, Project, query, workspace_name, name)


def key_taken(conn: sqlite3.Connection, key: str, besides: int = 0) -> bool:
    """Tell whether another project than `besides` has this key."""
    row = conn.execute("SELECT 1 FROM projects WHERE upper(key) = upper(?) AND id != ?", (key, besides)).fetchone()
    return row is not None
