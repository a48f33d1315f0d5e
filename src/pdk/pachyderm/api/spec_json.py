"""Pipeline specs as JSON: strict decoding, canonical form, rendering; the fields are those of the wire's descriptors.

Called by `pps` for `CreatePipeline` (rendered to JSON first) and `CreatePipelineV2`. Mirrors the original's canonical
JSON; unlike there, an error names the field, where it is, and the likely name that was meant.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from pdk.base.clock import from_rfc3339
from pdk.pachyderm.pps.errors import InvalidSpec
from pdk.pachyderm.pps.types import Json

MAX_SPEC_LENGTH = 1 << 20
_DURATION = re.compile(r"(-?\d{1,12})(\.\d{1,9})?s")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def decode(text: str) -> Json:
    """Decode one JSON object.

    Raises InvalidSpec when it is none, repeats a key, is nested too deep or longer than MAX_SPEC_LENGTH.
    """
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


def canonicalise(value: Any, message: Descriptor, path: str = "") -> Json:
    """Return the object with the names of the .proto and checked, canonical values.

    Names may be snake_case or camelCase; null is kept, because a merge patch needs it. Raises InvalidSpec naming the
    field and its path.
    """
    if not isinstance(value, dict):
        raise InvalidSpec("must be an object", path or message.name)
    # In small letters too: the .proto writes URL, and people url.
    fields = {name: each for each in message.fields for name in (each.json_name, each.name, each.name.lower())}
    result: Json = {}
    for given, item in value.items():
        where = f"{path}.{given}" if path else given
        if given not in fields:
            near = difflib.get_close_matches(given, fields, n=1)
            hint = f' (did you mean "{fields[near[0]].name.lower()}"?)' if near else ""
            raise InvalidSpec(f'unknown field "{given}"{hint}', where)
        name = fields[given].name
        if name in result:
            raise InvalidSpec(f'field "{name.lower()}" is given twice, in snake_case and in camelCase', where)
        result[name] = None if item is None else _canonical_field(item, fields[given], where)
    return result


def _canonical_field(value: Any, field: FieldDescriptor, where: str) -> Any:
    if _is_map(field):
        if not isinstance(value, dict):
            raise InvalidSpec("must be an object", where)
        inner = field.message_type.fields_by_name["value"]
        return {key: _canonical_value(item, inner, f"{where}.{key}") for key, item in value.items()}
    if not _is_list(field):
        return _canonical_value(value, field, where)
    if not isinstance(value, list):
        raise InvalidSpec("must be a list", where)
    return [_canonical_value(item, field, f"{where}[{n}]") for n, item in enumerate(value)]


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.label == FieldDescriptor.LABEL_REPEATED)


def _canonical_value(value: Any, field: FieldDescriptor, where: str) -> Any:
    if field.enum_type is not None:
        return _enum(value, field.enum_type, where)
    kind = field.type if field.message_type is None else field.message_type.full_name
    if kind not in SCALARS:
        return canonicalise(value, field.message_type, where)
    what, convert = SCALARS[kind]
    canonical = convert(value)
    if canonical is None:
        raise InvalidSpec(f"must be {what}, not {json.dumps(value)[:80]}", where)
    return canonical


def _enum(value: Any, kind: EnumDescriptor, where: str) -> str:
    names: list[str] = [each.name for each in kind.values]
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


def _integer(low: int, high: int, value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    return value if valid else None


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


_INT64 = ("a whole number", partial(_integer, -(1 << 63), (1 << 63) - 1))
# Type of a field, or name of a message that is one value in JSON -> what it looks like there, and its canonical value
# (None = it is no such thing).
SCALARS: Mapping[int | str, tuple[str, Callable[[Any], Any]]] = {
    FieldDescriptor.TYPE_STRING: ("a string", _string),
    FieldDescriptor.TYPE_BOOL: ("true or false", _bool),
    FieldDescriptor.TYPE_INT32: ("a whole number of 32 bits", partial(_integer, -(1 << 31), (1 << 31) - 1)),
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_UINT64: ("a whole number, not negative", partial(_integer, 0, (1 << 64) - 1)),
    FieldDescriptor.TYPE_FLOAT: ("a number", _float),
    "google.protobuf.Int64Value": _INT64,
    "google.protobuf.Duration": ('a duration such as "60s"', _duration),
    "google.protobuf.Timestamp": ('a time such as "2024-01-02T03:04:05Z"', _timestamp),
}


def render(canonical: Json, message: Descriptor) -> Json:
    """Return the canonical object with the lowerCamelCase names protobuf's JSON mapping prints."""
    fields = message.fields_by_name
    return {fields[name].json_name: _render_field(value, fields[name]) for name, value in canonical.items()}


def _render_field(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is None or field.message_type.full_name in SCALARS or _is_map(field):
        return value
    if _is_list(field):
        return [render(item, field.message_type) for item in value]
    return render(value, field.message_type)
