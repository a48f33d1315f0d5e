"""Objects in the form the client asked for: whole, as a Table (`kubectl get`), or as metadata only.

Called by the object handlers and by watches. The `Accept` header names the form: `application/json;as=Table;...`.
Mirrors kube-apiserver's content negotiation and metav1.Table.
"""

from dataclasses import dataclass
from enum import StrEnum

from pdk.base.errors import PdkError
from pdk.kubernetes.errors import Details, ObjectError, Reason
from pdk.kubernetes.kinds.columns import Column
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource


class Form(StrEnum):
    """What an object is shown as."""

    WHOLE = ""
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


class NotAcceptable(ObjectError, PdkError):
    """The client takes no form the server has."""

    reason = Reason.NOT_ACCEPTABLE

    def __init__(self) -> None:
        super().__init__("only the following media types are accepted: application/json", Details())


@dataclass(frozen=True)
class View:
    """A form of objects, and what rows of a table carry: `None`, `Metadata` or `Object`."""

    form: Form = Form.WHOLE
    include_object: str = "Metadata"


def negotiate(accept: str, include_object: str = "") -> View:
    """Return the first form of an Accept header this server has. Raises NotAcceptable when there is none."""
    for entry in accept.split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        wanted = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type not in ("application/json", "application/*", "*/*", ""):
            continue
        form = wanted.get("as", Form.WHOLE).removesuffix("List")
        meta_v1 = (wanted.get("g"), wanted.get("v")) == ("meta.k8s.io", "v1")
        if form == Form.WHOLE or (meta_v1 and form in tuple(Form)):
            return View(Form(form), include_object or "Metadata")
    raise NotAcceptable


def show(view: View, resource: Resource, obj: JsonObject) -> JsonObject:
    """Return one object in the form of `view`."""
    obj = resource.view(obj)
    match view.form:
        case Form.TABLE:
            return _table(view, resource, [obj], obj["metadata"].get("resourceVersion", ""))
        case Form.METADATA:
            return partial_metadata(obj)
        case _:
            return obj


def show_list(view: View, resource: Resource, objects: list[JsonObject], revision: int) -> JsonObject:
    """Return a list of objects in the form of `view`."""
    objects = [resource.view(obj) for obj in objects]
    match view.form:
        case Form.TABLE:
            return _table(view, resource, objects, str(revision))
        case Form.METADATA:
            kind, version, items = "PartialObjectMetadataList", "meta.k8s.io/v1", [partial_metadata(o) for o in objects]
        case _:
            kind, version, items = f"{resource.kind}List", resource.api_version, objects
    return {"kind": kind, "apiVersion": version, "metadata": {"resourceVersion": str(revision)}, "items": items}


def partial_metadata(obj: JsonObject) -> JsonObject:
    """Return an object without anything but its metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _table(view: View, resource: Resource, objects: list[JsonObject], revision: str) -> JsonObject:
    columns = resource.columns
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision},
        "columnDefinitions": [_definition(column) for column in columns],
        "rows": [_row(view, columns, obj) for obj in objects],
    }


def _definition(column: Column) -> JsonObject:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": f"{column.name} of the object",
        "priority": 1 if column.wide else 0,
    }


def _row(view: View, columns: tuple[Column, ...], obj: JsonObject) -> JsonObject:
    row: JsonObject = {"cells": [column.cell(obj) for column in columns]}
    if view.include_object == "Object":
        row["object"] = obj
    elif view.include_object == "Metadata":
        row["object"] = partial_metadata(obj)
    return row
