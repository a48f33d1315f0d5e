"""New commits on the branches downstream of a changed one; mirrors `propagateBranches` of pachd (`server_branch.go`).

The rule is level-triggered: a branch with provenance whose head does not come from exactly the present heads of that
provenance gets a new open AUTO commit that does. So a new head, a moved branch and a changed provenance are one case.
"""

from collections.abc import Callable, Iterable, Sequence

from pdk.pachyderm.pfs import commits
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.pfs.types import NewCommit
from pdk.pachyderm.store import branches as branch_rows
from pdk.pachyderm.store import commits as commit_rows
from pdk.pachyderm.store.branches import BranchRow
from pdk.pachyderm.values import BranchId, OriginKind, RepoType

OnPropagate = Callable[[PfsTransaction, Sequence[NewCommit]], None]


def propagate(tx: PfsTransaction, callbacks: Sequence[OnPropagate]) -> None:
    """Open the commits that the changes so far call for downstream and tell of them, until nothing changes."""
    while tx.changed_branches:
        changed, tx.changed_branches = list(tx.changed_branches), {}
        new_commits = _propagate_branches(tx, changed)
        for callback in callbacks:
            callback(tx, new_commits)


def _propagate_branches(tx: PfsTransaction, changed: Iterable[BranchId]) -> list[NewCommit]:
    """Open what is called for on the changed branches and everything downstream, upstream ones first."""
    forced, tx.forced_branches = tx.forced_branches, set()
    opened = []
    for branch in _affected(tx, changed):
        new_commit = _propagate(tx, branch, branch.id in forced)
        if new_commit is not None:
            opened.append(new_commit)
    tx.changed_branches.clear()
    return opened


def _affected(tx: PfsTransaction, changed: Iterable[BranchId]) -> list[BranchRow]:
    """Return the changed branches that still exist and all that come from them; a branch after its provenance."""
    found: dict[BranchId, BranchRow] = {}
    for branch_id in changed:
        row = branch_rows.get_by_id(tx.conn, branch_id)
        if row is not None:
            found[branch_id] = row
            found.update((branch.id, branch) for branch in branch_rows.subvenance(tx.conn, branch_id))
    # What comes from X has X and all of X's provenance in its own, so the larger provenance comes later.
    return sorted(found.values(), key=lambda branch: (len(branch_rows.provenance(tx.conn, branch.id)), branch.id))


def _propagate(tx: PfsTransaction, branch: BranchRow, forced: bool) -> NewCommit | None:
    provenance = branch_rows.direct_provenance(tx.conn, branch.id)
    if not provenance or (not forced and all(upstream.repo.type == RepoType.SPEC for upstream in provenance)):
        return None
    heads = [upstream.head_id for upstream in provenance if upstream.head_id is not None]
    head = commit_rows.get_by_id(tx.conn, branch.head_id) if branch.head_id is not None else None
    if head is not None:
        present = {upstream.id for upstream in commit_rows.direct_provenance(tx.conn, head.id)}
        if head.set_id == tx.set_id and not head.finishing:
            if present != set(heads):
                commit_rows.set_provenance(tx.conn, head.id, heads)
            return None
        if present == set(heads) and not forced:
            return None
    row = commits.insert_commit(tx, branch, branch.head_id, OriginKind.AUTO, "", heads)
    upstream = tuple(commit_rows.get_by_id(tx.conn, head_id).handle for head_id in heads)
    return NewCommit(row.handle, branch.handle, OriginKind.AUTO, upstream)
