"""Rows of secrets; called by `pps`. Values are base64 text, as in a Kubernetes Secret; the database's mode is 0600."""

import sqlite3
from dataclasses import asdict, dataclass

from pdk.db import rows


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One secret; `data` maps key to base64 text."""

    name: str
    type: str
    data: dict[str, str]
    created: str


def insert(conn: sqlite3.Connection, row: SecretRow) -> None:
    """Add a secret. Raises sqlite3.IntegrityError when the name is taken."""
    rows.insert(conn, "secrets", asdict(row))


def get(conn: sqlite3.Connection, name: str) -> SecretRow | None:
    """Return the secret, or None."""
    return rows.fetch_one(conn, SecretRow, "SELECT * FROM secrets WHERE name = ?", name)


def list_all(conn: sqlite3.Connection) -> list[SecretRow]:
    """Return every secret, by name."""
    return rows.fetch(conn, SecretRow, "SELECT * FROM secrets ORDER BY name")


def delete(conn: sqlite3.Connection, name: str) -> bool:
    """Remove a secret; return False when there is none."""
    return conn.execute("DELETE FROM secrets WHERE name = ?", (name,)).rowcount == 1
