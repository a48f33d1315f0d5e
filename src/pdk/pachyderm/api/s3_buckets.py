"""What buckets and keys of the S3 gateway mean in pfs: `[commit.]branch.repo[.project]`, and files without leading `/`.

Used by `s3.py`. Mirrors `src/server/pfs/s3/driver.go` of pachd.
"""

import datetime
from dataclasses import dataclass

from pdk.base import ids
from pdk.base.errors import InvalidArgument, NotFound
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.files import Files
from pdk.pachyderm.pfs.types import DEFAULT_PROJECT, CommitHandle, FileInfo, FileType
from pdk.pachyderm.values import MASTER, Repo


@dataclass(frozen=True)
class Listing:
    """One page of keys and common prefixes, in order; `next_marker` is the last of them if there are more, else ""."""

    objects: tuple[FileInfo, ...]
    prefixes: tuple[str, ...]
    next_marker: str


@dataclass(frozen=True)
class Bucket:
    """A bucket's files; None when it is an output commit that is not finished: it counts as empty until it is.

    (The tree of such a commit starts as its parent's, and nobody must take yesterday's model for today's.)
    """

    files: Files | None
    created: datetime.datetime


def bucket_handle(name: str) -> CommitHandle:
    """Return what a bucket name stands for. Raises NotFound when it has too many parts or empty ones."""
    commit, *rest = name.split(".")
    if not ids.is_id(commit) or not rest:
        commit, rest = "", name.split(".")
    if not all(rest) or len(rest) > 3:
        raise NotFound(f"bucket {name!r} is not named [commit.]branch.repo[.project]")
    if len(rest) == 1:
        rest = [MASTER, *rest]
    branch, repo, project = [*rest, DEFAULT_PROJECT][:3]
    return CommitHandle(Repo(project, repo), commit, branch)


def open_bucket(pfs: Pfs, name: str) -> Bucket:
    """Return the bucket. Raises NotFound when its repo, branch or commit does not exist."""
    try:
        info = pfs.inspect_commit(pfs.resolve(bucket_handle(name)))
    except InvalidArgument as error:
        raise NotFound(str(error)) from error
    if info.direct_provenance and info.finished is None:
        return Bucket(None, info.started)
    return Bucket(pfs.files(info.commit), info.started)


def list_buckets(pfs: Pfs) -> list[tuple[str, datetime.datetime]]:
    """Return the name of each branch of each user repo as a bucket, and when its repo was made."""
    return [
        (f"{branch.name}.{info.repo.name}.{info.repo.project}", info.created)
        for info in pfs.list_repo("user")
        for branch in info.branches
    ]


def list_objects(bucket: Bucket, prefix: str, marker: str, delimiter: str, limit: int) -> Listing:
    """Return the first `limit` keys and common prefixes that start with `prefix` and come after `marker`."""
    if bucket.files is None or limit <= 0:
        return Listing((), (), "")
    # As pachd does: a leading slash of the prefix is dropped.
    prefix = prefix.removeprefix("/")
    folder = "/" + prefix.rpartition("/")[0]
    if delimiter:
        infos = bucket.files.list(folder)
    else:
        infos = bucket.files.walk(folder, "/" + marker) if _exists(bucket.files, folder) else iter(())
    objects: list[FileInfo] = []
    prefixes: list[str] = []
    last = ""
    for info in infos:
        key = key_of(info)
        if not key.startswith(prefix) or key <= marker or (info.type is FileType.DIR and not delimiter):
            if key > prefix and not key.startswith(prefix):
                break
            continue
        if len(objects) + len(prefixes) == limit:
            return Listing(tuple(objects), tuple(prefixes), last)
        last = key
        if info.type is FileType.DIR:
            prefixes.append(key)
        else:
            objects.append(info)
    return Listing(tuple(objects), tuple(prefixes), "")


def find_object(bucket: Bucket, key: str) -> FileInfo:
    """Return the file of a key. Raises NotFound, also for a folder."""
    if bucket.files is None:
        raise NotFound(f"key {key!r} not found: the commit is not finished")
    info = bucket.files.inspect(key)
    if info.type is FileType.DIR or key.endswith("/"):
        raise NotFound(f"key {key!r} not found: it is a folder")
    return info


def key_of(info: FileInfo) -> str:
    """Return the key of a file, or the common prefix of a folder."""
    return info.path.removeprefix("/")


def _exists(files: Files, folder: str) -> bool:
    try:
        return files.inspect(folder).type is FileType.DIR
    except NotFound:
        return False
