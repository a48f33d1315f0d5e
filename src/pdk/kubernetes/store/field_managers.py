"""Who set which field: metadata.managedFields, and server-side apply on top of it.

Pure functions over objects, called by `objects.py` (every write of a named manager) and by the API (apply patches).
Mirrors sigs.k8s.io/structured-merge-diff with coarser fields: labels, annotations and data keys one by one, `spec` and
every other top-level field as a whole, as a CRD with `x-kubernetes-map-type: atomic` has it.
"""

import copy
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pdk.kubernetes.errors import FieldManagerConflict
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.metadata import timestamp

Path = tuple[str, ...]

# The maps whose keys are fields of their own.
MAPS = (("metadata", "labels"), ("metadata", "annotations"), ("data",), ("binaryData",))
METADATA_FIELDS = ("finalizers", "ownerReferences")
NOT_FIELDS = ("apiVersion", "kind", "metadata", "status")
_MISSING = object()


class Operation(StrEnum):
    """How a manager came to own its fields."""

    UPDATE = "Update"
    APPLY = "Apply"


def track(old: JsonObject, new: JsonObject, manager: str) -> JsonObject:
    """Return `new` with the fields that differ from `old` given to `manager` (operation Update), taken from others."""
    before, after = _fields(old), _fields(new)
    changed = {path for path in before.keys() | after.keys() if before.get(path, _MISSING) != after.get(path, _MISSING)}
    if not changed:
        return new
    entries = _take(_entries(new), changed)
    mine = next((e for e in entries if (e["manager"], e["operation"]) == (manager, Operation.UPDATE)), None)
    if mine is None:
        mine = _entry(manager, Operation.UPDATE, new["apiVersion"])
        entries.append(mine)
    mine["fieldsV1"] = _encode(_owned(mine) | {path for path in changed if path in after})
    mine["time"] = timestamp()
    return _with_entries(new, entries)


def apply(
    live: JsonObject, config: JsonObject, manager: str, force: bool, admit: Callable[[JsonObject], JsonObject]
) -> JsonObject:
    """Return `live` with the fields of `config` applied by `manager`, and those it no longer names removed.

    `admit` does to the result what admission does to every write, so that values are compared as they would be stored.
    Raises FieldManagerConflict when another manager owns a field with another value, unless `force`.
    """
    wanted = _fields(config)
    entries = _entries(live)
    mine = next((e for e in entries if (e["manager"], e["operation"]) == (manager, Operation.APPLY)), None)
    others = [entry for entry in entries if entry is not mine]
    applied = copy.deepcopy(live)
    for path in (_owned(mine) if mine else set()) - wanted.keys():
        if not any(path in _owned(entry) for entry in others):
            _remove(applied, path)
    for path, value in wanted.items():
        _set(applied, path, copy.deepcopy(value))
    applied = admit(applied)
    before, after = _fields(live), _fields(applied)
    changed = {path for path in wanted if before.get(path, _MISSING) != after.get(path, _MISSING)}
    conflicts = [(entry["manager"], _shown(path)) for entry in others for path in sorted(_owned(entry) & changed)]
    if conflicts and not force:
        raise FieldManagerConflict(conflicts)
    mine = mine or _entry(manager, Operation.APPLY, live["apiVersion"])
    if changed or _owned(mine) != set(wanted):
        mine["time"] = timestamp()
    mine["fieldsV1"] = _encode(set(wanted))
    return _with_entries(applied, [mine, *_take(others, changed)])


def _fields(obj: JsonObject) -> dict[Path, Any]:
    """Return the managed fields of an object and their values."""
    metadata = obj.get("metadata") or {}
    found: dict[Path, Any] = {("metadata", name): metadata[name] for name in METADATA_FIELDS if metadata.get(name)}
    for path in MAPS:
        parent: Any = obj
        for step in path:
            parent = _as_map(parent.get(step))
        found.update({(*path, key): value for key, value in parent.items()})
    # What should be a map and is something else is one field.
    whole = (key for key in obj if key not in NOT_FIELDS and not ((key,) in MAPS and isinstance(obj[key], dict | None)))
    return found | {(key,): obj[key] for key in whole}


def _as_map(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _entries(obj: JsonObject) -> list[JsonObject]:
    """Return copies of the managedFields entries that can be read; entries of a status subresource stay as they are."""
    entries = [copy.deepcopy(entry) for entry in obj["metadata"].get("managedFields", [])]
    return [
        entry for entry in entries if isinstance(entry.get("manager"), str) and isinstance(entry.get("operation"), str)
    ]


def _entry(manager: str, operation: Operation, api_version: str) -> JsonObject:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": timestamp(),
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    }


def _with_entries(obj: JsonObject, entries: list[JsonObject]) -> JsonObject:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    left = [entry for entry in entries if entry.get("fieldsV1")]
    return obj | {"metadata": metadata | ({"managedFields": left} if left else {})}


def _take(entries: list[JsonObject], paths: set[Path]) -> list[JsonObject]:
    """Take `paths` from every entry."""
    for entry in entries:
        owned = _owned(entry)
        if owned & paths:
            entry["fieldsV1"] = _encode(owned - paths)
    return entries


def _owned(entry: JsonObject) -> set[Path]:
    """Return the fields of an entry, cut to the ones this module knows (a client may have written finer ones)."""
    tree = entry.get("fieldsV1")
    if not isinstance(tree, dict):
        return set()
    owned: set[Path] = set()
    for path in _leaves(tree):
        depth = next(
            (len(prefix) + 1 for prefix in MAPS if path[: len(prefix)] == prefix), 2 if path[0] == "metadata" else 1
        )
        owned.add(path[:depth])
    return owned


def _leaves(tree: JsonObject) -> list[Path]:
    found: list[Path] = []
    for key, child in tree.items():
        if not key.startswith("f:"):
            continue
        below = _leaves(child) if isinstance(child, dict) else []
        found += [(key[2:], *path) for path in below] or [(key[2:],)]
    return found


def _encode(paths: set[Path]) -> JsonObject:
    tree: JsonObject = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(f"f:{step}", {})
    return tree


def _shown(path: Path) -> str:
    """Return a path as error texts have it: `.metadata.labels.app`."""
    return "".join(f".{step}" for step in path)


def _set(obj: JsonObject, path: Path, value: Any) -> None:
    for step in path[:-1]:
        obj[step] = obj = _as_map(obj.get(step))
    obj[path[-1]] = value


def _remove(obj: JsonObject, path: Path) -> None:
    for step in path[:-1]:
        obj = _as_map(obj.get(step))
    obj.pop(path[-1], None)


def own(obj: JsonObject, manager: str) -> JsonObject:
    """Return a new object whose fields were all applied by `manager`."""
    entry = _entry(manager, Operation.APPLY, obj["apiVersion"])
    entry["fieldsV1"] = _encode(set(_fields(obj)))
    return _with_entries(obj, [entry])
