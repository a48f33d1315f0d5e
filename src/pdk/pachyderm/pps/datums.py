"""From inputs to datums, and which of them an earlier job has processed already.

Called by `job_runs` when a job begins, and by `ListDatum{input}` and `CreateDatum`. Mirrors the original's
`worker/datum` iterators: every glob match, file or folder, is one datum; cross multiplies, union concatenates, join
matches on a key, group gathers by a key.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pdk.base.errors import FailedPrecondition
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.glob import Glob
from pdk.pachyderm.pfs.types import FileInfo
from pdk.pachyderm.pps.datum_values import make_datum
from pdk.pachyderm.pps.types import Combination, CombinedInput, Datum, DatumInput, Input, PfsInput
from pdk.pachyderm.values import Commit, DatumId, JobId, Repo

MAX_DATUMS = 100_000
# The inputs of one datum, not yet ordered.
Row = tuple[DatumInput, ...]


class TooManyDatums(FailedPrecondition):
    """The inputs multiply to more datums than one job may have."""

    def __init__(self) -> None:
        super().__init__(f"the inputs make more than {MAX_DATUMS} datums; use coarser globs")


class DatumLister:
    """Makes the datums of an input tree at given commits."""

    def __init__(self, pfs: Pfs, commits: Mapping[Repo, Commit]) -> None:
        """`commits` says which commit of each input repo to read."""
        self._pfs = pfs
        self._commits = commits

    def list_datums(self, tree: Input, salt: str) -> list[Datum]:
        """Return the datums in order, each id once. Raises TooManyDatums, or NotFound when a commit is gone."""
        datums: dict[DatumId, Datum] = {}
        for row in self._rows(tree):
            datum = make_datum(row, salt)
            datums.setdefault(datum.id, datum)
        return list(datums.values())

    def _rows(self, node: Input) -> list[Row]:
        if isinstance(node, PfsInput):
            return self._matches(node)
        children = [self._rows(child) for child in node.inputs]
        if node.combination is Combination.CROSS:
            return _cross(children)
        if node.combination is Combination.UNION:
            return _limited(itertools.chain.from_iterable(children))
        if node.combination is Combination.JOIN:
            return _join(node, children)
        return _group(children)

    def _matches(self, node: PfsInput) -> list[Row]:
        commit = self._commits.get(node.branch.repo)
        if commit is None:
            return []
        glob = Glob(node.glob)
        return _limited((_input(node, glob, commit, info),) for info in self._pfs.files(commit).glob(node.glob))


def _input(node: PfsInput, glob: Glob, commit: Commit, info: FileInfo) -> DatumInput:
    path = info.path.rstrip("/") or "/"
    return DatumInput(
        name=node.name,
        commit=commit,
        branch=node.branch.name,
        path=info.path,
        hash=info.hash,
        size_bytes=info.size_bytes,
        empty_files=node.empty_files,
        reference=node.reference,
        join_on=glob.replace(path, node.join_on) if node.join_on else "",
        group_by=glob.replace(path, node.group_by) if node.group_by else "",
    )


def _limited(rows: Iterable[Row]) -> list[Row]:
    result = list(itertools.islice(rows, MAX_DATUMS + 1))
    if len(result) > MAX_DATUMS:
        raise TooManyDatums
    return result


def _cross(children: Sequence[Sequence[Row]]) -> list[Row]:
    return _limited(tuple(itertools.chain.from_iterable(rows)) for rows in itertools.product(*children))


def _by_key(rows: Iterable[Row], field: str) -> dict[str, list[Row]]:
    """Gather rows by the key of their first input that has one, in order of first occurrence."""
    result: dict[str, list[Row]] = {}
    for row in rows:
        key = next((value for item in row if (value := getattr(item, field))), "")
        result.setdefault(key, []).append(row)
    return result


def _join(node: CombinedInput, children: Sequence[Sequence[Row]]) -> list[Row]:
    """One datum per combination of rows with the same key; an arm with `outer_join` keeps what found no partner."""
    arms = [_by_key(rows, "join_on") for rows in children]
    outer = [isinstance(child, PfsInput) and child.outer_join for child in node.inputs]
    result: list[Row] = []
    for key in dict.fromkeys(itertools.chain.from_iterable(arms)):
        present = [arm[key] for arm in arms if key in arm]
        if len(present) < len(arms):
            present = [arm[key] for arm, keep in zip(arms, outer, strict=True) if keep and key in arm]
        if present:
            result += _cross(present)
    return _limited(result)


def _group(children: Sequence[Sequence[Row]]) -> list[Row]:
    """One datum per key, with every row of every arm that has it."""
    groups = _by_key(itertools.chain.from_iterable(children), "group_by")
    return [tuple(itertools.chain.from_iterable(rows)) for rows in groups.values()]


@dataclass(frozen=True)
class Plan:
    """What a job has to do: `skipped` names the job that processed a datum; `stale` are datums whose output goes."""

    datums: Sequence[Datum]
    skipped: Mapping[DatumId, JobId]
    stale: Sequence[DatumId]


def plan(datums: Sequence[Datum], base: Mapping[DatumId, tuple[str, JobId]], every_job: bool) -> Plan:
    """Compare with the base job's processed datums: id -> (hash, processed_by). Same id and hash = skipped."""
    skipped = {}
    if not every_job:
        for datum in datums:
            before = base.get(datum.id)
            if before is not None and before[0] == datum.hash:
                skipped[datum.id] = before[1]
    return Plan(datums, skipped, [identity for identity in base if identity not in skipped])
