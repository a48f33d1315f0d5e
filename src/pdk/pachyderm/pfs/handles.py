"""From the commit a client names to the commit it means: ids, branches, `^ ~ .` suffixes, and the provenance alias.

Mirrors `pickCommitTx` and `ResolveCommitProvenance` of pachd (`server_commit.go`) and its `ancestry` package.
"""

import re
import sqlite3

from pdk.base import ids
from pdk.base.errors import InvalidArgument
from pdk.pachyderm.errors import BranchNotFound, CommitNotFound
from pdk.pachyderm.pfs.infos import find_repo
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store.commits import CommitRow
from pdk.pachyderm.store.repos import RepoRow
from pdk.pachyderm.values import CommitSetId

_HANDLE = re.compile(r"(?P<base>[A-Za-z0-9_-]+)(?P<suffixes>([\^~.]\d*)*)")
_SUFFIX = re.compile(r"([\^~.])(\d*)")


def resolve(conn: sqlite3.Connection, handle: CommitHandle) -> CommitRow:
    """Return the row of the commit that `handle` means.

    A commit id that the repo does not have stands for the commit of this repo in the provenance of that commit set, so
    `input@<job id>` is the input commit the job used. Raises RepoNotFound, BranchNotFound, CommitNotFound, and
    InvalidArgument when the handle names nothing or does not parse.
    """
    repo = find_repo(conn, handle.repo)
    text = handle.id or handle.branch
    if not text:
        raise InvalidArgument(f"commit in repo {handle.repo} must have an id or a branch")
    match = _HANDLE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"cannot parse {text!r}: a commit is an id or a branch, then any of ^ ^N ~ ~N .N")
    row = _base(conn, repo, match["base"])
    for suffix, number in _SUFFIX.findall(match["suffixes"]):
        row = _step(conn, repo, row, suffix, number, text)
    return row


def _base(conn: sqlite3.Connection, repo: RepoRow, base: str) -> CommitRow:
    if ids.is_id(base):
        set_id = CommitSetId(base)
        row = commit_rows.get(conn, repo.id, set_id) or commit_rows.provenance_of_set(conn, set_id, repo.id)
        if row is None:
            raise CommitNotFound(repo.repo, base)
        return row
    branch = branch_rows.get(conn, repo.id, base)
    if branch is None:
        raise BranchNotFound(repo.repo, base)
    if branch.head_id is None:
        raise CommitNotFound(repo.repo, base)
    return commit_rows.get_by_id(conn, branch.head_id)


def _step(conn: sqlite3.Connection, repo: RepoRow, row: CommitRow, suffix: str, number: str, text: str) -> CommitRow:
    if suffix == ".":
        chain = _chain(conn, row)
        position = len(chain) - int(number or 1)
        if not 0 <= position < len(chain):
            raise CommitNotFound(repo.repo, text)
        return chain[position]
    for _ in range(min(int(number or 1), 1 << 31)):
        if row.parent_id is None:
            raise CommitNotFound(repo.repo, text)
        row = commit_rows.get_by_id(conn, row.parent_id)
    return row


def _chain(conn: sqlite3.Connection, row: CommitRow) -> list[CommitRow]:
    chain = [row]
    while row.parent_id is not None:
        row = commit_rows.get_by_id(conn, row.parent_id)
        chain.append(row)
    return chain
