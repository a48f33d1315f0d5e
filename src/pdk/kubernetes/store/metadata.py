"""What the server does to an object on its way in: names, uid, times, generation, and the rules of single kinds.

Pure functions called by `objects.py` inside its transactions. Mirrors the create and update strategies of
kube-apiserver's registry (rest.BeforeCreate, rest.BeforeUpdate) and of apiextensions' custom resources.
"""

import copy
import datetime
import secrets
from collections.abc import Iterator
from typing import Any

from pdk.base import clock
from pdk.base.ids import new_uuid
from pdk.kubernetes.errors import BadRequest, Cause, ObjectConflict, ObjectInvalid
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import annotation_causes, invalid, label_causes, required
from pdk.kubernetes.kinds.resource import Resource

# The alphabet of generated name suffixes: no vowels, so no words.
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")


def timestamp(moment: datetime.datetime | None = None) -> str:
    """Return a time as Kubernetes metadata has it: `2024-01-02T03:04:05Z`."""
    return (moment or clock.now()).astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_shape(resource: Resource, obj: JsonObject) -> None:
    """Raise BadRequest unless metadata and its maps and lists have the types every later step relies on."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        raise _unreadable(resource, "metadata", "ObjectMeta", metadata)
    for field in ("name", "generateName", "namespace", "uid", "resourceVersion"):
        if not isinstance(metadata.get(field) or "", str):
            raise _unreadable(resource, f"ObjectMeta.metadata.{field}", "string", metadata[field])
    for field in ("labels", "annotations"):
        entries = metadata.get(field) or {}
        if not isinstance(entries, dict):
            raise _unreadable(resource, f"ObjectMeta.metadata.{field}", "map[string]string", entries)
        for value in entries.values():
            if not isinstance(value, str):
                raise _unreadable(resource, f"ObjectMeta.metadata.{field}", "string", value)
    for field, item_type in (("finalizers", str), ("ownerReferences", dict), ("managedFields", dict)):
        items = metadata.get(field) or []
        if not isinstance(items, list) or not all(isinstance(item, item_type) for item in items):
            raise _unreadable(resource, f"ObjectMeta.metadata.{field}", "[]" + item_type.__name__, items)


def _unreadable(resource: Resource, field: str, wanted: str, value: Any) -> BadRequest:
    names = {str: "string", int: "number", float: "number", bool: "bool", list: "array", dict: "object"}
    found = names.get(type(value), "null")
    return BadRequest(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"
    )


def prepare_create(resource: Resource, obj: JsonObject, keep_status: bool) -> JsonObject:
    """Return a copy of `obj` with the metadata the server gives a new object. Raises ObjectInvalid or BadRequest."""
    check_shape(resource, obj)
    created = {"apiVersion": resource.api_version, "kind": resource.kind, **copy.deepcopy(obj)}
    metadata = _compact({k: v for k, v in created["metadata"].items() if k not in (*SERVER_OWNED, "resourceVersion")})
    if not metadata.get("name") and metadata.get("generateName"):
        prefix = metadata["generateName"][: 63 - 5]
        metadata["name"] = prefix + "".join(secrets.choice(NAME_LETTERS) for _ in range(5))
    if not resource.namespaced:
        metadata.pop("namespace", None)
    metadata |= {"uid": new_uuid(), "creationTimestamp": timestamp()}
    if resource.has_generation:
        metadata["generation"] = 1
    created["metadata"] = metadata
    if resource.has_status and not keep_status:
        created.pop("status", None)
    resource.settle(created)
    check_rules(resource, created)
    return created


def prepare_update(resource: Resource, old: JsonObject, new: JsonObject) -> JsonObject:
    """Return `new` with what only the server sets taken from `old`. Raises ObjectInvalid, BadRequest, ObjectConflict.

    A missing or equal resourceVersion passes (the caller decides whether it may be missing); generation goes up by one
    when anything outside metadata and status differs.
    """
    check_shape(resource, new)
    check_version(resource, old, new["metadata"])
    updated = {**copy.deepcopy(new), "apiVersion": resource.api_version, "kind": resource.kind}
    kept = {key: old["metadata"][key] for key in (*SERVER_OWNED, "resourceVersion") if key in old["metadata"]}
    updated["metadata"] = _compact({k: v for k, v in updated["metadata"].items() if k not in SERVER_OWNED} | kept)
    if "managedFields" not in updated["metadata"] and "managedFields" in old["metadata"]:
        updated["metadata"]["managedFields"] = old["metadata"]["managedFields"]
    resource.settle(updated)
    if resource.has_generation and desired(old) != desired(updated):
        updated["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
    check_rules(resource, updated)
    _check_immutable(resource, old, updated)
    return updated


def check_version(resource: Resource, old: JsonObject, claimed: JsonObject) -> None:
    """Raise ObjectConflict when the resourceVersion or uid of `claimed` metadata is not the stored object's."""
    name = old["metadata"]["name"]
    if claimed.get("uid") and claimed["uid"] != old["metadata"]["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {claimed['uid']}, UID in object meta: {old['metadata']['uid']}"
        )
        raise ObjectConflict(resource.key, name, why)
    if claimed.get("resourceVersion") and claimed["resourceVersion"] != old["metadata"]["resourceVersion"]:
        raise ObjectConflict(resource.key, name)


