"""Users, logins and sessions; called by the identity routes and by the launcher of trials (tokens of allocations).

The client sends the hex SHA-512 of salt + password, a blank password stays blank
(`determined.common.api.authentication`); what arrives is stored as a salted scrypt hash. First-run users: admin and
determined, both with a blank password.
"""

import base64
import datetime
import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pdk.base.clock import now, rfc3339_now, to_rfc3339
from pdk.db.database import Database
from pdk.db.rows import insert, update
from pdk.determined import errors
from pdk.determined.store import identity
from pdk.determined.store.records import AllocationId, User, UserId

# The salt every Determined client puts before a password; part of the wire.
CLIENT_SALT = "GubPEmmotfiK9TMD6Zdw"
SESSION_LIFE = datetime.timedelta(days=7)
# A trial may run longer than a user's session; its token ends with its allocation anyway.
ALLOCATION_SESSION_LIFE = datetime.timedelta(days=365)
MAX_NAME_CHARACTERS = 80
MISSING = "user not found"


@dataclass(frozen=True)
class Caller:
    """Who calls: a user, or a task acting as the owner of its experiment (`allocation_id` set)."""

    user: User
    allocation_id: AllocationId | None = None


@dataclass(frozen=True)
class UserPatch:
    """The fields of a user to change; None leaves a field as it is."""

    username: str | None = None
    display_name: str | None = None
    admin: bool | None = None
    active: bool | None = None
    password: str | None = None


