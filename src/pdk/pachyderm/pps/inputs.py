"""The input tree of a pipeline spec: from canonical JSON to values, with the original's checks.

Called by `spec` (specs) and `datums` (`ListDatum{input}`, `CreateDatum`). Mirrors `validateInput` of the original's pps
server; cron, s3, triggers and propagation specs are refused, because pdk does not have them yet.
"""

import re
from collections.abc import Iterator
from typing import Any

from pdk.base.errors import Unimplemented
from pdk.pachyderm.pfs.glob import Glob
from pdk.pachyderm.pps.errors import InvalidSpec
from pdk.pachyderm.pps.types import Combination, CombinedInput, Input, Json, PfsInput
from pdk.pachyderm.values import Branch, Repo, RepoType

MAX_DEPTH = 16
_KINDS = ("pfs", "join", "group", "cross", "union", "cron")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_RESERVED = ("out", ".env")
_MISSING_PARTS = ("s3", "trigger", "propagation_spec")


def with_input_defaults(node: Json, project: str) -> Json:
    """Return the canonical input tree with name, project, branch, repo type and glob filled in as the original does.

    Raises InvalidGlob when a glob does not parse.
    """
    result = dict(node)
    if isinstance(node.get("pfs"), dict):
        result["pfs"] = _pfs_defaults(node["pfs"], project)
    for kind in Combination:
        if node.get(kind):
            result[kind] = [with_input_defaults(child, project) for child in node[kind]]
    return result


def _pfs_defaults(pfs: Json, project: str) -> Json:
    result = dict(pfs)
    for key, value in (
        ("project", project),
        ("name", pfs.get("repo", "")),
        ("branch", "master"),
        ("repo_type", RepoType.USER),
    ):
        result[key] = pfs.get(key) or value
    if pfs.get("glob"):
        result["glob"] = Glob(pfs["glob"]).pattern
    return result


def parse_input(node: Json, path: str = "input", depth: int = 0) -> Input:
    """Turn a canonical tree with defaults into values. Raises InvalidSpec or Unimplemented naming the place."""
    if depth > MAX_DEPTH:
        raise InvalidSpec(f"inputs are nested deeper than {MAX_DEPTH}", path)
    kinds = [kind for kind in _KINDS if node.get(kind) is not None and node.get(kind) != []]
    if not kinds:
        raise InvalidSpec("no input set", path)
    if len(kinds) > 1:
        raise InvalidSpec(f"multiple input types set ({', '.join(kinds)})", path)
    kind = kinds[0]
    where = f"{path}.{kind}"
    if kind == "cron":
        raise Unimplemented(f"pipeline spec: cron inputs are not implemented by pdk ({where})")
    if kind == "pfs":
        return _parse_pfs(node["pfs"], where)
    children = tuple(parse_input(child, f"{where}[{n}]", depth + 1) for n, child in enumerate(node[kind]))
    combined = CombinedInput(Combination(kind), children)
    _check_keys(combined, where)
    return combined


def _parse_pfs(pfs: Json, where: str) -> PfsInput:
    for part in _MISSING_PARTS:
        if pfs.get(part):
            raise Unimplemented(f"pipeline spec: {part} of an input is not implemented by pdk ({where}.{part})")
    name = pfs.get("name", "")
    _check_name(name, where)
    for part in ("repo", "branch", "glob"):
        if not pfs.get(part):
            raise InvalidSpec(f"input must specify a {part}", where)
    if pfs.get("commit"):
        raise InvalidSpec("input cannot specify a commit, only a branch", where)
    repo = Repo(pfs["project"], pfs["repo"], pfs["repo_type"])
    return PfsInput(name=name, branch=Branch(repo, pfs["branch"]), glob=pfs["glob"], **_options(pfs))


def _options(pfs: Json) -> dict[str, Any]:
    flags = {key: bool(pfs.get(key)) for key in ("outer_join", "empty_files", "reference")}
    return {**flags, "join_on": pfs.get("join_on", ""), "group_by": pfs.get("group_by", "")}


def _check_name(name: str, where: str) -> None:
    if not name:
        raise InvalidSpec("input must specify a name", where)
    if name in _RESERVED:
        raise InvalidSpec(f'input cannot be named "{name}": /pfs/{name} has a meaning of its own', where)
    if not _NAME.fullmatch(name):
        raise InvalidSpec(f"input name ({name}) invalid: only letters, digits, '_', '-' and '.' are allowed", where)


def _check_keys(combined: CombinedInput, where: str) -> None:
    """Joins need `join_on` and groups `group_by` in each of their pfs inputs."""
    needed = {Combination.JOIN: "join_on", Combination.GROUP: "group_by"}.get(combined.combination)
    if needed is None:
        return
    for leaf in pfs_inputs(combined):
        if not getattr(leaf, needed):
            raise InvalidSpec(f'input "{leaf.name}" must specify {needed}', where)


def pfs_inputs(node: Input) -> Iterator[PfsInput]:
    """Yield the leaves of the tree, left to right."""
    if isinstance(node, PfsInput):
        yield node
        return
    for child in node.inputs:
        yield from pfs_inputs(child)


def check_unique_names(node: Input) -> None:
    """Raise InvalidSpec when two inputs of one datum would share a name; the arms of a union are never in one datum."""
    _collect_names(node, frozenset())


def _collect_names(node: Input, taken: frozenset[str]) -> frozenset[str]:
    if isinstance(node, PfsInput):
        if node.name in taken:
            raise InvalidSpec(f'name "{node.name}" was used more than once', "input")
        return taken | {node.name}
    if node.combination is Combination.UNION:
        return frozenset().union(*(_collect_names(child, taken) for child in node.inputs))
    for child in node.inputs:
        taken = _collect_names(child, taken)
    return taken


def branches(node: Input) -> list[Branch]:
    """Return the distinct branches the tree reads, in order of first occurrence."""
    return list(dict.fromkeys(leaf.branch for leaf in pfs_inputs(node)))


def with_commit(node: Json, commit_id: str) -> Json:
    """Return the canonical tree with `commit` set in each pfs input, as `JobInfo.details.input` shows it."""
    result = dict(node)
    if "pfs" in node:
        result["pfs"] = {**node["pfs"], "commit": commit_id}
    for kind in Combination:
        if node.get(kind):
            result[kind] = [with_commit(child, commit_id) for child in node[kind]]
    return result
