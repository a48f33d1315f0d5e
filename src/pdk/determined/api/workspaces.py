"""Routes of workspaces and projects."""

from collections.abc import Callable
from typing import Any

from pdk.determined.api import encode
from pdk.determined.api.call import RestCall
from pdk.determined.errors import CallNotServed, InvalidRequest
from pdk.determined.master.master import Master
from pdk.determined.master.paging import paged
from pdk.determined.master.workspaces import ProjectPatch, named, projects_named
from pdk.determined.store.records import JSON, ProjectId, WorkspaceId
from pdk.determined.store.workspaces import ProjectView, WorkspaceView
from pdk.web.routing import route

WORKSPACE_SORT: dict[str, Callable[[WorkspaceView], Any]] = {
    "UNSPECIFIED": lambda view: 0,
    "ID": lambda view: view.workspace.id,
    "NAME": lambda view: view.workspace.name,
}
PROJECT_SORT: dict[str, Callable[[ProjectView], Any]] = {
    "UNSPECIFIED": lambda view: 0,
    "ID": lambda view: view.project.id,
    "NAME": lambda view: view.project.name,
    "DESCRIPTION": lambda view: view.project.description,
    "CREATION_TIME": lambda view: view.project.created_at,
    "LAST_EXPERIMENT_START_TIME": lambda view: view.last_experiment_started_at or "",
}


@route("GET", "/api/v1/workspaces", about="list, filter, sort, page")
def get_workspaces(master: Master, call: RestCall) -> JSON:
    """Return v1GetWorkspacesResponse."""
    views = named(master.workspaces.list_workspaces(), call.text("name"), call.text("nameCaseSensitive"))
    archived, users = call.flag("archived"), call.texts("users")
    views = [v for v in views if archived is None or v.workspace.archived == archived]
    views = [v for v in views if not users or v.username in users]
    views = sorted(views, key=_sort(WORKSPACE_SORT, call), reverse=bool(call.descending()))
    return encode.listed("workspaces", paged(views, call.page()), encode.workspace)


@route("GET", "/api/v1/workspaces/{id}", about="one workspace")
def get_workspace(master: Master, call: RestCall) -> JSON:
    """Return v1GetWorkspaceResponse."""
    return {"workspace": encode.workspace(master.workspaces.get_workspace(call.id("id", WorkspaceId)))}


@route("POST", "/api/v1/workspaces", about="create a workspace", partial="name only")
def post_workspace(master: Master, call: RestCall) -> JSON:
    """Return v1PostWorkspaceResponse; namespaceBindings must be an object, the command line iterates it."""
    fields = call.fields
    for name in ("checkpointStorageConfig", "clusterNamespaceMeta", "clusterQuotaPairs"):
        if fields.get(name):
            raise CallNotServed(f"{name} is not available on this master")
    view = master.workspaces.create_workspace(call.caller, fields.required("name"))
    return {"workspace": encode.workspace(view), "namespaceBindings": {}}


@route("PATCH", "/api/v1/workspaces/{id}", about="rename a workspace", partial="name only")
def patch_workspace(master: Master, call: RestCall) -> JSON:
    """Return v1PatchWorkspaceResponse."""
    view = master.workspaces.rename_workspace(call.id("id", WorkspaceId), call.fields.required("name"))
    return {"workspace": encode.workspace(view), "namespaceBindings": {}}


@route("POST", "/api/v1/workspaces/{id}/archive", about="archive with its projects")
def archive_workspace(master: Master, call: RestCall) -> None:
    """Set the flag of a workspace and of its projects."""
    master.workspaces.archive_workspace(call.id("id", WorkspaceId), archived=True)


@route("POST", "/api/v1/workspaces/{id}/unarchive", about="unarchive with its projects")
def unarchive_workspace(master: Master, call: RestCall) -> None:
    """Clear the flag of a workspace and of its projects."""
    master.workspaces.archive_workspace(call.id("id", WorkspaceId), archived=False)


