"""Rows of pipelines, one per version; called by `pps`. The highest version is the current one."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """One version of a pipeline; the specs are JSON text, `spec_commit` is a commit-set id."""

    project: str
    name: str
    version: int
    spec_commit: str
    created: str
    updated: str
    stopped: bool
    salt: str
    user_spec: str
    effective_spec: str


_COLUMNS = "project, name, version, spec_commit, created, updated, stopped, salt, user_spec, effective_spec"


def _row(row: sqlite3.Row) -> PipelineRow:
    values = list(row)
    values[6] = bool(values[6])
    return PipelineRow(*values)


def get(conn: sqlite3.Connection, project: str, name: str, version: int | None = None) -> PipelineRow | None:
    """Return that version (None: the current one), or None."""
    sql, arguments = f"SELECT {_COLUMNS} FROM pipelines WHERE project = ? AND name = ?", [project, name]
    if version is not None:
        row = conn.execute(f"{sql} AND version = ?", (*arguments, version)).fetchone()
    else:
        row = conn.execute(f"{sql} ORDER BY version DESC LIMIT 1", arguments).fetchone()
    return _row(row) if row else None


def list_current(conn: sqlite3.Connection) -> list[PipelineRow]:
    """Return the current version of every pipeline, the one created last first."""
    rows = conn.execute(
        f"""SELECT {_COLUMNS} FROM pipelines p WHERE version =
        (SELECT max(version) FROM pipelines q WHERE q.project = p.project AND q.name = p.name)
        ORDER BY created DESC, rowid DESC"""
    )
    return [_row(row) for row in rows]


def list_versions(conn: sqlite3.Connection, project: str, name: str) -> list[PipelineRow]:
    """Return every version of one pipeline, newest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM pipelines WHERE project = ? AND name = ? ORDER BY version DESC", (project, name)
    )
    return [_row(row) for row in rows]


def insert(conn: sqlite3.Connection, row: PipelineRow) -> None:
    """Add one version."""
    marks: Sequence[str] = ["?"] * 10
    conn.execute(f"INSERT INTO pipelines ({_COLUMNS}) VALUES ({', '.join(marks)})", astuple(row))


def set_stopped(conn: sqlite3.Connection, project: str, name: str, stopped: bool) -> None:
    """Record on every version whether the pipeline is stopped."""
    conn.execute("UPDATE pipelines SET stopped = ? WHERE project = ? AND name = ?", (stopped, project, name))


def delete(conn: sqlite3.Connection, project: str, name: str) -> None:
    """Remove every version of a pipeline."""
    conn.execute("DELETE FROM pipelines WHERE project = ? AND name = ?", (project, name))
