"""Rows of pipelines, one per version; called by `pps`. The highest version is the current one."""

import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from pdk.db import rows
from pdk.pachyderm.values import CommitSetId, PipelineKey

_KEY = "project = ? AND name = ?"


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """One version of a pipeline; `spec_commit` is a commit-set id, `user_spec` JSON text as the client wrote it."""

    project: str
    name: str
    version: int
    spec_commit: CommitSetId
    created: str
    updated: str
    stopped: bool
    salt: str
    user_spec: str
    effective_spec: dict[str, Any]


def get(conn: sqlite3.Connection, key: PipelineKey, version: int | None = None) -> PipelineRow | None:
    """Return that version (None: the current one), or None."""
    sql = f"SELECT * FROM pipelines WHERE {_KEY} AND (version = ? OR ? IS NULL) ORDER BY version DESC LIMIT 1"
    return rows.fetch_one(conn, PipelineRow, sql, *key, version, version)


def list_current(conn: sqlite3.Connection) -> list[PipelineRow]:
    """Return the current version of every pipeline, the one created last first."""
    newest = "SELECT max(version) FROM pipelines q WHERE q.project = p.project AND q.name = p.name"
    sql = f"SELECT * FROM pipelines p WHERE version = ({newest}) ORDER BY created DESC, rowid DESC"
    return rows.fetch(conn, PipelineRow, sql)


def list_versions(conn: sqlite3.Connection, key: PipelineKey) -> list[PipelineRow]:
    """Return every version of one pipeline, newest first."""
    return rows.fetch(conn, PipelineRow, f"SELECT * FROM pipelines WHERE {_KEY} ORDER BY version DESC", *key)


def insert(conn: sqlite3.Connection, row: PipelineRow) -> None:
    """Add one version."""
    rows.insert(conn, "pipelines", asdict(row))


def set_stopped(conn: sqlite3.Connection, key: PipelineKey, stopped: bool) -> None:
    """Record on every version whether the pipeline is stopped."""
    conn.execute(f"UPDATE pipelines SET stopped = ? WHERE {_KEY}", (stopped, *key))


def delete(conn: sqlite3.Connection, key: PipelineKey) -> None:
    """Remove every version of a pipeline."""
    conn.execute(f"DELETE FROM pipelines WHERE {_KEY}", key)
