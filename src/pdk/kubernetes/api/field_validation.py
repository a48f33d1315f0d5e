"""Unknown fields and wrong types: strict, warned about, or ignored, as the client asks.

Called by the object handlers on the way in. Mirrors kube-apiserver's handling of `?fieldValidation=` for custom
resources with a structural schema: unknown fields are pruned unless that is an error, wrong types are always one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pdk.kubernetes.errors import BadRequest, Cause, ObjectInvalid
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource
from pdk.kubernetes.kinds.schemas import Schema

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_TYPE_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


class FieldValidation(StrEnum):
    """What is done about fields a kind does not have."""

    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


@dataclass
class _Findings:
    unknown: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)


def validate_fields(resource: Resource, schema: Schema, obj: JsonObject, mode: str) -> tuple[JsonObject, list[str]]:
    """Return `obj` without the fields its kind does not have, and a warning for each of them unless `mode` is Ignore.

    Raises BadRequest in mode Strict for unknown fields, ObjectInvalid for values of the wrong type.
    """
    if mode not in tuple(FieldValidation):
        raise BadRequest(f'fieldValidation: Unsupported value: "{mode}": supported values: "Ignore", "Strict", "Warn"')
    findings = _Findings()
    pruned = _check(schema, obj, "", findings)
    if findings.causes:
        raise ObjectInvalid(resource.qualified_kind, str(obj.get("metadata", {}).get("name", "")), findings.causes)
    problems = [f'unknown field "{path}"' for path in findings.unknown]
    if problems and mode == FieldValidation.STRICT:
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"strict decoding error: {', '.join(problems)}"
        )
    return pruned, problems if mode == FieldValidation.WARN else []


def _check(schema: Schema, value: Any, path: str, findings: _Findings) -> Any:
    """Return `value` without unknown fields, noting what is wrong with it."""
    wanted = schema.get("type")
    if wanted and not _is_type(value, wanted):
        findings.causes.append(_type_cause(path, wanted, value))
        return value
    if "properties" in schema and isinstance(value, dict):
        return dict(_check_fields(schema, value, path, findings))
    if "additionalProperties" in schema and isinstance(value, dict):
        values = schema["additionalProperties"]
        return {key: _check(values, child, f"{path}.{key}", findings) for key, child in value.items()}
    if "items" in schema and isinstance(value, list):
        return [_check(schema["items"], child, f"{path}[{index}]", findings) for index, child in enumerate(value)]
    return value


def _check_fields(schema: Schema, value: JsonObject, path: str, findings: _Findings) -> Iterator[tuple[str, Any]]:
    prefix = f"{path}." if path else ""
    for name in schema.get("required", ()):
        if value.get(name) is None:
            findings.causes.append(Cause("FieldValueRequired", "Required value", f"{prefix}{name}"))
    for key, child in value.items():
        known = schema["properties"].get(key)
        if known is None:
            findings.unknown.append(f"{prefix}{key}")
        elif child is not None:  # a null is an absent field
            yield key, _check(known, child, f"{prefix}{key}", findings)


def _is_type(value: Any, wanted: str) -> bool:
    return isinstance(value, _TYPES[wanted]) and not (wanted == "integer" and isinstance(value, bool))


def _type_cause(path: str, wanted: str, value: Any) -> Cause:
    found = _TYPE_NAMES[type(value)]
    message = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
    return Cause("FieldValueTypeInvalid", message, path)
