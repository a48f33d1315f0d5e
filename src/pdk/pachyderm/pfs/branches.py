"""Create and delete branches and keep their provenance sound; mirrors `server_branch.go` of pachd."""

from collections.abc import Sequence

from pdk.pachyderm.errors import BranchInUse, InvalidProvenance
from pdk.pachyderm.pfs.commits import create_finished_commit, ensure_branch
from pdk.pachyderm.pfs.infos import find_branch, find_commit
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store.branches import BranchRow
from pdk.pachyderm.values import Branch, Commit, OriginKind, RepoId


def create_branch(
    tx: PfsTransaction, branch: Branch, head: Commit | None = None, direct_provenance: Sequence[Branch] = ()
) -> None:
    """Add a branch, move its head, or change what it comes from.

    Without `head` a new branch gets an empty finished AUTO commit, or, when it has provenance, an open one at the end
    of the transaction. Changed provenance also gives a new output commit, except when it becomes empty. Raises
    RepoNotFound, BranchNotFound (upstream), CommitNotFound, InvalidProvenance, InvalidName.
    """
    row = ensure_branch(tx, branch)
    upstream = [find_branch(tx.conn, other) for other in dict.fromkeys(direct_provenance)]
    _set_provenance(tx, row, upstream)
    if head is not None:
        branch_rows.set_head(tx.conn, row.id, find_commit(tx.conn, head).id)
        tx.changed_branches[row.id] = None
    elif row.head_id is None and not upstream:
        create_finished_commit(tx, branch, OriginKind.AUTO)


def _set_provenance(tx: PfsTransaction, row: BranchRow, upstream: Sequence[BranchRow]) -> None:
    wanted = [other.id for other in upstream]
    present = [other.id for other in branch_rows.direct_provenance(tx.conn, row.id)]
    if wanted == present:
        return
    for other in upstream:
        if other.id == row.id or any(further.id == row.id for further in branch_rows.provenance(tx.conn, other.id)):
            raise InvalidProvenance(f"branch {row.handle} cannot be in its own provenance, by way of {other.handle}")
    branch_rows.set_direct_provenance(tx.conn, row.id, wanted)
    for downstream in [row, *branch_rows.subvenance(tx.conn, row.id)]:
        _check_one_branch_per_repo(tx, downstream)
    if wanted and set(wanted) != set(present):
        tx.changed_branches[row.id] = None
        tx.forced_branches.add(row.id)


def _check_one_branch_per_repo(tx: PfsTransaction, row: BranchRow) -> None:
    seen = {row.repo_id: row}
    for upstream in branch_rows.provenance(tx.conn, row.id):
        other = seen.setdefault(upstream.repo_id, upstream)
        if other.id != upstream.id:
            raise InvalidProvenance(
                f"multiple branches from the same repo cannot participate in a DAG: "
                f"{row.handle} would come from both {other.handle} and {upstream.handle}"
            )


def delete_branch(tx: PfsTransaction, branch: Branch, force: bool = False) -> None:
    """Remove a branch; its commits stay. Raises BranchNotFound, BranchInUse (unless `force`)."""
    row = find_branch(tx.conn, branch)
    check_unused(tx, row, force)
    branch_rows.delete(tx.conn, row.id)


def check_unused(tx: PfsTransaction, row: BranchRow, force: bool, inside: Sequence[RepoId] = ()) -> None:
    """Raise BranchInUse when branches outside the repos `inside` come from this one and `force` is not given."""
    outside = [other for other in branch_rows.subvenance(tx.conn, row.id) if other.repo_id not in inside]
    if outside and not force:
        names = ", ".join(str(other.handle) for other in outside)
        raise BranchInUse(f"branch {row.handle} cannot be deleted because it is in the provenance of {names}")
