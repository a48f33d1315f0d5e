"""Applies the body of a PATCH request to an object, by the kind of patch its Content-Type names.

Called by the object handlers. Mirrors kube-apiserver's patch handler: strategic merge patches for built-in kinds only.
"""

import copy
from collections.abc import Callable
from typing import Any

from pdk.kubernetes.api.bodies import as_object, check_value, read_json, read_yaml
from pdk.kubernetes.api.http import Request
from pdk.kubernetes.api.json_patches import json_patch
from pdk.kubernetes.api.strategic_merge import strategic_merge
from pdk.kubernetes.errors import BadRequest, UnsupportedMediaType
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource
from pdk.web.merge_patch import merge_patch

Change = Callable[[JsonObject], JsonObject]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def read_patch(resource: Resource, request: Request) -> Change:
    """Return the function that applies the patch in the body. Raises BadRequest, UnsupportedMediaType.

    The function raises BadRequest or ObjectInvalid for an object the patch does not fit. Apply patches are not for it:
    they need to know who owns which field.
    """
    accepted = (
        [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
        if resource.is_custom
        else [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
    )
    if request.content_type not in accepted:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        )
    patch = read_json(request)
    if request.content_type == JSON_PATCH:
        return _checked(lambda obj: json_patch(obj, patch))
    if not isinstance(patch, dict):
        raise BadRequest(f"the body of a patch of type {request.content_type} must be an object")
    if request.content_type == MERGE_PATCH:
        return _checked(lambda obj: merge_patch(obj, copy.deepcopy(patch)))
    return _checked(lambda obj: strategic_merge(resource.kind, obj, patch))


def read_apply(request: Request) -> JsonObject:
    """Return the configuration in the body of an apply patch: YAML, or the JSON that kubectl sends."""
    text = request.body.lstrip()
    return as_object(read_json(request) if text.startswith(b"{") else read_yaml(request.body))


def _checked(change: Callable[[JsonObject], Any]) -> Change:
    """Refuse a patch that makes of the object something else, or something deeper than a body may be."""

    def checked(obj: JsonObject) -> JsonObject:
        patched = as_object(change(obj))
        check_value(patched)
        return patched

    return checked
