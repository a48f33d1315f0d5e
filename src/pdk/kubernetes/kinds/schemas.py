"""OpenAPI v3 schemas as plain dicts: how kinds say what their fields are.

The one table behind field validation, `kubectl explain` and OpenAPI. What the server does not look into is an object
that takes any field.
"""

from collections.abc import Mapping

from pdk.kubernetes.kinds.json_object import JsonObject

Schema = JsonObject

# The lists a strategic merge patch merges, by field name, with the field that tells their items apart; items of those
# without one are plain values, which merge as sets. Every other list is replaced. Go's structs carry these as tags.
MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "finalizers": "",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "secrets": "name",
    "Service.ports": "port",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


def string(description: str = "") -> Schema:
    """Return the schema of text."""
    return _described({"type": "string"}, description)


def integer(description: str = "") -> Schema:
    """Return the schema of a whole number."""
    return _described({"type": "integer"}, description)


def boolean(description: str = "") -> Schema:
    """Return the schema of true or false."""
    return _described({"type": "boolean"}, description)


def array(items: Schema, description: str = "") -> Schema:
    """Return the schema of a list."""
    return _described({"type": "array", "items": items}, description)


def merged_list(name: str, items: Schema, description: str = "") -> dict[str, Schema]:
    """Return the field `name`: a list that a strategic merge patch merges as `MERGE_KEYS` says."""
    schema = array(items, description) | {"x-kubernetes-patch-strategy": "merge"}
    return {name: schema | ({"x-kubernetes-patch-merge-key": MERGE_KEYS[name]} if MERGE_KEYS[name] else {})}


def obj(properties: dict[str, Schema], description: str = "", required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with these fields and no others."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return _described(schema, description)


def any_object(description: str = "") -> Schema:
    """Return the schema of an object that may have any field."""
    return _described({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, description)


def string_map(description: str = "") -> Schema:
    """Return the schema of a map of text to text."""
    return _described({"type": "object", "additionalProperties": {"type": "string"}}, description)


def _described(schema: Schema, description: str) -> Schema:
    return schema | {"description": description} if description else schema


def named(kind: Schema, *names: str) -> dict[str, Schema]:
    """Return fields that have the same schema."""
    return dict.fromkeys(names, kind)


def quantities(description: str = "") -> Schema:
    """Return the schema of a map of text to amounts: `1`, `500m`, `2Gi`."""
    value = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    return {"type": "object", "description": description, "additionalProperties": value}


def metadata_schema() -> Schema:
    """Return the schema of metadata."""
    reference = obj(
        {
            **named(string(), "apiVersion", "kind", "name", "uid"),
            **named(boolean(), "controller", "blockOwnerDeletion"),
        },
        "An object that owns this one.",
        ("apiVersion", "kind", "name", "uid"),
    )
    return obj(
        {
            "name": string("Name of the object, unique among its kind in its namespace."),
            "generateName": string("Prefix of a name the server completes."),
            "namespace": string("Namespace of the object."),
            "labels": string_map("What the object is selected by."),
            "annotations": string_map("Notes on the object."),
            **merged_list("finalizers", string(), "What has to happen before a deleted object is gone."),
            **merged_list("ownerReferences", reference, "The object goes when all of these are gone."),
            "managedFields": array(any_object(), "Who set which field."),
            **named(string(), "creationTimestamp", "deletionTimestamp", "resourceVersion", "selfLink", "uid"),
            **named(integer(), "deletionGracePeriodSeconds", "generation"),
        },
        "Name, labels and what else every object has.",
    )


def kind_schema(fields: Mapping[str, Schema], description: str) -> Schema:
    """Return the schema of the objects of a kind that has these fields beside metadata."""
    return obj(
        {
            "apiVersion": string("Group and version of the kind."),
            "kind": string("The kind of the object."),
            "metadata": metadata_schema(),
            **fields,
        },
        description,
    )
