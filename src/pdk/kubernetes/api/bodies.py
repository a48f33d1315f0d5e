"""Reads request bodies into JSON objects: JSON, YAML and kubectl's protobuf, with limits against hostile ones.

Called by the handlers that take an object or a patch. Refuses what later steps could not hold: too deep, not a number,
not UTF-8, half a surrogate pair.
"""

import json
from typing import Any

from pdk.kubernetes.api import protobuf
from pdk.kubernetes.api.field_validation import FieldValidation
from pdk.kubernetes.api.http import Request
from pdk.kubernetes.errors import BadRequest, UnsupportedMediaType
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.web import json_text
from pdk.web.answers import JSON_TYPE
from pdk.web.json_text import Fault, UnsafeJson
from pdk.web.yaml_text import load_document

# Bytes of a request body, as kube-apiserver's limit.
BODY_LIMIT = 3 * 1024 * 1024
DEPTH_LIMIT = 64
PROTOBUF = "application/vnd.kubernetes.protobuf"
YAML = "application/yaml"
# What is said about a body that is no safe JSON.
NO_JSON = "couldn't get version/kind; json parse error"
FAULTS = {
    Fault.CONSTANT: f"{NO_JSON}: invalid character '{{}}' looking for beginning of value",
    Fault.DEPTH: f"the body is nested more than {DEPTH_LIMIT} levels deep",
    Fault.DUPLICATE: 'strict decoding error: duplicate field "{}"',
    Fault.RANGE: f"{NO_JSON}: number {{}} out of range",
    Fault.SURROGATE: "the body holds half of a surrogate pair, which is no character",
}


def read_object(request: Request) -> JsonObject:
    """Return the object in the body of a POST or PUT. Raises BadRequest or UnsupportedMediaType."""
    kind = request.content_type or JSON_TYPE
    if kind == PROTOBUF:
        return protobuf.decode(request.body)
    if kind not in (JSON_TYPE, YAML):
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - "
            f"accepted media types include: {JSON_TYPE}, {YAML}, {PROTOBUF}"
        )
    return as_object(read_json(request) if kind == JSON_TYPE else read_yaml(request.body))


def as_object(value: Any) -> JsonObject:
    """Return `value` when it is a JSON object. Raises BadRequest otherwise."""
    if not isinstance(value, dict):
        raise BadRequest(f"{NO_JSON}: the body must be a JSON object")
    return value


def read_json(request: Request) -> Any:
    """Return the JSON value of a body; duplicate fields are an error when the client asked for strict validation."""
    return parse_json(request.body, unique_keys=request.query.get("fieldValidation") == FieldValidation.STRICT)


def parse_json(body: bytes, unique_keys: bool = False) -> Any:
    """Parse JSON within the limits. Raises BadRequest."""
    if not body.strip():
        raise BadRequest("the request body is empty; an object is required")
    try:
        return json_text.parse(body, max_depth=DEPTH_LIMIT, unique_keys=unique_keys)
    except UnsafeJson as error:
        raise _refusal(error) from None


def read_yaml(body: bytes) -> Any:
    """Parse YAML (or JSON, which is YAML) without tags, and without aliases, which can grow a small text endlessly."""
    try:
        value = load_document(body.decode())
        # Through JSON, so that keys are text and nothing but JSON types is left.
        text = json.dumps(value, allow_nan=False).encode()
    except (RecursionError, TypeError, ValueError) as error:
        raise BadRequest(f"error converting YAML to JSON: {error}") from None
    return parse_json(text)


def check_value(value: Any) -> None:
    """Raise BadRequest when a value is nested too deeply or holds text that is no Unicode."""
    try:
        json_text.check_value(value, DEPTH_LIMIT)
    except UnsafeJson as error:
        raise _refusal(error) from None


def _refusal(error: UnsafeJson) -> BadRequest:
    return BadRequest(FAULTS.get(error.fault, NO_JSON + ": {}").format(error.text))
