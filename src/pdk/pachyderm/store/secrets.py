"""Rows of secrets; called by `pps`. Values are base64 text, as in a Kubernetes Secret; the database file has mode 0600."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One secret; `data` maps key to base64 text."""

    name: str
    type: str
    data: Mapping[str, str]
    created: str


def _row(row: sqlite3.Row) -> SecretRow:
    return SecretRow(row["name"], row["type"], json.loads(row["data"]), row["created"])


def insert(conn: sqlite3.Connection, row: SecretRow) -> None:
    """Add a secret; raises sqlite3.IntegrityError when the name is taken."""
    conn.execute(
        "INSERT INTO secrets (name, type, data, created) VALUES (?, ?, ?, ?)",
        (row.name, row.type, json.dumps(dict(row.data)), row.created),
    )


def get(conn: sqlite3.Connection, name: str) -> SecretRow | None:
    """Return the secret, or None."""
    row = conn.execute("SELECT name, type, data, created FROM secrets WHERE name = ?", (name,)).fetchone()
    return _row(row) if row else None


def list_all(conn: sqlite3.Connection) -> list[SecretRow]:
    """Return every secret, by name."""
    return [_row(row) for row in conn.execute("SELECT name, type, data, created FROM secrets ORDER BY name")]


def delete(conn: sqlite3.Connection, name: str) -> bool:
    """Remove a secret; return False when there is none."""
    return conn.execute("DELETE FROM secrets WHERE name = ?", (name,)).rowcount == 1