class Users:
    """Users and their sessions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def set_up(self) -> None:
        """Create the first-run users, once."""
        with self._db.transaction() as conn:
            identity.drop_expired_sessions(conn, rfc3339_now())
            if not identity.users(conn):
                _insert_user(conn, "admin", "", admin=True)
                _insert_user(conn, "determined", "", admin=False)

    def log_in(self, username: str, password: str, hashed: bool) -> tuple[str, User]:
        """Return a new token and its user; raises WrongPassword, InactiveUser."""
        sent = password if hashed else client_hash(password)
        with self._db.read() as conn:
            user = identity.user_named(conn, username)
        if user is None or not password_matches(sent, user.password):
            raise errors.WrongPassword("invalid credentials")
        if not user.active:
            raise errors.InactiveUser("user not active")
        with self._db.transaction() as conn:
            token = new_session(conn, user.id)
            update(conn, "users", ("id", user.id), {"last_auth_at": rfc3339_now()})
        return token, user

    def log_out(self, token: str) -> None:
        """End the session of `token`."""
        with self._db.transaction() as conn:
            conn.execute("DELETE FROM sessions WHERE token_hash = ?", (token_hash(token),))

    def authenticate(self, token: str) -> Caller:
        """Return who `token` belongs to; raises NotLoggedIn, InactiveUser."""
        with self._db.read() as conn:
            found = identity.session(conn, token_hash(token), rfc3339_now())
        if found is None:
            raise errors.NotLoggedIn("invalid credentials")
        user, allocation_id = found
        if not user.active:
            raise errors.InactiveUser("user not active")
        return Caller(user, allocation_id)

    def list_users(self) -> list[User]:
        """Return every user by id."""
        with self._db.read() as conn:
            return identity.users(conn)

    def get(self, user_id: UserId) -> User:
        """Return the user with this id; raises NoSuchThing."""
        with self._db.read() as conn:
            return errors.found(identity.user(conn, user_id), MISSING)

    def get_named(self, username: str) -> User:
        """Return the user with this name; raises NoSuchThing."""
        with self._db.read() as conn:
            return errors.found(identity.user_named(conn, username), MISSING)

    def create(self, caller: Caller, username: str, admin: bool, password: str, hashed: bool) -> User:
        """Create a user; only an admin may. Raises NotAllowed, InvalidRequest, NameTaken."""
        _require_admin(caller)
        _check_username(username)
        with self._db.transaction() as conn:
            if identity.user_named(conn, username) is not None:
                raise errors.NameTaken("user already exists")
            sent = password if hashed else client_hash(password)
            return errors.found(identity.user(conn, _insert_user(conn, username, sent, admin)), MISSING)

    def patch(self, caller: Caller, user_id: UserId, patch: UserPatch) -> User:
        """Change a user: an admin everything, others their own password and display name."""
        privileged = (patch.username, patch.admin, patch.active)
        if caller.user.id != user_id or any(value is not None for value in privileged):
            _require_admin(caller)
        with self._db.transaction() as conn:
            errors.found(identity.user(conn, user_id), MISSING)
            update(conn, "users", ("id", user_id), self._changes(conn, user_id, patch))
            return errors.found(identity.user(conn, user_id), MISSING)

    def _changes(self, conn: sqlite3.Connection, user_id: UserId, patch: UserPatch) -> dict[str, object]:
        changes: dict[str, object] = {"modified_at": rfc3339_now()}
        if patch.username is not None:
            _check_username(patch.username)
            other = identity.user_named(conn, patch.username)
            if other is not None and other.id != user_id:
                raise errors.NameTaken("user already exists")
            changes["username"] = patch.username
        for name in ("display_name", "admin", "active"):
            value = getattr(patch, name)
            if value is not None:
                changes[name] = value
        if patch.password is not None:
            changes["password"] = stored_password(patch.password)
        return changes


def client_hash(password: str) -> str:
    """Return what a client sends for `password`."""
    return hashlib.sha512((CLIENT_SALT + password).encode()).hexdigest() if password else ""


def stored_password(sent: str) -> str:
    """Return what to store for what a client sent: blank for blank, else a salted scrypt hash."""
    if not sent:
        return ""
    salt = secrets.token_bytes(16)
    return f"scrypt${_text(salt)}${_text(_scrypt(sent, salt))}"


def password_matches(sent: str, stored: str) -> bool:
    """Tell whether `sent` is the password behind `stored`, in constant time."""
    if not stored:
        return not sent
    _, salt, expected = stored.split("$")
    return hmac.compare_digest(_scrypt(sent, base64.b64decode(salt)), base64.b64decode(expected))


def token_hash(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_session(conn: sqlite3.Connection, user_id: UserId, allocation_id: AllocationId | None = None) -> str:
    """Create a session, of a task when `allocation_id` is given, and return its token (kept nowhere)."""
    token = secrets.token_urlsafe(32)
    life = SESSION_LIFE if allocation_id is None else ALLOCATION_SESSION_LIFE
    row = {
        "token_hash": token_hash(token),
        "user_id": user_id,
        "allocation_id": allocation_id,
        "expires_at": to_rfc3339(now() + life),
    }
    insert(conn, "sessions", row)
    return token


def end_allocation_sessions(conn: sqlite3.Connection, allocation_id: AllocationId) -> None:
    """End the sessions of a task whose process has exited."""
    conn.execute("DELETE FROM sessions WHERE allocation_id = ?", (allocation_id,))


def matching(users: Sequence[User], active: bool | None, name: str) -> list[User]:
    """Filter users as the original's list does: activity, and a part of user or display name."""
    wanted = name.lower()
    return [
        user
        for user in users
        if (active is None or user.active == active)
        and (wanted in user.username.lower() or wanted in user.display_name.lower())
    ]


def _scrypt(sent: str, salt: bytes) -> bytes:
    return hashlib.scrypt(sent.encode(), salt=salt, n=2**14, r=8, p=1)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _insert_user(conn: sqlite3.Connection, username: str, sent: str, admin: bool) -> UserId:
    row = {
        "username": username,
        "admin": admin,
        "password": stored_password(sent),
        "modified_at": rfc3339_now(),
    }
    return UserId(insert(conn, "users", row))


def _check_username(username: str) -> None:
    if not username.strip() or len(username) > MAX_NAME_CHARACTERS:
        raise errors.InvalidRequest(f"username must have 1 to {MAX_NAME_CHARACTERS} characters")


def _require_admin(caller: Caller) -> None:
    if not caller.user.admin:
        raise errors.NotAllowed("forbidden: only an admin may do this")
