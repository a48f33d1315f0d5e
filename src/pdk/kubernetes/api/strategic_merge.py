"""Strategic merge patch for the built-in kinds: lists merge by a key instead of being replaced.

A pure function called by `patches.py`. Custom resources do not have it (415). Mirrors k8s.io/apimachinery
pkg/util/strategicpatch, with the merge keys of `kinds/schemas.py`.
"""

import copy
from typing import Any

from pdk.kubernetes.errors import BadRequest
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.schemas import MERGE_KEYS

ORDER = "$setElementOrder/"
DELETE_ITEMS = "$deleteFromPrimitiveList/"
RETAIN = "$retainKeys"
DIRECTIVE = "$patch"


def strategic_merge(kind: str, target: JsonObject, patch: JsonObject) -> JsonObject:
    """Return an object of a built-in `kind` with the patch applied. Raises BadRequest when it makes no sense."""
    own = {field.removeprefix(f"{kind}."): key for field, key in MERGE_KEYS.items()}
    return _merge_object(own, copy.deepcopy(target), patch)


def _merge_object(keys: dict[str, str], target: JsonObject, patch: JsonObject) -> JsonObject:
    directive = patch.get(DIRECTIVE, "merge")
    if directive == "delete":
        return {}
    if directive == "replace":
        return _plain_object({key: value for key, value in patch.items() if key != DIRECTIVE})
    if directive != "merge":
        raise BadRequest(f"unknown $patch directive {directive!r}: must be merge, replace or delete")
    retained, live = patch.get(RETAIN), dict(target)
    merged = target if not isinstance(retained, list) else {k: v for k, v in target.items() if k in retained}
    for key, value in patch.items():
        if key.startswith(DELETE_ITEMS):
            _delete_items(merged, key.removeprefix(DELETE_ITEMS), value)
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(keys, merged, key, value)
    for key, value in patch.items():
        if key.startswith(ORDER):
            _set_order(keys, merged, key.removeprefix(ORDER), value, live.get(key.removeprefix(ORDER)))
    return merged


def _merge_field(keys: dict[str, str], merged: JsonObject, key: str, value: Any) -> None:
    old = merged.get(key)
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        merged[key] = _merge_object(keys, old if isinstance(old, dict) else {}, value)
    elif isinstance(value, list):
        merged[key] = _merge_list(keys, key, old if isinstance(old, list) else [], value)
    else:
        merged[key] = value


def _merge_list(keys: dict[str, str], field: str, old: list[Any], patch: list[Any]) -> list[Any]:
    merge_key = keys.get(field)
    if merge_key == "":
        return [*old, *(item for item in patch if item not in old)]
    if merge_key is None or not all(isinstance(item, dict) for item in [*old, *patch]):
        return [_without_directives(item) for item in patch]
    if any(item.get(DIRECTIVE) == "replace" for item in patch):
        return [_plain_object(item) for item in patch if DIRECTIVE not in item]
    merged = list(old)
    for item in patch:
        _merge_item(keys, field, merge_key, merged, item)
    return merged


def _merge_item(keys: dict[str, str], field: str, merge_key: str, merged: list[JsonObject], item: JsonObject) -> None:
    if merge_key not in item:
        raise BadRequest(f"map: {item} does not contain declared merge key: {merge_key} (in {field})")
    position = next((index for index, old in enumerate(merged) if old.get(merge_key) == item[merge_key]), None)
    if item.get(DIRECTIVE) == "delete":
        if position is not None:
            del merged[position]
    elif position is None:
        merged.append(_merge_object(keys, {}, item))
    else:
        merged[position] = _merge_object(keys, merged[position], item)


def _delete_items(merged: JsonObject, field: str, values: Any) -> None:
    if not isinstance(values, list):
        raise BadRequest(f"{DELETE_ITEMS}{field} must be a list")
    if isinstance(merged.get(field), list):
        merged[field] = [item for item in merged[field] if item not in values]


def _set_order(keys: dict[str, str], merged: JsonObject, field: str, order: Any, live: Any) -> None:
    """Put the items the client named into its order; the others stay before the item they stood before."""
    items = merged.get(field)
    if not isinstance(items, list) or not isinstance(order, list):
        return
    merge_key = keys.get(field, "")

    def identity(item: Any) -> Any:
        return str(item.get(merge_key)) if isinstance(item, dict) else str(item)

    wanted = [identity(item) for item in order]
    live_order = [identity(item) for item in live] if isinstance(live, list) else []
    named = sorted((item for item in items if identity(item) in wanted), key=lambda item: wanted.index(identity(item)))
    others = [item for item in items if identity(item) not in wanted]
    result: list[Any] = []
    for item in named:
        while others and identity(item) in live_order and _comes_first(live_order, identity(others[0]), identity(item)):
            result.append(others.pop(0))
        result.append(item)
    merged[field] = result + others


def _comes_first(live_order: list[Any], other: Any, named: Any) -> bool:
    return other in live_order and live_order.index(other) < live_order.index(named)


def _without_directives(value: Any) -> Any:
    """Return a new value as it is stored: without `$` directives, without nulls."""
    if isinstance(value, dict):
        return _plain_object(value)
    if isinstance(value, list):
        return [_without_directives(child) for child in value]
    return value


def _plain_object(value: JsonObject) -> JsonObject:
    return {
        key: _without_directives(child)
        for key, child in value.items()
        if not key.startswith((DIRECTIVE, RETAIN, ORDER, DELETE_ITEMS)) and child is not None
    }
