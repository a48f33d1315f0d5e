"""Workspaces and projects: creation, look-up by name, archiving, deletion; called by the workspace routes.

The first workspace and project, "Uncategorized", always exist and cannot be changed.
"""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pdk.base.clock import rfc3339_now
from pdk.db.database import Database
from pdk.db.rows import insert, update
from pdk.determined import errors
from pdk.determined.master.users import Caller
from pdk.determined.store import workspaces as store
from pdk.determined.store.records import ProjectId, WorkspaceId
from pdk.determined.store.workspaces import ProjectView, WorkspaceView

MAX_NAME_CHARACTERS = 80
MAX_KEY_CHARACTERS = 5
UNCATEGORIZED = "Uncategorized"
# The workspace and the project "Uncategorized".
FIRST_WORKSPACE = WorkspaceId(1)
FIRST_PROJECT = ProjectId(1)


@dataclass(frozen=True)
class ProjectPatch:
    """The fields of a project to change; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    key: str | None = None


class Workspaces:
    """Workspaces and the projects in them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def set_up(self) -> None:
        """Create "Uncategorized", once."""
        with self._db.transaction() as conn:
            if store.workspace(conn, FIRST_WORKSPACE) is None:
                row = {"name": UNCATEGORIZED, "user_id": 1, "immutable": True, "created_at": rfc3339_now()}
                workspace_id = insert(conn, "workspaces", row)
                insert(conn, "projects", {**row, "workspace_id": workspace_id, "key": "UNCAT"})

    def list_workspaces(self) -> list[WorkspaceView]:
        """Return every workspace by id."""
        with self._db.read() as conn:
            return store.workspaces(conn)

    def get_workspace(self, workspace_id: WorkspaceId) -> WorkspaceView:
        """Return the workspace with this id; raises NoSuchThing."""
        with self._db.read() as conn:
            return _found_workspace(conn, workspace_id)

    def create_workspace(self, caller: Caller, name: str) -> WorkspaceView:
        """Create a workspace; raises InvalidRequest, NameTaken."""
        _check_name("workspace", name)
        with self._db.transaction() as conn:
            _require_free_workspace_name(conn, name)
            row = {"name": name, "user_id": caller.user.id, "created_at": rfc3339_now()}
            return _found_workspace(conn, WorkspaceId(insert(conn, "workspaces", row)))

    def rename_workspace(self, workspace_id: WorkspaceId, name: str) -> WorkspaceView:
        """Give a workspace another name; raises NoSuchThing, NameTaken, WrongState."""
        _check_name("workspace", name)
        with self._db.transaction() as conn:
            found = _changeable_workspace(conn, workspace_id)
            if found.workspace.name != name:
                _require_free_workspace_name(conn, name)
                update(conn, "workspaces", ("id", workspace_id), {"name": name})
            return _found_workspace(conn, workspace_id)

    def archive_workspace(self, workspace_id: WorkspaceId, archived: bool) -> None:
        """Archive or unarchive a workspace and the projects in it."""
        with self._db.transaction() as conn:
            _changeable_workspace(conn, workspace_id)
            update(conn, "workspaces", ("id", workspace_id), {"archived": archived})
            update(conn, "projects", ("workspace_id", workspace_id), {"archived": archived})

    def delete_workspace(self, workspace_id: WorkspaceId) -> None:
        """Delete a workspace without experiments and models; raises WrongState when it holds some."""
        with self._db.transaction() as conn:
            found = _changeable_workspace(conn, workspace_id)
            models = conn.execute("SELECT count(*) FROM models WHERE workspace_id = ?", (workspace_id,)).fetchone()[0]
            if found.experiment_count or models:
                raise errors.WrongState(
                    f"workspace {found.workspace.name!r} still holds {found.experiment_count} experiments and "
                    f"{models} models: delete or move them first"
                )
            conn.execute("DELETE FROM projects WHERE workspace_id = ?", (workspace_id,))
            conn.execute("DELETE FROM workspaces WHERE id = ?", (workspace_id,))

    def list_projects(self, workspace_id: WorkspaceId) -> list[ProjectView]:
        """Return the projects of a workspace by id; raises NoSuchThing."""
        with self._db.read() as conn:
            _found_workspace(conn, workspace_id)
            return store.projects(conn, workspace_id)

    def get_project(self, project_id: ProjectId) -> ProjectView:
        """Return the project with this id; raises NoSuchThing."""
        with self._db.read() as conn:
            return found_project(conn, project_id)

    def create_project(
        self, caller: Caller, workspace_id: WorkspaceId, name: str, description: str = "", key: str | None = None
    ) -> ProjectView:
        """Create a project in a workspace; raises NoSuchThing, InvalidRequest, NameTaken."""
        _check_name("project", name)
        with self._db.transaction() as conn:
            workspace = _found_workspace(conn, workspace_id).workspace
            if workspace.archived:
                raise errors.WrongState(f"workspace {workspace.name!r} is archived: no project can be added")
            _require_free_project_name(conn, workspace.name, name)
            row = {
                "workspace_id": workspace_id,
                "name": name,
                "description": description,
                "key": _checked_key(conn, key) if key else _new_key(conn, name),
                "user_id": caller.user.id,
                "created_at": rfc3339_now(),
            }
            return found_project(conn, ProjectId(insert(conn, "projects", row)))

    def patch_project(self, project_id: ProjectId, patch: ProjectPatch) -> ProjectView:
        """Change a project; raises NoSuchThing, NameTaken, WrongState."""
        with self._db.transaction() as conn:
            found = _changeable_project(conn, project_id)
            changes: dict[str, object] = {}
            if patch.name is not None and patch.name != found.project.name:
                _check_name("project", patch.name)
                _require_free_project_name(conn, found.workspace_name, patch.name)
                changes["name"] = patch.name
            if patch.description is not None:
                changes["description"] = patch.description
            if patch.key is not None:
                changes["key"] = _checked_key(conn, patch.key, besides=project_id)
            update(conn, "projects", ("id", project_id), changes)
            return found_project(conn, project_id)

    def set_notes(self, project_id: ProjectId, notes: Sequence[dict[str, str]]) -> ProjectView:
        """Replace the notes of a project ({name, contents} each)."""
        with self._db.transaction() as conn:
            found_project(conn, project_id)
            update(conn, "projects", ("id", project_id), {"notes": list(notes)})
            return found_project(conn, project_id)

    def archive_project(self, project_id: ProjectId, archived: bool) -> None:
        """Archive or unarchive a project."""
        with self._db.transaction() as conn:
            _changeable_project(conn, project_id)
            update(conn, "projects", ("id", project_id), {"archived": archived})

    def delete_project(self, project_id: ProjectId) -> None:
        """Delete a project without experiments; raises WrongState when it holds some."""
        with self._db.transaction() as conn:
            found = _changeable_project(conn, project_id)
            if found.experiment_count:
                raise errors.WrongState(
                    f"project {found.project.name!r} still holds {found.experiment_count} experiments: "
                    "delete or move them first"
                )
            conn.execute("DELETE FROM projects WHERE id = ?", (project_id,))


