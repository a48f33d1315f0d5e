"""Queries on users and sessions. Only hashes of tokens are ever stored."""

import sqlite3

from pdk.db.rows import fetch, fetch_one
from pdk.determined.store.records import AllocationId, User, UserId


def user(conn: sqlite3.Connection, user_id: UserId) -> User | None:
    """Return the user with this id."""
    return fetch_one(conn, User, "SELECT * FROM users WHERE id = ?", user_id)


def user_named(conn: sqlite3.Connection, username: str) -> User | None:
    """Return the user with this name (case matters not, as in the original)."""
    return fetch_one(conn, User, "SELECT * FROM users WHERE lower(username) = lower(?)", username)


def users(conn: sqlite3.Connection) -> list[User]:
    """Return every user by id."""
    return fetch(conn, User, "SELECT * FROM users ORDER BY id")


def session(conn: sqlite3.Connection, token_hash: str, now: str) -> tuple[User, AllocationId | None] | None:
    """Return (user, allocation id) of a session that has not expired at `now`."""
    row = conn.execute(
        "SELECT user_id, allocation_id FROM sessions WHERE token_hash = ? AND expires_at > ?", (token_hash, now)
    ).fetchone()
    if row is None:
        return None
    found = user(conn, row["user_id"])
    return None if found is None else (found, row["allocation_id"])


def drop_expired_sessions(conn: sqlite3.Connection, now: str) -> None:
    """Forget sessions that expired before `now`."""
    conn.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
