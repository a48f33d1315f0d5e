"""Where the experiment's code comes from: a git repository at a ref, or a local folder as it is.

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

from train_job.failure import TrainError

logger = logging.getLogger("train")

_GIT_TIMEOUT = 600
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".git", "*.pyc", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Code:
    """The experiment's folder, and what it is a copy of: a git commit, ``<commit>-dirty`` or ``sha256:<hash>``."""

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
