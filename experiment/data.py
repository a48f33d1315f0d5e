"""Where the data comes from: a commit in Pachyderm, or files named in the configuration.

``TabularTrial`` calls ``fetch`` with the ``data`` section of the experiment config; the train container calls
``download`` to validate the same files first. Trained on is what a commit *changed*: against the commit the last
registered version was trained on, or against nothing for the first. To train on everything every time, leave
``previous_commit`` empty (``train.py --no-incremental`` does).

Errors::

    DataError(RuntimeError)   the data cannot be had: server, repo, commit or file, with what to do
    └── NoDataError           there is nothing to train on: an empty diff, or one that only deletes
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc
from contract import Contract, is_data_file
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

logger = logging.getLogger("experiment.data")

# Where the trial and the train container look for the Pachyderm token, in this order. Pachyderm itself sets the
# first in a job; the second is what a pipeline maps from its secret.
TOKEN_VARIABLES = ("PACH_TOKEN", "PAC_TOKEN")
# Seconds between attempts while Pachyderm cannot be reached.
RETRY_PAUSES = (1, 2, 4, 8, 15, 30)
_PIECE = 1 << 20


class DataError(RuntimeError):
    """The data cannot be had."""


class NoDataError(DataError):
    """There is nothing to train on."""


@dataclass(frozen=True)
class PachydermSource:
    """A commit of a repo, and the one before it that training has already seen.

    ``branch`` is a branch, a commit or a job id (the original example calls the key so); ``token`` empty means
    Pachyderm runs without authentication.
    """

    host: str
    port: int
    project: str
    repo: str
    branch: str
    previous_commit: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """How messages name it."""
        return f"{self.project}/{self.repo}@{self.branch}"


@dataclass(frozen=True)
class Diff:
    """Paths a commit added or changed, and deleted, in order; directories not included."""

    changed: tuple[str, ...]
    deleted: tuple[str, ...]


class PachydermClient(Protocol):
    """What is used of ``pachyderm_sdk.Client``."""

    pfs: Any


@contextmanager
def fetch(
    config: Mapping[str, Any], contract: Contract, environ: Mapping[str, str] = os.environ
) -> Iterator[dict[str, Path]]:
    """The data files of an experiment, by name: the local ``files`` it lists, or the diff of its commit.

    What is downloaded is there until the context ends. Raises DataError.
    """
    local = config.get("files")
    if local:
        yield _local_files(local)
        return
    source = source_from(config.get("pachyderm") or {}, environ)
    with tempfile.TemporaryDirectory(prefix="commit-") as folder:
        yield download(source, Path(folder), contract)


def source_from(keys: Mapping[str, Any], environ: Mapping[str, str]) -> PachydermSource:
    """The ``data.pachyderm`` keys of the config; the token from the environment unless the config has one."""
    missing = [key for key in ("host", "port", "project", "repo", "branch") if not keys.get(key)]
    if missing:
        raise DataError(
            f"the experiment config names no data: data.pachyderm.{{{','.join(missing)}}} is empty. The train "
            "container fills these in; for a run without it, fill them in, or list CSV files in data.files"
        )
    return PachydermSource(
        host=str(keys["host"]),
        port=int(keys["port"]),
        project=str(keys["project"]),
        repo=str(keys["repo"]),
        branch=str(keys["branch"]),
        previous_commit=str(keys["previous_commit"]) if keys.get("previous_commit") else None,
        token=str(keys["token"]) if keys.get("token") else token_from(environ),
    )


def token_from(environ: Mapping[str, str]) -> str | None:
    """The Pachyderm token in the environment, if any."""
    return next((environ[name] for name in TOKEN_VARIABLES if environ.get(name)), None)


def download(
    source: PachydermSource, folder: Path, contract: Contract, client: PachydermClient | None = None
) -> dict[str, Path]:
    """Download the data files the commit added or changed into ``folder``, by their path in the repo.

    Waits a minute for a Pachyderm that cannot be reached. Raises NoDataError if there is nothing to download,
    DataError for anything else that goes wrong.
    """
    client = client or Client(source.host, source.port, source.token)
    for pause in (*RETRY_PAUSES, None):
        try:
            return _download_once(source, folder, contract, client)
        except (grpc.RpcError, ConnectionError, ValueError) as error:
            if pause is None or not _is_transient(error):
                raise DataError(_explain(source, error)) from error
            logger.warning("%s; trying again in %d s", _explain(source, error), pause)
            time.sleep(pause)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _download_once(
    source: PachydermSource, folder: Path, contract: Contract, client: PachydermClient
) -> dict[str, Path]:
    diff = read_diff(source, client)
    wanted = [path for path in diff.changed if is_data_file(path, contract)]
    if not wanted:
        raise NoDataError(_no_data(source, diff, contract))
    files = {path: _target(folder, path) for path in wanted}
    for path, target in files.items():
        _download_file(client, _file(source, source.branch, path), target)
    size = sum(target.stat().st_size for target in files.values())
    since = source.previous_commit or "the beginning"
    names = ", ".join(files)
    logger.info("%s: downloaded what changed since %s, %d bytes: %s", source.address, since, size, names)
    return files


def read_diff(source: PachydermSource, client: PachydermClient) -> Diff:
    """What the commit changed since ``previous_commit``; without one, every file of the commit is new."""
    if source.previous_commit is None:
        infos = client.pfs.walk_file(file=_file(source, source.branch, "/"))
        return Diff(tuple(sorted(info.file.path for info in infos if _is_file(info))), ())
    responses = client.pfs.diff_file(
        new_file=_file(source, source.branch, "/"), old_file=_file(source, source.previous_commit, "/")
    )
    changed, deleted = [], []
    for response in responses:
        if _is_file(response.new_file):
            changed.append(response.new_file.file.path)
        elif _is_file(response.old_file):
            deleted.append(response.old_file.file.path)
    return Diff(tuple(sorted(changed)), tuple(sorted(deleted)))


def _local_files(names: Sequence[str]) -> dict[str, Path]:
    files = {str(name): Path(name) for name in names}
    for name, path in files.items():
        if not path.is_file():
            raise DataError(f"data.files names {name!r}, which is no file in {Path.cwd()}")
    return files


def _is_file(info: Any) -> bool:
    """Whether one side of a diff is a file: an absent side decodes as an empty message without a path."""
    return bool(info.file.path) and info.file_type == pfs.FileType.FILE


def _file(source: PachydermSource, commit: str, path: str) -> pfs.File:
    return pfs.File(commit=pfs.Commit.from_uri(f"{source.project}/{source.repo}@{commit}"), path=path)


def _target(folder: Path, path: str) -> Path:
    """Where a file of the repo goes. The path comes from outside: it must stay inside the folder."""
    parts = [part for part in path.split("/") if part]
    if not parts or any(part in ("..", ".") or "\0" in part for part in parts):
        raise DataError(f"refusing to write a file of the commit outside the download folder: {path!r}")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _download_file(client: PachydermClient, file: pfs.File, target: Path) -> None:
    with client.pfs.pfs_file(file=file) as remote, target.open("wb") as out:
        shutil.copyfileobj(remote, out, _PIECE)


def _no_data(source: PachydermSource, diff: Diff, contract: Contract) -> str:
    since = f"since {source.previous_commit}, " if source.previous_commit else ""
    if diff.changed:
        what = f"{since}it changes only files that hold no data ({_some(diff.changed)})"
    elif diff.deleted:
        what = f"{since}it only deletes ({_some(diff.deleted)})"
    else:
        what = f"{since}it changes nothing"
    patterns = ", ".join(contract["files"])
    return f"commit {source.address} holds nothing to train on: {what}. New data is a new or changed file {patterns}"


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")


def _explain(source: PachydermSource, error: Exception) -> str:
    texts = [_text(cause) for cause in _causes(error)]
    what = f"cannot read {source.address} from Pachyderm at {source.host}:{source.port}: {'; '.join(texts)}"
    if source.previous_commit and source.previous_commit in what and "not found" in what:
        return f"{what}. The commit the last version was trained on is gone: train on all data with --no-incremental"
    return what


def _is_transient(error: Exception) -> bool:
    """Whether the server could not be reached, as opposed to having said no. The SDK wraps errors: look inside."""
    return any(
        isinstance(cause, ConnectionError)
        or (isinstance(cause, grpc.Call) and cause.code() == grpc.StatusCode.UNAVAILABLE)
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _text(error: BaseException) -> str:
    return str(error.details()) if isinstance(error, grpc.Call) else str(error)
