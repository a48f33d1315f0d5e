"""Secrets: created from the JSON of a Kubernetes Secret, handed to user code, masked out of logs and reasons.

Called by the api and by `user_code`. Mirrors the secret calls of the original's pps server, which keeps them in
Kubernetes. Values never appear in a log line, an error or an answer.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pdk.base.clock import from_rfc3339, rfc3339_now
from pdk.base.errors import InvalidArgument
from pdk.db.database import Database
from pdk.pachyderm.pps.errors import MissingSecret, SecretExists, SecretNotFound
from pdk.pachyderm.pps.types import SecretInfo, SecretMount
from pdk.pachyderm.store import secrets as rows

MAX_SECRET_BYTES = 1 << 20
# Shorter values are left alone: replacing every `1` or `true` would make a log unreadable.
MIN_MASKED = 6
MASK = "*****"
# Last words of keys whose values are names or addresses: masking `det_master` would hide from an error what it is
# about.
PUBLIC_KEYS = frozenset(
    {"user", "username", "name", "namespace", "host", "port", "url", "uri", "ref", "bucket", "region", "master"}
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


class Secrets:
    """The secrets of this pachd."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def create_secret(self, file: bytes) -> None:
        """Store the Secret whose JSON is `file`. Raises InvalidArgument, SecretExists."""
        row = parse_secret(file)
        with self._db.transaction() as conn:
            if rows.get(conn, row.name) is not None:
                raise SecretExists(row.name)
            rows.insert(conn, row)

    def delete_secret(self, name: str) -> None:
        """Remove a secret. Raises SecretNotFound."""
        with self._db.transaction() as conn:
            if not rows.delete(conn, name):
                raise SecretNotFound(name)

    def inspect_secret(self, name: str) -> SecretInfo:
        """Return a secret without its values. Raises SecretNotFound."""
        with self._db.read() as conn:
            row = rows.get(conn, name)
        if row is None:
            raise SecretNotFound(name)
        return _info(row)

    def list_secret(self) -> list[SecretInfo]:
        """Return every secret without its values, by name."""
        with self._db.read() as conn:
            return [_info(row) for row in rows.list_all(conn)]

    def check(self, mounts: Iterable[SecretMount]) -> None:
        """Raise MissingSecret when a secret or a key that is asked for does not exist."""
        for mount in mounts:
            self.values(mount)

    def values(self, mount: SecretMount) -> dict[str, bytes]:
        """Return key -> value of what `mount` asks for: one key, or all. Raises MissingSecret."""
        with self._db.read() as conn:
            row = rows.get(conn, mount.name)
        if row is None:
            raise MissingSecret(mount.name)
        if not mount.env_var:
            return {key: base64.b64decode(value) for key, value in row.data.items()}
        if mount.key not in row.data:
            raise MissingSecret(mount.name, mount.key)
        return {mount.key: base64.b64decode(row.data[mount.key])}

    def mask(self, mounts: Iterable[SecretMount]) -> "SecretMask":
        """Return what hides the confidential values of `mounts` in text; a missing secret has none."""
        confidential: list[bytes] = []
        for mount in mounts:
            try:
                values = self.values(mount)
            except MissingSecret:
                continue  # the datum fails with this very error when it asks for the value
            confidential += [value for key, value in values.items() if is_confidential(key, value)]
        return SecretMask(confidential)


def _info(row: rows.SecretRow) -> SecretInfo:
    return SecretInfo(row.name, row.type, from_rfc3339(row.created))


def parse_secret(file: bytes) -> rows.SecretRow:
    """Return the row of a Kubernetes Secret in JSON. Raises InvalidArgument, never quoting a value."""
    if len(file) > MAX_SECRET_BYTES:
        raise InvalidArgument(f"secret: larger than {MAX_SECRET_BYTES} bytes")
    try:
        secret = json.loads(file)
    except (ValueError, RecursionError):
        # Not chained: the decoder's error holds the whole text.
        raise InvalidArgument("secret: the file must be the JSON of a Kubernetes Secret") from None
    if not isinstance(secret, dict) or str(secret.get("kind", "")).lower() != "secret":
        raise InvalidArgument('secret: the file must be a JSON object with kind "Secret"')
    metadata = secret.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument("secret: metadata.name must consist of lower case letters, digits, '-' and '.'")
    return rows.SecretRow(name, str(secret.get("type") or "Opaque"), _data(secret), rfc3339_now())


def _data(secret: Mapping[str, Any]) -> dict[str, str]:
    result: dict[str, str] = {}
    for part in ("data", "stringData"):
        entries = secret.get(part) or {}
        if not isinstance(entries, dict):
            raise InvalidArgument(f"secret: {part} must be an object")
        for key, value in entries.items():
            result[key] = _value(part, key, value)
    return result


def _value(part: str, key: str, value: object) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidArgument(f"secret: key ({key}) invalid: only letters, digits, '-', '_' and '.' are allowed")
    if not isinstance(value, str):
        raise InvalidArgument(f"secret: {part}.{key} must be a string")
    if part == "stringData":
        return base64.b64encode(value.encode()).decode()
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"secret: data.{key} is not base64") from None
    return value


def is_confidential(key: str, value: bytes) -> bool:
    """Tell whether a value must not be shown: all but what its key calls a name or address and holds no password."""
    return re.split(r"[-_.]", key.lower())[-1] not in PUBLIC_KEYS or b"@" in value


class SecretMask:
    """Replaces secret values in text; a value of several lines is masked line by line, as logs are."""

    def __init__(self, values: Iterable[bytes]) -> None:
        parts = {line.strip() for value in values for line in value.decode("utf-8", "replace").splitlines()}
        # Longest first, so a value that contains another one is replaced whole.
        self._parts = sorted((part for part in parts if len(part) >= MIN_MASKED), key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Return `text` with every known value replaced."""
        for part in self._parts:
            if part in text:
                text = text.replace(part, MASK)
        return text