def desired(obj: JsonObject) -> JsonObject:
    """Return what counts for the generation: all but identity, metadata and status."""
    return {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata", "status")}


def same(old: JsonObject, new: JsonObject) -> bool:
    """Tell whether writing `new` over `old` would change nothing a reader can see."""
    return _comparable(old) == _comparable(new)


def _comparable(obj: JsonObject) -> JsonObject:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    managers = [entry | {"time": None} for entry in obj["metadata"].get("managedFields", [])]
    return obj | {"metadata": metadata | {"managedFields": managers}}


def _compact(metadata: JsonObject) -> JsonObject:
    """Drop empty and null metadata, which the typed structs of the original never show."""
    return {key: value for key, value in metadata.items() if value not in (None, "", {}, [])}


def check_rules(resource: Resource, obj: JsonObject) -> None:
    """Raise ObjectInvalid with every rule of names, labels, annotations and owners that `obj` breaks."""
    metadata = obj["metadata"]
    causes = [
        *_name_causes(resource, metadata),
        *label_causes(metadata.get("labels", {})),
        *annotation_causes(metadata.get("annotations", {})),
        *_owner_causes(metadata),
        *_finalizer_causes(metadata),
    ]
    if causes:
        raise ObjectInvalid(resource.qualified_kind, metadata.get("name", ""), causes)


def _name_causes(resource: Resource, metadata: JsonObject) -> Iterator[Cause]:
    if not metadata.get("name"):
        yield required("metadata.name", "name or generateName is required")
        return
    problem = resource.name_problem(metadata["name"])
    if problem:
        yield invalid("metadata.name", metadata["name"], problem)


def _owner_causes(metadata: JsonObject) -> Iterator[Cause]:
    for index, reference in enumerate(metadata.get("ownerReferences", [])):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not isinstance(reference.get(field), str) or not reference[field]:
                yield required(f"metadata.ownerReferences[{index}].{field}", f"{field} must not be empty")


def _finalizer_causes(metadata: JsonObject) -> Iterator[Cause]:
    for finalizer in metadata.get("finalizers", []):
        if not all(part for part in finalizer.split("/")) or len(finalizer) > 253:
            yield invalid("metadata.finalizers", finalizer, "name part must be non-empty")


def _check_immutable(resource: Resource, old: JsonObject, new: JsonObject) -> None:
    causes = []
    for field in ("name", "namespace"):
        if new["metadata"].get(field, "") != old["metadata"].get(field, ""):
            causes.append(invalid(f"metadata.{field}", new["metadata"].get(field, ""), "field is immutable"))
    causes += resource.change_causes(old, new)
    added = [
        item for item in new["metadata"].get("finalizers", []) if item not in old["metadata"].get("finalizers", [])
    ]
    if added and old["metadata"].get("deletionTimestamp"):
        problem = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
        causes.append(Cause("FieldValueForbidden", f"Forbidden: {problem}", "metadata.finalizers"))
    if causes:
        raise ObjectInvalid(resource.qualified_kind, old["metadata"]["name"], causes)
