"""Queries on the model registry."""

import sqlite3
from dataclasses import dataclass

from pdk.db.rows import fetch, fetch_one
from pdk.determined.store.records import Model, ModelId, ModelVersion


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


def model(conn: sqlite3.Connection, model_id: ModelId) -> ModelView | None:
    """Return the model with this id."""
    return fetch_one(conn, ModelView, f"{VIEW} WHERE models.id = ?", model_id)


def model_named(conn: sqlite3.Connection, name: str) -> ModelView | None:
    """Return the model with this name; case matters not, as names that differ only in case cannot both exist."""
    return fetch_one(conn, ModelView, f"{VIEW} WHERE models.name = ?", name)


def models(conn: sqlite3.Connection) -> list[ModelView]:
    """Return every model by id."""
    return fetch(conn, ModelView, f"{VIEW} ORDER BY models.id")


def versions(conn: sqlite3.Connection, model_id: ModelId) -> list[VersionView]:
    """Return the versions of a model by number."""
    return fetch(conn, VersionView, f"{VERSION_VIEW} WHERE model_id = ? ORDER BY version", model_id)


def version(conn: sqlite3.Connection, model_id: ModelId, number: int) -> VersionView | None:
    """Return one version of a model."""
    return fetch_one(conn, VersionView, f"{VERSION_VIEW} WHERE model_id = ? AND version = ?", model_id, number)


def next_number(conn: sqlite3.Connection, model_id: ModelId) -> int:
    """Return the largest version number + 1: deleting the last version frees its number, as in the original."""
    query = "SELECT coalesce(max(version), 0) + 1 FROM model_versions WHERE model_id = ?"
    return int(conn.execute(query, (model_id,)).fetchone()[0])
