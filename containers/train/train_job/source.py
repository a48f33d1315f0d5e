"""Where the experiment's code comes from: a Pachyderm commit, a git repository at a ref, or a local folder as it is.

Either way the job works on a copy, so that what was validated, uploaded and named by its commit is one and the same.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from train_job.failure import TrainError, patiently
from train_job.settings import Settings

logger = logging.getLogger("train")

_GIT_TIMEOUT = 600
_CODE_ADDRESS = re.compile(r"pfs://(?P<project>[\w-]+)/(?P<repo>[\w.-]+)@(?P<ref>[\w.^~-]+)", re.ASCII)
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".git", "*.pyc", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Code:
    """The experiment's folder, and what it is a copy of.

    That is ``PROJECT/REPO@ID``, a git commit, ``<commit>-dirty`` or ``sha256:<hash>``.
    """

    folder: Path
    commit: str


def get(url: str, ref: str, sub_dir: str, scratch: Path) -> Code:
    """Get the code into ``scratch``. Raises TrainError if it cannot be had."""
    local = Path(url)
    if local.is_dir() and not ref:
        folder = _sub_folder(local, sub_dir, url)
        copy = scratch / "code"
        shutil.copytree(folder, copy, ignore=_LEFT_OUT)
        return Code(copy, _folder_commit(folder))
    clone = scratch / "clone"
    commit = _clone(url, ref, clone)
    copy = scratch / "code"
    shutil.copytree(_sub_folder(clone, sub_dir, url), copy, ignore=_LEFT_OUT)
    return Code(copy, commit)


def get_from_pachyderm(settings: Settings, scratch: Path, client: Any = None) -> Code:
    """Download the commit that ``--code`` names into ``scratch``. Raises TrainError if it cannot be had."""
    found = _CODE_ADDRESS.fullmatch(settings.code)
    if found is None:
        raise TrainError(
            f"no code address: {settings.code!r}", "--code", "write pfs://PROJECT/REPO@COMMIT, or a branch for COMMIT"
        )
    client = client or Client(settings.pachd_host, settings.pachd_port, settings.pach_token)
    folder = scratch / "code"
    try:
        address = patiently(lambda: _download(client, found, folder), "downloading the code", seconds=60)
    except (grpc.RpcError, ConnectionError) as error:
        detail = error.details() if isinstance(error, grpc.Call) else str(error)
        raise TrainError(
            f"cannot get the code: {detail}",
            f"{settings.code} in Pachyderm at {settings.pachd_host}:{settings.pachd_port}",
            "commit the folder there (pdk apply does), or correct --code; PAC_TOKEN must be able to read it",
        ) from error
    if not any(folder.iterdir()):
        raise TrainError(f"the code is empty: {address} holds no file", settings.code, "commit the experiment's folder")
    return Code(folder, address)


def _download(client: Any, wanted: re.Match[str], folder: Path) -> str:
    """Download every file of a commit; gives its address with the commit's id."""
    folder.mkdir(exist_ok=True)
    repo = f"{wanted['project']}/{wanted['repo']}"
    commit = client.pfs.inspect_commit(commit=pfs.Commit.from_uri(f"{repo}@{wanted['ref']}")).commit.id
    address = f"{repo}@{commit}"
    for info in client.pfs.walk_file(file=pfs.File(commit=pfs.Commit.from_uri(address), path="/")):
        if info.file_type == pfs.FileType.FILE:
            with client.pfs.pfs_file(file=info.file) as remote, _target(folder, info.file.path).open("wb") as out:
                shutil.copyfileobj(remote, out)
    return address


def _target(folder: Path, path: str) -> Path:
    """Where a file of the commit goes. The path comes from outside: it must stay inside the folder."""
    parts = [part for part in path.split("/") if part]
    if not parts or any(part in ("..", ".") or "\0" in part for part in parts):
        raise TrainError(f"refusing to write a file of the code outside its folder: {path!r}", "--code", "rename it")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _clone(url: str, ref: str, target: Path) -> str:
    """Clone and check out; the commit that is checked out."""
    if url.startswith("-") or ref.startswith("-"):
        raise TrainError(f"neither a URL nor a ref may begin with '-': {url!r} {ref!r}", "--git-url", "correct it")
    _git(["clone", "--quiet", "--no-checkout", "--", url, str(target)], url)
    wanted = ref or "HEAD"
    for candidate in (f"refs/remotes/origin/{wanted}", wanted):
        found = _run(["-C", str(target), "rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}"])
        if found.returncode == 0:
            commit = found.stdout.strip()
            _git(["-C", str(target), "checkout", "--quiet", "--detach", commit], url)
            return commit
    raise TrainError(
        f"the repository has no branch, tag or commit {ref!r}",
        _public(url),
        "correct --git-ref (CODE_REF in the secret)",
    )


def _folder_commit(folder: Path) -> str:
    """The git commit a folder is at, if git knows its files; otherwise a hash of what it holds."""
    known = _run(["-C", str(folder), "ls-files", "--", "."])
    head = _run(["-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"])
    if known.returncode or head.returncode or not known.stdout.strip():
        return f"sha256:{_content_hash(folder)}"
    changes = _run(["-C", str(folder), "status", "--porcelain", "--", "."])
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def _content_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _sub_folder(root: Path, sub_dir: str, url: str) -> Path:
    folder = (root / sub_dir).resolve()
    if not folder.is_dir() or not folder.is_relative_to(root.resolve()):
        raise TrainError(f"the code has no folder {sub_dir!r}", _public(url), "correct --sub-dir")
    return folder


def _git(arguments: list[str], url: str) -> None:
    done = _run(arguments)
    if done.returncode:
        reason = _public(done.stderr.strip()) or f"git ended with {done.returncode}"
        raise TrainError(
            f"cannot get the code: {reason}",
            _public(url),
            "check --git-url and --git-ref (CODE_URL and CODE_REF in the secret), and that the job may read it",
        )


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Git, never asking for anything on a terminal."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, 127, "", "git is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 124, "", f"git took more than {_GIT_TIMEOUT} s")


def _public(text: str) -> str:
    """Without the password a URL may carry."""
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)
