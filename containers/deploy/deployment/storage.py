"""Where a built model goes: the job's output commit, or an immutable prefix of a bucket. Called by `build.py`.

A stored model is a folder with the two sub-folders KServe's torchserve runtime mounts at /mnt/models:
`model-store/<archive>.mar` and `config/config.properties`. The config goes last, so a prefix that has one is complete.
In a bucket the archive's SHA-256 lies beside them: who finds a complete prefix knows what is in it.
A bucket prefix names model version and job and is never written again with other content: an old revision that
restarts must find the model it was made for.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from deployment.errors import StorageError

SCHEMES = {"gcp": "gs", "aws": "s3"}
CONFIG_PATH = "config/config.properties"
DIGEST_PATH = "archive.sha256"


class Bucket(Protocol):
    """The calls needed of an object store; keys have no leading slash. All raise `StorageError`."""

    def upload(self, path: Path, key: str) -> None:
        """Store the file under the key; readers see all of it or nothing."""

    def list(self, prefix: str) -> Mapping[str, int]:
        """Give the size in bytes of each object whose key starts with the prefix."""

    def read(self, key: str) -> bytes:
        """Give the content of a small object."""


def save_to_folder(folder: Path, archive: Path, config: Path) -> None:
    """Lay the model out below `folder`; used for /pfs/out, where the job's end makes it readable all at once."""
    for path, target in _layout(folder, archive, config):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def stored_digest(bucket: Bucket, prefix: str) -> str | None:
    """Give the SHA-256 of the archive below `prefix` if an earlier try of the same job had completed it."""
    if f"{prefix}{CONFIG_PATH}" not in bucket.list(prefix):
        return None
    digest = bucket.read(f"{prefix}{DIGEST_PATH}").decode("ascii", errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise StorageError(f"{prefix}{DIGEST_PATH} should hold a SHA-256, not {digest[:100]!r}")
    return digest


def save_to_bucket(bucket: Bucket, prefix: str, archive: Path, config: Path, digest: str) -> None:
    """Lay the model out below `prefix`, which is not complete yet, and check by listing that it is there."""
    digest_file = archive.with_suffix(".sha256")
    digest_file.write_text(f"{digest}\n", encoding="ascii")
    *model, last = _layout(Path(prefix), archive, config)
    files = [*model, (digest_file, Path(prefix, DIGEST_PATH)), last]
    for path, target in files:
        bucket.upload(path, str(target))
    stored = bucket.list(prefix)
    for path, target in files:
        size = path.stat().st_size
        if stored.get(str(target)) != size:
            found = stored.get(str(target), "nothing")
            raise StorageError(f"{target} should have {size} bytes in the bucket, the listing shows {found}")


def open_bucket(host: str, name: str, credentials_file: str | None) -> Bucket:
    """Give the bucket of `gcp` or `aws`. Raises `StorageError` if the client cannot be made."""
    if host == "gcp":
        from deployment.buckets_gcp import GcsBucket  # noqa: PLC0415 - 0.8 s of imports only this host needs

        return GcsBucket(name, credentials_file)
    from deployment.buckets_aws import S3Bucket  # noqa: PLC0415 - 0.4 s of imports only this host needs

    return S3Bucket(name)


def bucket_prefix(served_name: str, number: int, job: str) -> str:
    """Name the place of one build. It ends in a slash: the storage initializer lists by string prefix."""
    return f"{served_name}/v{number}-{job}/"


def bucket_uri(host: str, name: str, prefix: str) -> str:
    """Give the storageUri of a prefix."""
    return f"{SCHEMES[host]}://{name}/{prefix}"


def commit_uri(commit: str, pipeline: str, project: str, served_name: str) -> str:
    """Give the storageUri of a model in a finished output commit, through Pachyderm's S3 gateway."""
    return f"s3://{commit}.master.{pipeline}.{project}/{served_name}/"


def _layout(folder: Path, archive: Path, config: Path) -> Iterable[tuple[Path, Path]]:
    yield archive, folder / "model-store" / archive.name
    yield config, folder / CONFIG_PATH
