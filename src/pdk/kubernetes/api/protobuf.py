"""Reads the protobuf request bodies that kubectl sends for `create secret`, `create configmap`, `auth can-i` and the like.

kubectl speaks protobuf for built-in kinds whatever discovery says, and does not fall back to JSON. Only requests are
read; answers are JSON, which it accepts. The field numbers are those of the kinds' generated.proto; one table says how
the fields of each message become JSON. Called by `bodies.py`.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pdk.kubernetes.errors import BadRequest, UnsupportedMediaType

MAGIC = b"k8s\0"

Wire = int | bytes


@dataclass(frozen=True)
class Field:
    """How one field of a message becomes JSON: its name, and `text`, `bool`, `int`, `bytes`, `time` or a message name.

    `shape` is `one`, `list`, or `map` (keys are text, `kind` is the kind of the values).
    """

    name: str
    kind: str = "text"
    shape: str = "one"


MESSAGES: dict[str, dict[int, Field]] = {
    "ObjectMeta": {
        1: Field("name"),
        2: Field("generateName"),
        3: Field("namespace"),
        5: Field("uid"),
        6: Field("resourceVersion"),
        8: Field("creationTimestamp", "time"),
        11: Field("labels", "text", "map"),
        12: Field("annotations", "text", "map"),
        13: Field("ownerReferences", "OwnerReference", "list"),
        14: Field("finalizers", "text", "list"),
    },
    "OwnerReference": {
        1: Field("kind"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("controller", "bool"),
        7: Field("blockOwnerDeletion", "bool"),
    },
    "ObjectReference": {
        1: Field("kind"),
        2: Field("namespace"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("resourceVersion"),
        7: Field("fieldPath"),
    },
    "LocalObjectReference": {1: Field("name")},
    "v1 Secret": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("data", "bytes", "map"),
        3: Field("type"),
        4: Field("stringData", "text", "map"),
        5: Field("immutable", "bool"),
    },
    "v1 ConfigMap": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("data", "text", "map"),
        3: Field("binaryData", "bytes", "map"),
        4: Field("immutable", "bool"),
    },
    "NamespaceSpec": {1: Field("finalizers", "text", "list")},
    "NamespaceStatus": {1: Field("phase")},
    "v1 Namespace": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("spec", "NamespaceSpec"),
        3: Field("status", "NamespaceStatus"),
    },
    "v1 ServiceAccount": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("secrets", "ObjectReference", "list"),
        3: Field("imagePullSecrets", "LocalObjectReference", "list"),
        4: Field("automountServiceAccountToken", "bool"),
    },
    "ResourceAttributes": {
        1: Field("namespace"),
        2: Field("verb"),
        3: Field("group"),
        4: Field("version"),
        5: Field("resource"),
        6: Field("subresource"),
        7: Field("name"),
    },
    "NonResourceAttributes": {1: Field("path"), 2: Field("verb")},
    "SelfSubjectAccessReviewSpec": {
        1: Field("resourceAttributes", "ResourceAttributes"),
        2: Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "authorization.k8s.io/v1 SelfSubjectAccessReview": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("spec", "SelfSubjectAccessReviewSpec"),
    },
    "SelfSubjectRulesReviewSpec": {1: Field("namespace")},
    "authorization.k8s.io/v1 SelfSubjectRulesReview": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("spec", "SelfSubjectRulesReviewSpec"),
    },
    "authentication.k8s.io/v1 SelfSubjectReview": {1: Field("metadata", "ObjectMeta")},
    "Preconditions": {1: Field("uid"), 2: Field("resourceVersion")},
    "v1 DeleteOptions": {
        1: Field("gracePeriodSeconds", "int"),
        2: Field("preconditions", "Preconditions"),
        3: Field("orphanDependents", "bool"),
        4: Field("propagationPolicy"),
        5: Field("dryRun", "text", "list"),
    },
}
"""Messages by name; top-level ones are `<apiVersion> <kind>`."""


def decode(body: bytes) -> dict[str, Any]:
    """Return the object of a body that starts with `k8s\\0`, in its JSON form; raise BadRequest, UnsupportedMediaType."""
    if not body.startswith(MAGIC):
        raise BadRequest("the protobuf body does not start with the Kubernetes prefix")
    unknown = dict(_fields(body[len(MAGIC) :]))
    type_meta = dict(_fields(_bytes(unknown.get(1, b""))))
    api_version, kind = _text(type_meta.get(1, b"")), _text(type_meta.get(2, b""))
    message = f"{api_version} {kind}"
    if message not in MESSAGES:
        raise UnsupportedMediaType(
            f"{kind or 'this kind'} of {api_version or 'no version'} is not read as protobuf; send it as application/json"
        )
    return {"apiVersion": api_version, "kind": kind} | _decode(message, _bytes(unknown.get(2, b"")))


def _decode(message: str, data: bytes) -> dict[str, Any]:
    obj: dict[str, Any] = {}
    for number, wire in _fields(data):
        field = MESSAGES[message].get(number)
        if field is None:
            continue
        if field.shape == "list":
            obj.setdefault(field.name, []).append(_value(field.kind, wire))
        elif field.shape == "map":
            entry = dict(_fields(_bytes(wire)))
            obj.setdefault(field.name, {})[_text(entry.get(1, b""))] = _value(field.kind, entry.get(2, b""))
        else:
            value = _value(field.kind, wire)
            # The generated encoders write empty fields too; as JSON they are absent.
            if value not in ("", None, {}):
                obj[field.name] = value
    return obj


def _value(kind: str, wire: Wire) -> Any:
    match kind:
        case "text":
            return _text(wire)
        case "bytes":
            return base64.b64encode(_bytes(wire)).decode()
        case "bool":
            return bool(wire)
        case "int":
            return wire if isinstance(wire, int) else 0
        case "time":
            return None  # only the server sets times
        case _:
            return _decode(kind, _bytes(wire))


def _text(wire: Wire) -> str:
    try:
        return _bytes(wire).decode()
    except UnicodeDecodeError:
        raise BadRequest("a string of the protobuf body is not UTF-8") from None


def _bytes(wire: Wire) -> bytes:
    if isinstance(wire, int):
        raise BadRequest("a number stands where the protobuf body must have a message or text")
    return wire


def _fields(data: bytes) -> Iterator[tuple[int, Wire]]:
    """Yield (field number, value) of one message: varints as int, everything else as bytes."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        if tag & 7 == 0:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            size, position = _varint(data, position)
        elif tag & 7 in (1, 5):
            size = 8 if tag & 7 == 1 else 4
        else:
            raise BadRequest(f"wire type {tag & 7} in the protobuf body is not known")
        if size > len(data) - position:
            raise BadRequest("the protobuf body ends in the middle of a field")
        yield tag >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise BadRequest("the protobuf body ends in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BadRequest("a number of the protobuf body is too long")