@route("DELETE", "/api/v1/workspaces/{id}", about="delete a workspace", partial="only an empty one")
def delete_workspace(master: Master, call: RestCall) -> JSON:
    """Return v1DeleteWorkspaceResponse; only when it holds no experiments and models."""
    master.workspaces.delete_workspace(call.id("id", WorkspaceId))
    return {"completed": True}


@route("GET", "/api/v1/workspaces/{id}/projects", about="its projects")
def get_workspace_projects(master: Master, call: RestCall) -> JSON:
    """Return v1GetWorkspaceProjectsResponse; workspace 0 means all of them."""
    every = [view.workspace.id for view in master.workspaces.list_workspaces()]
    ids = [call.id("id", WorkspaceId)] if call.id("id", WorkspaceId) else every
    views = [view for workspace_id in ids for view in master.workspaces.list_projects(workspace_id)]
    archived, users = call.flag("archived"), call.texts("users")
    views = [v for v in projects_named(views, call.text("name")) if archived is None or v.project.archived == archived]
    views = [v for v in views if not users or v.username in users]
    views = sorted(views, key=_sort(PROJECT_SORT, call), reverse=bool(call.descending()))
    return encode.listed("projects", paged(views, call.page()), encode.project)


@route("POST", "/api/v1/workspaces/{workspaceId}/projects", about="create a project")
def post_project(master: Master, call: RestCall) -> JSON:
    """Return v1PostProjectResponse."""
    fields = call.fields
    view = master.workspaces.create_project(
        call.caller,
        call.id("workspaceId", WorkspaceId),
        fields.required("name"),
        fields.text("description") or "",
        fields.text("key"),
    )
    return {"project": encode.project(view)}


@route("GET", "/api/v1/projects/{id}", about="one project")
def get_project(master: Master, call: RestCall) -> JSON:
    """Return v1GetProjectResponse."""
    return {"project": encode.project(master.workspaces.get_project(call.id("id", ProjectId)))}


@route("PATCH", "/api/v1/projects/{id}", about="change a project")
def patch_project(master: Master, call: RestCall) -> JSON:
    """Return v1PatchProjectResponse."""
    fields = call.fields
    patch = ProjectPatch(fields.text("name"), fields.text("description"), fields.text("key"))
    return {"project": encode.project(master.workspaces.patch_project(call.id("id", ProjectId), patch))}


@route("PUT", "/api/v1/projects/{projectId}/notes", about="replace the notes")
def put_project_notes(master: Master, call: RestCall) -> JSON:
    """Return v1PutProjectNotesResponse."""
    notes = [
        {"name": note.text("name") or "", "contents": note.text("contents") or ""}
        for note in call.fields.objects("notes")
    ]
    return {"notes": master.workspaces.set_notes(call.id("projectId", ProjectId), notes).project.notes}


@route("POST", "/api/v1/projects/{id}/archive", about="archive")
def archive_project(master: Master, call: RestCall) -> None:
    """Set the flag: no experiment can be added."""
    master.workspaces.archive_project(call.id("id", ProjectId), archived=True)


@route("POST", "/api/v1/projects/{id}/unarchive", about="unarchive")
def unarchive_project(master: Master, call: RestCall) -> None:
    """Clear the flag that archiving set."""
    master.workspaces.archive_project(call.id("id", ProjectId), archived=False)


@route("DELETE", "/api/v1/projects/{id}", about="delete a project", partial="only an empty one")
def delete_project(master: Master, call: RestCall) -> JSON:
    """Return v1DeleteProjectResponse; only when it holds no experiments."""
    master.workspaces.delete_project(call.id("id", ProjectId))
    return {"completed": True}


def _sort(table: dict[str, Callable[[Any], Any]], call: RestCall) -> Callable[[Any], Any]:
    name = call.enum("sortBy", "SORT_BY_")
    if name not in table:
        raise InvalidRequest(f"unsupported sort by {name}")
    return table[name]
