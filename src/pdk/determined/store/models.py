"""Queries on the model registry."""

import sqlite3
from dataclasses import dataclass

from pdk.db.rows import decode
from pdk.determined.store.records import Model, ModelVersion


@dataclass(frozen=True)
class ModelView:
    """A model with what its answers show beside the row."""

    model: Model
    username: str
    workspace_name: str
    version_count: int


@dataclass(frozen=True)
class VersionView:
    """A model version with the name of its creator."""

    version: ModelVersion
    username: str


VIEW = """
SELECT models.*, users.username AS username, workspaces.name AS workspace_name,
    (SELECT count(*) FROM model_versions WHERE model_id = models.id) AS version_count
FROM models JOIN users ON users.id = models.user_id JOIN workspaces ON workspaces.id = models.workspace_id
"""
VERSION_VIEW = (
    "SELECT model_versions.*, users.username AS username FROM model_versions JOIN users ON users.id = user_id"
)


def model(conn: sqlite3.Connection, model_id: int) -> ModelView | None:
    """Return the model with this id."""
    return _one(conn, "models.id = ?", model_id)


def model_named(conn: sqlite3.Connection, name: str) -> ModelView | None:
    """Return the model with this name; case matters not, as names that differ only in case cannot both exist."""
    return _one(conn, "models.name = ?", name)


def models(conn: sqlite3.Connection) -> list[ModelView]:
    """Return every model by id."""
    return [_view(row) for row in conn.execute(f"{VIEW} ORDER BY models.id")]


def versions(conn: sqlite3.Connection, model_id: int) -> list[VersionView]:
    """Return the versions of a model by number."""
    rows = conn.execute(f"{VERSION_VIEW} WHERE model_id = ? ORDER BY version", (model_id,))
    return [VersionView(decode(ModelVersion, row), row["username"]) for row in rows]


def version(conn: sqlite3.Connection, model_id: int, number: int) -> VersionView | None:
    """Return one version of a model."""
    row = conn.execute(f"{VERSION_VIEW} WHERE model_id = ? AND version = ?", (model_id, number)).fetchone()
    return None if row is None else VersionView(decode(ModelVersion, row), row["username"])


def next_number(conn: sqlite3.Connection, model_id: int) -> int:
    """Return the largest version number + 1: deleting the last version frees its number, as in the original."""
    query = "SELECT coalesce(max(version), 0) + 1 FROM model_versions WHERE model_id = ?"
    return int(conn.execute(query, (model_id,)).fetchone()[0])


def _one(conn: sqlite3.Connection, condition: str, key: int | str) -> ModelView | None:
    row = conn.execute(f"{VIEW} WHERE {condition}", (key,)).fetchone()
    return None if row is None else _view(row)


def _view(row: sqlite3.Row) -> ModelView:
    return ModelView(decode(Model, row), row["username"], row["workspace_name"], row["version_count"])
