"""Reads request bodies into JSON objects: JSON, YAML and kubectl's protobuf, with limits against hostile ones.

Called by the handlers that take an object or a patch. Refuses what later steps could not hold: too deep, not a number,
not UTF-8, half a surrogate pair.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

from pdk.kubernetes.api import protobuf
from pdk.kubernetes.api.http import JSON, Request
from pdk.kubernetes.errors import BadRequest, UnsupportedMediaType

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request body, as kube-apiserver's limit."""
DEPTH_LIMIT = 64
PROTOBUF = "application/vnd.kubernetes.protobuf"
YAML = "application/yaml"

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_object(request: Request) -> dict[str, Any]:
    """Return the object in the body of a POST or PUT; raise BadRequest or UnsupportedMediaType."""
    kind = request.content_type or JSON
    if kind == PROTOBUF:
        return protobuf.decode(request.body)
    if kind not in (JSON, YAML):
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {JSON}, {YAML}, {PROTOBUF}"
        )
    return as_object(read_json(request) if kind == JSON else read_yaml(request.body))


def as_object(value: Any) -> dict[str, Any]:
    """Return `value` when it is a JSON object; raise BadRequest otherwise."""
    if not isinstance(value, dict):
        raise BadRequest("couldn't get version/kind; json parse error: the body must be a JSON object")
    return value


def read_json(request: Request) -> Any:
    """Return the JSON value of a body; duplicate fields are an error when the client asked for strict validation."""
    strict = request.query.get("fieldValidation") == "Strict"
    return parse_json(request.body, _refuse_duplicates if strict else None)


def parse_json(body: bytes, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None) -> Any:
    """Parse JSON within the limits; raise BadRequest."""
    if not body.strip():
        raise BadRequest("the request body is empty; an object is required")
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=pairs, parse_constant=_refuse_constant, parse_float=_finite_float
        )
    except RecursionError:
        raise BadRequest(f"the body is nested more than {DEPTH_LIMIT} levels deep") from None
    except ValueError as error:
        # UnicodeDecodeError and JSONDecodeError are ValueErrors; so is an integer of thousands of digits.
        raise BadRequest(f"couldn't get version/kind; json parse error: {error}") from None
    check_value(value, bool(_SURROGATE.search(body)))
    return value


def read_yaml(body: bytes) -> Any:
    """Parse YAML (or JSON, which is YAML) without tags, and without aliases, which can grow a small text without end."""
    # Only apply patches and hand-made requests are YAML: the 30 ms of the import stay out of every server start.
    import yaml  # noqa: PLC0415

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not allowed")
            return super().compose_node(parent, index)

    # Times stay text, as in Kubernetes' own YAML.
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        value = yaml.load(body.decode(), Loader)
        # Through JSON, so that keys are text and nothing but JSON types is left.
        return parse_json(json.dumps(value, allow_nan=False).encode())
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise BadRequest(f"error converting YAML to JSON: {error}") from None


def check_value(value: Any, may_have_surrogates: bool = True) -> None:
    """Raise BadRequest when a value is nested too deeply or holds text that is no Unicode."""
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [child for item in level for child in _children(item)]
        if not level:
            break
    else:
        raise BadRequest(f"the body is nested more than {DEPTH_LIMIT} levels deep")
    if may_have_surrogates:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadRequest("the body holds half of a surrogate pair, which is no character") from None


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, (dict, list))]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, (dict, list))]
    return []


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f'strict decoding error: duplicate field "{twice}"')
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"invalid character {name!r} looking for beginning of value")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} out of range")
    return value
