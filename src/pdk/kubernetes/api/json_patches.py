"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902), as kubectl and the Python clients send them.

Pure functions called by `patches.py`; the patched object is built anew, the given one is not touched.
"""

import copy
import json
from typing import Any

from pdk.kubernetes.errors import BadRequest, Cause, ObjectInvalid

OPERATIONS_LIMIT = 10_000
COPY_LIMIT = 3 * 1024 * 1024
"""Bytes that all `copy` operations of one patch may add, so that a small patch cannot grow without end."""


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with a merge patch applied: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """Return `target` with a list of operations applied.

    Raises BadRequest for a patch that cannot be read, ObjectInvalid (422) for one that does not fit the object, a failed
    `test` included.
    """
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise BadRequest("a JSON patch must be a list of operations")
    if len(operations) > OPERATIONS_LIMIT:
        raise BadRequest(f"a JSON patch may have at most {OPERATIONS_LIMIT} operations, this one has {len(operations)}")
    document = _Document(copy.deepcopy(target))
    for operation in operations:
        document.apply(operation)
    return document.root


class _Document:
    """The object while operations are applied to it in place."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._copied = 0

    def apply(self, operation: dict[str, Any]) -> None:
        path = _pointer(operation, "path")
        match operation.get("op"):
            case "add":
                self._add(path, copy.deepcopy(_value(operation)))
            case "remove":
                self._remove(path)
            case "replace":
                self._replace(path, copy.deepcopy(_value(operation)))
            case "move":
                source = _pointer(operation, "from")
                if path[: len(source)] == source and path != source:
                    raise _does_not_fit(path, "a value cannot be moved into itself")
                self._add(path, self._remove(source))
            case "copy":
                self._add(path, self._copy(_pointer(operation, "from")))
            case "test":
                if not _equal(self._get(path), _value(operation)):
                    raise _does_not_fit(path, "testing the value failed: it is not the expected one")
            case other:
                raise BadRequest(f"unexpected kind of operation in a JSON patch: {other!r}")

    def _get(self, path: list[str]) -> Any:
        value = self.root
        for depth, step in enumerate(path):
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and _index(step, len(value) - 1) is not None:
                value = value[int(step)]
            else:
                raise _does_not_fit(path[: depth + 1], "there is no such value")
        return value

    def _copy(self, path: list[str]) -> Any:
        value = self._get(path)
        self._copied += len(json.dumps(value))
        if self._copied > COPY_LIMIT:
            raise BadRequest(f"the copy operations of the patch add more than {COPY_LIMIT} bytes")
        return copy.deepcopy(value)

    def _add(self, path: list[str], value: Any) -> None:
        if not path:
            self.root = value
            return
        parent, last = self._get(path[:-1]), path[-1]
        if isinstance(parent, dict):
            parent[last] = value
        elif isinstance(parent, list):
            index = len(parent) if last == "-" else _index(last, len(parent))
            if index is None:
                raise _does_not_fit(path, "the index is out of range")
            parent.insert(index, value)
        else:
            raise _does_not_fit(path, "its parent is neither an object nor a list")

    def _remove(self, path: list[str]) -> Any:
        value = self._get(path)
        if not path:
            self.root = None
            return value
        parent = self._get(path[:-1])
        if isinstance(parent, list):
            return parent.pop(int(path[-1]))
        return parent.pop(path[-1])

    def _replace(self, path: list[str], value: Any) -> None:
        self._get(path)
        if not path:
            self.root = value
            return
        parent = self._get(path[:-1])
        parent[int(path[-1]) if isinstance(parent, list) else path[-1]] = value


def _pointer(operation: dict[str, Any], field: str) -> list[str]:
    """Return the steps of a JSON pointer (RFC 6901)."""
    text = operation.get(field)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise BadRequest(f"the {field} of a JSON patch operation must be a JSON pointer, not {text!r}")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise BadRequest(f"the {operation.get('op')} operation on {operation.get('path')} has no value")
    return operation["value"]


def _index(step: str, highest: int) -> int | None:
    if not (step.isascii() and step.isdecimal()) or len(step) > 9 or (step != "0" and step.startswith("0")):
        return None
    return int(step) if int(step) <= highest else None


def _equal(left: Any, right: Any) -> bool:
    """Compare as JSON does: `1` and `True` are equal in Python only."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _does_not_fit(path: list[str], why: str) -> ObjectInvalid:
    pointer = "/" + "/".join(path)
    return ObjectInvalid("JSONPatch", pointer, [Cause("FieldValueInvalid", why, pointer)])