def named(views: list[WorkspaceView], part: str, exact: str) -> list[WorkspaceView]:
    """Filter workspaces by a part of the name (case matters not) or by the exact name."""
    if exact:
        return [view for view in views if view.workspace.name == exact]
    found = [view for view in views if part.lower() in view.workspace.name.lower()]
    # Clients search for a part of a name and take the first answer, so an exact match comes first.
    return sorted(found, key=lambda view: view.workspace.name != part) if part else found


def projects_named(views: list[ProjectView], part: str) -> list[ProjectView]:
    """Filter projects by a part of the name (case matters not); an exact match comes first."""
    found = [view for view in views if part.lower() in view.project.name.lower()]
    return sorted(found, key=lambda view: view.project.name != part) if part else found


def found_project(conn: sqlite3.Connection, project_id: ProjectId) -> ProjectView:
    """Return the project with this id; raises NoSuchThing."""
    return errors.found(store.project(conn, project_id), f"project ({project_id}) not found")


def _found_workspace(conn: sqlite3.Connection, workspace_id: WorkspaceId) -> WorkspaceView:
    return errors.found(store.workspace(conn, workspace_id), f"workspace ({workspace_id}) not found")


def _changeable_workspace(conn: sqlite3.Connection, workspace_id: WorkspaceId) -> WorkspaceView:
    found = _found_workspace(conn, workspace_id)
    if found.workspace.immutable:
        raise errors.WrongState(f"workspace ({workspace_id}) is immutable and cannot be changed")
    return found


def _changeable_project(conn: sqlite3.Connection, project_id: ProjectId) -> ProjectView:
    found = found_project(conn, project_id)
    if found.project.immutable:
        raise errors.WrongState(f"project ({project_id}) is immutable and cannot be changed")
    return found


def _check_name(kind: str, name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME_CHARACTERS:
        raise errors.InvalidRequest(f"{kind} name must have 1 to {MAX_NAME_CHARACTERS} characters and not only blanks")


def _require_free_workspace_name(conn: sqlite3.Connection, name: str) -> None:
    if store.workspace_named(conn, name) is not None:
        raise errors.NameTaken(f"workspace already exists with name {name}")


def _require_free_project_name(conn: sqlite3.Connection, workspace_name: str, name: str) -> None:
    if store.project_named(conn, workspace_name, name) is not None:
        raise errors.NameTaken(f"project already exists with name {name} in workspace {workspace_name}")


def _checked_key(conn: sqlite3.Connection, key: str, besides: int = 0) -> str:
    if not re.fullmatch(rf"[A-Za-z0-9]{{1,{MAX_KEY_CHARACTERS}}}", key):
        raise errors.InvalidRequest(f"project key must be 1 to {MAX_KEY_CHARACTERS} letters and digits, not {key!r}")
    if store.key_taken(conn, key, besides):
        raise errors.NameTaken(f"project key {key.upper()} is already in use")
    return key.upper()


def _new_key(conn: sqlite3.Connection, name: str) -> str:
    """Return a free key of at most five characters: the first letters of the name, then a number when taken."""
    letters = re.sub(r"[^A-Z0-9]", "", name.upper())[:3] or "PRJ"
    if not store.key_taken(conn, letters):
        return letters
    for number in range(1, 10 ** (MAX_KEY_CHARACTERS - 1)):
        key = letters[: MAX_KEY_CHARACTERS - len(str(number))] + str(number)
        if not store.key_taken(conn, key):
            return key
    raise errors.WrongState("every project key is taken: give one")
