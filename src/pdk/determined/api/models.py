"""Routes of the model registry."""

from typing import Any

from pdk.determined.api import encode
from pdk.determined.api.call import Fields, RestCall
from pdk.determined.errors import InvalidRequest
from pdk.determined.master.master import Master
from pdk.determined.master.models import ModelFields, ModelFilter, VersionFields
from pdk.determined.store.records import JSON, CheckpointUuid, ModelId, WorkspaceId
from pdk.web.routing import route


@route("GET", "/api/v1/models", about="list, filter, sort, page")
def get_models(master: Master, call: RestCall) -> JSON:
    """Return v1GetModelsResponse; `name` is a part of the name."""
    wanted = ModelFilter(
        name=call.text("name"),
        description=call.text("description"),
        archived=call.flag("archived"),
        labels=call.texts("labels"),
        users=call.texts("users"),
        user_ids=call.numbers("userIds"),
        workspace_names=call.texts("workspaceNames"),
        workspace_ids=call.numbers("workspaceIds"),
        model_id=ModelId(call.number("id")),
    )
    sort = call.enum("sortBy", "SORT_BY_")
    page = master.models.list_models(wanted, sort, bool(call.descending()), call.page())
    return encode.listed("models", page, encode.model)


@route("GET", "/api/v1/model/labels", about="labels by popularity")
def get_labels(master: Master, call: RestCall) -> JSON:
    """Return v1GetModelLabelsResponse."""
    return {"labels": master.models.labels()}


@route("POST", "/api/v1/models", about="create a model")
def post_model(master: Master, call: RestCall) -> JSON:
    """Return v1PostModelResponse."""
    return {"model": encode.model(master.models.create(call.caller, _model_fields(call.fields)))}


@route("GET", "/api/v1/models/{modelName}", about="one model by name or id")
def get_model(master: Master, call: RestCall) -> JSON:
    """Return v1GetModelResponse; digits only are an id."""
    return {"model": encode.model(master.models.get(call.path["modelName"]))}


@route("PATCH", "/api/v1/models/{modelName}", about="change a model")
def patch_model(master: Master, call: RestCall) -> JSON:
    """Return v1PatchModelResponse."""
    return {"model": encode.model(master.models.patch(call.path["modelName"], _model_fields(call.fields)))}


@route("POST", "/api/v1/models/{modelName}/archive", about="archive")
def archive_model(master: Master, call: RestCall) -> None:
    """Set the flag: the model can no longer change."""
    master.models.archive(call.path["modelName"], archived=True)


@route("POST", "/api/v1/models/{modelName}/unarchive", about="unarchive")
def unarchive_model(master: Master, call: RestCall) -> None:
    """Clear the flag that archiving set."""
    master.models.archive(call.path["modelName"], archived=False)


@route("POST", "/api/v1/models/{modelName}/move", about="move to another workspace")
def move_model(master: Master, call: RestCall) -> None:
    """Move a model to another workspace."""
    fields = ModelFields(workspace_id=call.fields.id("destinationWorkspaceId", WorkspaceId))
    master.models.patch(call.path["modelName"], fields)


@route("DELETE", "/api/v1/models/{modelName}", about="delete a model")
def delete_model(master: Master, call: RestCall) -> None:
    """Delete a model and its versions, never the checkpoints."""
    master.models.delete(call.caller, call.path["modelName"])


@route("GET", "/api/v1/models/{modelName}/versions", about="its versions")
def get_versions(master: Master, call: RestCall) -> JSON:
    """Return v1GetModelVersionsResponse."""
    model, page = master.models.list_versions(call.path["modelName"], bool(call.descending()), call.page())
    return {"model": encode.model(model), **encode.listed("modelVersions", page, encode.model_version)}


@route("POST", "/api/v1/models/{modelName}/versions", about="register a checkpoint as the next version")
def post_version(master: Master, call: RestCall) -> JSON:
    """Return v1PostModelVersionResponse."""
    uuid = CheckpointUuid(call.fields.required("checkpointUuid"))
    detail = master.models.register(call.caller, call.path["modelName"], uuid, _version_fields(call.fields))
    return {"modelVersion": encode.model_version(detail)}


@route("GET", "/api/v1/models/{modelName}/versions/{modelVersionNum}", about="one version")
def get_version(master: Master, call: RestCall) -> JSON:
    """Return v1GetModelVersionResponse."""
    detail = master.models.get_version(call.path["modelName"], call.id("modelVersionNum", int))
    return {"modelVersion": encode.model_version(detail)}


@route("PATCH", "/api/v1/models/{modelName}/versions/{modelVersionNum}", about="change a version")
def patch_version(master: Master, call: RestCall) -> JSON:
    """Return v1PatchModelVersionResponse."""
    number = call.id("modelVersionNum", int)
    detail = master.models.patch_version(call.path["modelName"], number, _version_fields(call.fields))
    return {"modelVersion": encode.model_version(detail)}


@route("DELETE", "/api/v1/models/{modelName}/versions/{modelVersionNum}", about="delete a version")
def delete_version(master: Master, call: RestCall) -> None:
    """Delete a version, never its checkpoint."""
    master.models.delete_version(call.caller, call.path["modelName"], call.id("modelVersionNum", int))


def _model_fields(fields: Fields) -> ModelFields:
    return ModelFields(
        **_said(fields),
        description=fields.text("description"),
        workspace_id=fields.id("workspaceId", WorkspaceId),
        workspace_name=fields.text("workspaceName"),
    )


def _version_fields(fields: Fields) -> VersionFields:
    return VersionFields(**_said(fields), comment=fields.text("comment"))


def _said(fields: Fields) -> JSON:
    return {
        "name": fields.text("name"),
        "notes": fields.text("notes"),
        "labels": _labels(fields.get("labels")),
        "metadata": fields.object("metadata"),
    }


def _labels(value: Any) -> list[str] | None:
    if value is not None and not (isinstance(value, list) and all(isinstance(label, str) for label in value)):
        raise InvalidRequest("labels: must be a list of text")
    return value
