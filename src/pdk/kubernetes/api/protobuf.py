"""Reads the protobuf request bodies that kubectl sends for `create secret`, `create configmap`, `auth can-i` and so on.

kubectl speaks protobuf for built-in kinds whatever discovery says, and does not fall back to JSON. Only requests are
read; answers are JSON, which it accepts. The field numbers are those of the kinds' generated.proto; the table names the
fields that are read, all others are skipped. Called by `bodies.py`. By hand: with `google.protobuf`
it is no shorter, starts later, and takes a field of the wrong wire type for an unknown one, which Go's decoders refuse.
"""

import base64
from collections.abc import Iterator
from typing import Any

from pdk.kubernetes.errors import BadRequest, UnsupportedMediaType
from pdk.kubernetes.kinds.json_object import JsonObject

MAGIC = b"k8s\0"

Wire = int | bytes

# Messages by name, those that are bodies by `<apiVersion> <kind>`: the name of each field under its number and, where
# it is not text, what it holds: `bool`, `bytes` or a message, `[]` a list of what follows, `{}` a map from text to it.
MESSAGES: dict[str, dict[int, str | tuple[str, str]]] = {
    "ObjectMeta": {
        1: "name",
        2: "generateName",
        3: "namespace",
        5: "uid",
        6: "resourceVersion",
        11: ("labels", "{}text"),
        12: ("annotations", "{}text"),
        13: ("ownerReferences", "[]OwnerReference"),
        14: ("finalizers", "[]text"),
    },
    "OwnerReference": {
        1: "kind",
        3: "name",
        4: "uid",
        5: "apiVersion",
        6: ("controller", "bool"),
        7: ("blockOwnerDeletion", "bool"),
    },
    "ObjectReference": {
        1: "kind",
        2: "namespace",
        3: "name",
        4: "uid",
        5: "apiVersion",
        6: "resourceVersion",
        7: "fieldPath",
    },
    "LocalObjectReference": {1: "name"},
    "v1 Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "{}bytes"),
        3: "type",
        4: ("stringData", "{}text"),
        5: ("immutable", "bool"),
    },
    "v1 ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "{}text"),
        3: ("binaryData", "{}bytes"),
        4: ("immutable", "bool"),
    },
    "NamespaceSpec": {1: ("finalizers", "[]text")},
    "NamespaceStatus": {1: "phase"},
    "v1 Namespace": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "NamespaceSpec"),
        3: ("status", "NamespaceStatus"),
    },
    "v1 ServiceAccount": {
        1: ("metadata", "ObjectMeta"),
        2: ("secrets", "[]ObjectReference"),
        3: ("imagePullSecrets", "[]LocalObjectReference"),
        4: ("automountServiceAccountToken", "bool"),
    },
    "ResourceAttributes": {
        1: "namespace",
        2: "verb",
        3: "group",
        4: "version",
        5: "resource",
        6: "subresource",
        7: "name",
    },
    "NonResourceAttributes": {1: "path", 2: "verb"},
    "SelfSubjectAccessReviewSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "authorization.k8s.io/v1 SelfSubjectAccessReview": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "SelfSubjectAccessReviewSpec"),
    },
    "SelfSubjectRulesReviewSpec": {1: "namespace"},
    "authorization.k8s.io/v1 SelfSubjectRulesReview": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "SelfSubjectRulesReviewSpec"),
    },
    "authentication.k8s.io/v1 SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
    "Preconditions": {1: "uid", 2: "resourceVersion"},
    "v1 DeleteOptions": {
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"),
        4: "propagationPolicy",
        5: ("dryRun", "[]text"),
    },
}


def decode(body: bytes) -> JsonObject:
    """Return the object of a body that starts with `k8s\\0`, in its JSON form.

    Raises BadRequest for one that is not protobuf, UnsupportedMediaType for a kind that is not in the table.
    """
    if not body.startswith(MAGIC):
        raise BadRequest("the protobuf body does not start with the Kubernetes prefix")
    unknown = dict(_fields(body[len(MAGIC) :]))
    type_meta = dict(_fields(_bytes(unknown.get(1, b""))))
    api_version, kind = _text(type_meta.get(1, b"")), _text(type_meta.get(2, b""))
    message = f"{api_version} {kind}"
    if message not in MESSAGES:
        what = f"{kind or 'this kind'} of {api_version or 'no version'}"
        raise UnsupportedMediaType(f"{what} is not read as protobuf; send it as application/json")
    return {"apiVersion": api_version, "kind": kind} | _decode(message, _bytes(unknown.get(2, b"")))


def _decode(message: str, data: bytes) -> JsonObject:
    obj: JsonObject = {}
    for number, wire in _fields(data):
        field = MESSAGES[message].get(number, "")
        name, kind = (field, "text") if isinstance(field, str) else field
        if not name:
            continue
        if kind.startswith("[]"):
            obj.setdefault(name, []).append(_value(kind[2:], wire))
        elif kind.startswith("{}"):
            entry = dict(_fields(_bytes(wire)))
            obj.setdefault(name, {})[_text(entry.get(1, b""))] = _value(kind[2:], entry.get(2, b""))
        # The generated encoders write empty fields too; as JSON they are absent.
        elif (value := _value(kind, wire)) not in ("", {}):
            obj[name] = value
    return obj


def _value(kind: str, wire: Wire) -> Any:
    match kind:
        case "text":
            return _text(wire)
        case "bytes":
            return base64.b64encode(_bytes(wire)).decode()
        case "bool":
            return bool(wire)
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
