"""Pipeline specs as JSON: strict decoding, canonical form, merging of defaults, rendering.

Called by `pipelines` for `CreatePipeline` (rendered to JSON by the api) and `CreatePipelineV2`. Mirrors the original's way of
merging (RFC 7396) canonical JSON; unlike there, an error names the field, where it is, and the likely name that was meant.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from pdk.base.clock import from_rfc3339
from pdk.pachyderm.pps.errors import InvalidSpec
from pdk.pachyderm.pps.spec_fields import ENUMS, FIELDS, ROOT, Field, Kind, json_name
from pdk.pachyderm.pps.types import Json

MAX_SPEC_LENGTH = 1 << 20
_DURATION = re.compile(r"(-?\d{1,12})(\.\d{1,9})?s")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_INT_RANGES = {
    Kind.INT32: (-(1 << 31), (1 << 31) - 1),
    Kind.INT64: (-(1 << 63), (1 << 63) - 1),
    Kind.UINT64: (0, (1 << 64) - 1),
}


def decode(text: str) -> Json:
    """Decode one JSON object; raise InvalidSpec when it is none, repeats a key, is nested too deep or longer than MAX_SPEC_LENGTH."""
    if len(text) > MAX_SPEC_LENGTH:
        raise InvalidSpec(f"longer than {MAX_SPEC_LENGTH} characters")
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise InvalidSpec(f"not valid JSON: {error}") from error
    except RecursionError as error:
        raise InvalidSpec("nested too deep") from error
    if not isinstance(value, dict):
        raise InvalidSpec("must be a JSON object")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> Json:
    result: Json = {}
    for key, value in pairs:
        if key in result:
            raise InvalidSpec(f'field "{key}" occurs twice')
        result[key] = value
    return result


def canonicalise(value: Any, message: str = ROOT, path: str = "") -> Json:
    """Return the object with snake_case names and checked, canonical values; null is kept, because a merge patch needs it.

    Names may be snake_case or camelCase. Raises InvalidSpec naming the field and its path.
    """
    if not isinstance(value, dict):
        raise InvalidSpec("must be an object", path or message)
    names = _accepted_names(message)
    result: Json = {}
    for given, item in value.items():
        name = names.get(given)
        where = f"{path}.{given}" if path else given
        if name is None:
            raise _unknown_field(given, where, names)
        if name in result:
            raise InvalidSpec(f'field "{name}" is given twice, in snake_case and in camelCase', where)
        result[name] = None if item is None else _canonical_field(item, FIELDS[message][name], where)
    return result


def _accepted_names(message: str) -> dict[str, str]:
    names = {json_name(message, name): name for name in FIELDS[message]}
    names.update({name: name for name in FIELDS[message]})
    return names


def _unknown_field(given: str, where: str, names: Mapping[str, str]) -> InvalidSpec:
    near = difflib.get_close_matches(given, names, n=1)
    hint = f' (did you mean "{names[near[0]]}"?)' if near else ""
    return InvalidSpec(f'unknown field "{given}"{hint}', where)


def _canonical_field(value: Any, field: Field, where: str) -> Any:
    if field.is_list:
        if not isinstance(value, list):
            raise InvalidSpec("must be a list", where)
        return [_canonical_value(item, field, f"{where}[{n}]") for n, item in enumerate(value)]
    if field.is_map:
        if not isinstance(value, dict):
            raise InvalidSpec("must be an object", where)
        return {key: _canonical_value(item, field, f"{where}.{key}") for key, item in value.items()}
    return _canonical_value(value, field, where)


def _canonical_value(value: Any, field: Field, where: str) -> Any:
    if field.kind is Kind.MESSAGE:
        return canonicalise(value, field.type_name, where)
    if field.kind is Kind.ENUM:
        return _enum(value, field.type_name, where)
    canonical = _SCALARS[field.kind](value)
    if canonical is None:
        raise InvalidSpec(f"must be {field.kind.value}, not {json.dumps(value)[:80]}", where)
    return canonical


def _enum(value: Any, type_name: str, where: str) -> str:
    names = ENUMS[type_name]
    if isinstance(value, str) and value in names:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value]
    raise InvalidSpec(f"must be one of {', '.join(names)}, not {json.dumps(value)[:80]}", where)


def _string(value: Any) -> str | None:
    # No NUL and no lone surrogate: neither arguments, environment nor paths can hold them.
    good = isinstance(value, str) and "\0" not in value and not _SURROGATE.search(value)
    return value if good else None


def _bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(kind: Kind) -> Callable[[Any], int | None]:
    low, high = _INT_RANGES[kind]

    def convert(value: Any) -> int | None:
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return value if valid else None

    return convert


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _duration(value: Any) -> str | None:
    return value if isinstance(value, str) and _DURATION.fullmatch(value) else None


def _timestamp(value: Any) -> str | None:
    try:
        from_rfc3339(value if isinstance(value, str) else "")
    except ValueError:
        return None
    return str(value)


_SCALARS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.STRING: _string,
    Kind.BOOL: _bool,
    Kind.INT32: _integer(Kind.INT32),
    Kind.INT64: _integer(Kind.INT64),
    Kind.UINT64: _integer(Kind.UINT64),
    Kind.FLOAT: _float,
    Kind.DURATION: _duration,
    Kind.TIMESTAMP: _timestamp,
}


def duration_seconds(text: str) -> float:
    """Return the seconds of a canonical duration."""
    return float(text[:-1])


def merge(target: Any, patch: Any) -> Any:
    """Apply an RFC 7396 merge patch; null in `patch` removes, lists are replaced whole."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def render(canonical: Json, message: str = ROOT) -> Json:
    """Return the canonical object with the lowerCamelCase names protobuf's JSON mapping prints."""
    fields = FIELDS[message]
    return {json_name(message, name): _render_field(value, fields[name]) for name, value in canonical.items()}


def _render_field(value: Any, field: Field) -> Any:
    if field.kind is not Kind.MESSAGE:
        return value
    if field.is_list:
        return [render(item, field.type_name) for item in value]
    return render(value, field.type_name)
