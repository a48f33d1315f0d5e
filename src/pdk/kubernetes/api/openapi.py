"""OpenAPI v3 documents, one for each group version, generated from the resource registry.

kubectl refuses to create or apply anything without them: it looks for the kind, and for the `fieldValidation` parameter
on its PATCH path, which tells it to leave validation to the server. `kubectl explain` prints the schemas. OpenAPI v2 is
an empty document: kubectl reads it, as protobuf, only when v3 lacks a kind, and with nothing in it says what is true,
that there is no such kind.
"""

import hashlib

from starlette.responses import Response

from pdk.kubernetes.api.discovery import VERSION
from pdk.kubernetes.api.http import Request, encode, json_response, response
from pdk.kubernetes.api.routes import collection_path
from pdk.kubernetes.errors import PathNotFound
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource, Resources
from pdk.web.answers import JSON_TYPE
from pdk.web.routing import route

PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


class OpenApi:
    """Builds each document when it is first asked for and keeps it."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._documents: dict[str, bytes] = {}

    @route("GET", "/openapi/v2")
    def version_2(self, request: Request) -> Response:
        """Answer `/openapi/v2`."""
        # openapi.v2.Document {swagger: 1, info: 2 {title: 1, version: 2}}
        info = _text_field(1, "Kubernetes") + _text_field(2, VERSION["gitVersion"])
        return response(_text_field(1, "2.0") + b"\x12" + bytes([len(info)]) + info, PROTOBUF_V2)

    @route("GET", "/openapi/v3")
    def index(self, request: Request) -> Response:
        """Answer `/openapi/v3`."""
        paths = {}
        for group, version in self._resources.group_versions():
            name = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(self._document(group, version)).hexdigest()[:32].upper()
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
        return json_response({"paths": paths})

    @route("GET", "/openapi/v3/api/{version}")
    @route("GET", "/openapi/v3/apis/{group}/{version}")
    def document(self, request: Request, version: str, group: str = "") -> Response:
        """Answer the document of a group version."""
        if (group, version) not in self._resources.group_versions():
            raise PathNotFound
        return response(self._document(group, version), JSON_TYPE)

    def _document(self, group: str, version: str) -> bytes:
        key = f"{group}/{version}"
        if key not in self._documents:
            self._documents[key] = encode(build_document(self._resources.of(group, version)))
        return self._documents[key]


def build_document(resources: list[Resource]) -> JsonObject:
    """Return the OpenAPI v3 document of the resources of one group version."""
    paths: JsonObject = {}
    schemas: JsonObject = {}
    for resource in resources:
        name = schema_name(resource)
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        schemas[name] = resource.schema | {"x-kubernetes-group-version-kind": [kind]}
        collection = collection_path(resource)
        paths[collection] = _operations(resource, kind, ("get", "post"))
        paths[f"{collection}/{{name}}"] = _operations(resource, kind, ("get", "put", "patch", "delete"))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def schema_name(resource: Resource) -> str:
    """Return the component name of a resource's schema: the group reversed, version, kind."""
    group = resource.group or "core.api.k8s.io"
    return ".".join([*reversed(group.split(".")), resource.version, resource.kind])


_ACTIONS = {"get": "get", "post": "post", "put": "put", "patch": "patch", "delete": "delete"}
_PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_STRATEGIC = "application/strategic-merge-patch+json"


def _operations(resource: Resource, kind: JsonObject, methods: tuple[str, ...]) -> JsonObject:
    return {method: _operation(resource, kind, method) for method in methods}


def _operation(resource: Resource, kind: JsonObject, method: str) -> JsonObject:
    reference = {"$ref": f"#/components/schemas/{schema_name(resource)}"}
    content = {"application/json": {"schema": reference}}
    operation: JsonObject = {
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": _ACTIONS[method],
        "x-kubernetes-group-version-kind": kind,
    }
    if method in ("post", "put", "patch"):
        operation["parameters"] = [_query("dryRun"), _query("fieldManager"), _query("fieldValidation")]
    if method in ("post", "put"):
        operation["requestBody"] = {"required": True, "content": content}
    if method == "patch":
        types = _PATCH_TYPES if resource.is_custom else (*_PATCH_TYPES, _STRATEGIC)
        patch = {"schema": {"type": "object"}}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(types, patch)}
    return operation


def _query(name: str) -> JsonObject:
    return {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}


def _text_field(number: int, text: str) -> bytes:
    """Encode a short protobuf string field."""
    return bytes([number << 3 | 2, len(text)]) + text.encode()
