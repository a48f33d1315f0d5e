"""What a `storageUri` names, how its bucket is read, and where one key of it lands under /mnt/models.

Used by the storage initializer and, for the schemes, by the controller's validation. Mirrors kserve_storage: S3 is
listed by string prefix, zero-byte keys and keys ending in `/` are skipped.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from pdk.kserve.predictor.failures import InvalidPredictorSpec, ModelLoadFailed

SCHEMES = ("s3", "file", "http", "https")


@dataclass(frozen=True)
class StorageUri:
    """`s3://bucket/path`: scheme, bucket (or host) and path without its leading slash."""

    text: str
    scheme: str
    bucket: str
    path: str


@dataclass(frozen=True)
class S3Access:
    """How a bucket is read: an empty `endpoint_url` means Amazon's own, an empty `access_key` an unsigned request."""

    endpoint_url: str = ""
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    region: str = "us-east-1"
    verify_ssl: bool = True
    virtual_bucket: bool = False
    anonymous: bool = False
    ca_bundle: str = ""


def parse_storage_uri(text: str) -> StorageUri:
    """Parse a storageUri; raise InvalidPredictorSpec for one that cannot be read here."""
    parts = urlsplit(text)
    if parts.scheme not in SCHEMES:
        raise InvalidPredictorSpec(
            f"storageUri {text!r}: scheme {parts.scheme or 'none'!r} is not supported; use one of "
            + ", ".join(f"{scheme}://" for scheme in SCHEMES)
        )
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise InvalidPredictorSpec(f"storageUri {text!r}: use file:///absolute/path")
        return StorageUri(text, "file", "", unquote(parts.path))
    if not parts.netloc:
        raise InvalidPredictorSpec(f"storageUri {text!r} names no {'bucket' if parts.scheme == 's3' else 'host'}")
    # A key may hold '?' and '#', which a URL parser would cut off.
    path = text.partition("://")[2].partition("/")[2] if parts.scheme == "s3" else parts.path.lstrip("/")
    return StorageUri(text, parts.scheme, parts.netloc, path)


def target_of(prefix: str, key: str) -> str | None:
    """Return the path below /mnt/models that `key` lands at, None for a key that is skipped (a folder).

    The prefix is cut off as text, as in the original: `m` also takes `m-v2/x`, which lands at `-v2/x`. Raises
    ModelLoadFailed for a key that would land elsewhere.
    """
    if key.endswith("/"):
        return None
    rest = key[len(prefix) :].lstrip("/") if key.startswith(prefix) else key
    name = PurePosixPath(rest or PurePosixPath(key).name)
    if name.is_absolute() or ".." in name.parts or "\0" in rest or not name.name:
        raise ModelLoadFailed(f"object {key!r} would land outside the model folder")
    return str(name)
