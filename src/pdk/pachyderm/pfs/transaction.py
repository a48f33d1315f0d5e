"""The context of one state change of pfs, in one SQLite transaction: what its verbs share.

Made by `Pfs.transaction` and handed to the functions of `repos`, `branches`, `commits`, `commit_sets` and
`propagation`, by the api, by pps and by `Pfs` itself. All commits made in it carry one commit-set id. Mirrors
`transactionenv/txncontext` of pachd.
"""

import sqlite3
from dataclasses import dataclass, field

from pdk.base import clock
from pdk.pachyderm.values import BranchId, Commit, CommitSetId
from pdk.storage.filesets import FileSetStorage


@dataclass
class PfsTransaction:
    """The changes of one transaction; `conn` is the writing connection, `set_id` the id of every commit made in it.

    `changed_branches` (a set in order) are the row ids of branches whose head or provenance changed since the last
    propagation; those of `forced_branches` get a new commit whatever their head comes from. `settled` are the commits
    that reached FINISHED or were deleted.
    """

    conn: sqlite3.Connection
    storage: FileSetStorage
    set_id: CommitSetId
    now: str = field(default_factory=clock.rfc3339_now)
    changed_branches: dict[BranchId, None] = field(default_factory=dict)
    forced_branches: set[BranchId] = field(default_factory=set)
    settled: list[Commit] = field(default_factory=list)
