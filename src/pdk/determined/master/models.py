"""The model registry: models and their numbered versions; called by the model routes.

Mirrors master/internal/api_model.go, with its texts. A version may only be made of a COMPLETED checkpoint, an archived
model cannot change, and a version's checkpoint is never removed while the version exists.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pdk.base.clock import rfc3339_now
from pdk.db.database import Database
from pdk.db.rows import insert, update
from pdk.determined import errors
from pdk.determined.master.checkpoints import found as found_checkpoint
from pdk.determined.master.paging import Paged, PageRequest, paged
from pdk.determined.master.users import Caller
from pdk.determined.master.workspaces import FIRST_WORKSPACE
from pdk.determined.store import models as store
from pdk.determined.store import workspaces
from pdk.determined.store.checkpoints import CheckpointView
from pdk.determined.store.models import ModelView, VersionView
from pdk.determined.store.records import JSON, CheckpointUuid, ModelId, WorkspaceId
from pdk.determined.store.states import CheckpointState

MAX_NAME_CHARACTERS = 255


@dataclass(frozen=True)
class _Fields:
    """What a client may say about a model or a version; None leaves a field as it is (or empty in a new one)."""

    name: str | None = None
    notes: str | None = None
    labels: Sequence[str] | None = None
    metadata: JSON | None = None

    def given(self) -> dict[str, object]:
        """Return the columns that were said."""
        given = {k: v for k, v in vars(self).items() if v is not None and not k.startswith("workspace")}
        return given if self.labels is None else {**given, "labels": list(dict.fromkeys(self.labels))}


@dataclass(frozen=True)
class ModelFields(_Fields):
    """What a client may say about a model; the workspace by id or name."""

    description: str | None = None
    workspace_id: WorkspaceId | None = None
    workspace_name: str | None = None


@dataclass(frozen=True)
class VersionFields(_Fields):
    """What a client may say about a model version."""

    comment: str | None = None


@dataclass(frozen=True)
class ModelFilter:
    """Which models to list; empty means any. `name` and `description` are parts, case matters not."""

    name: str = ""
    description: str = ""
    archived: bool | None = None
    labels: Sequence[str] = ()
    users: Sequence[str] = ()
    user_ids: Sequence[int] = ()
    workspace_names: Sequence[str] = ()
    workspace_ids: Sequence[int] = field(default_factory=tuple)
    model_id: ModelId | None = None


@dataclass(frozen=True)
class VersionDetail:
    """A model version with its model and its checkpoint."""

    view: VersionView
    model: ModelView
    checkpoint: CheckpointView


SORT_KEYS: dict[str, Callable[[ModelView], Any]] = {
    "UNSPECIFIED": lambda view: view.model.id,
    "NAME": lambda view: (view.model.name.lower(), view.model.id),
    "DESCRIPTION": lambda view: (view.model.description, view.model.id),
    "CREATION_TIME": lambda view: (view.model.creation_time, view.model.id),
    "LAST_UPDATED_TIME": lambda view: (view.model.last_updated_time, view.model.id),
    "NUM_VERSIONS": lambda view: (view.version_count, view.model.id),
    "WORKSPACE": lambda view: (view.model.workspace_id, view.model.id),
}


class Models:
    """The registry."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, identifier: str) -> ModelView:
        """Return the model with this name, or this id when it consists of digits; raises NoSuchThing."""
        with self._db.read() as conn:
            return _found(conn, identifier)

    def list_models(self, wanted: ModelFilter, sort: str, descending: bool, page: PageRequest) -> Paged[ModelView]:
        """Return one page of the models that pass a filter; raises InvalidRequest for an unknown sort."""
        if sort not in SORT_KEYS:
            raise errors.InvalidRequest(f"unsupported sort by {sort}")
        with self._db.read() as conn:
            views = [view for view in store.models(conn) if _passes(view, wanted)]
        return paged(sorted(views, key=SORT_KEYS[sort], reverse=descending), page)

    def labels(self) -> list[str]:
        """Return every label in use, the most used first."""
        with self._db.read() as conn:
            counts = Counter(label for view in store.models(conn) for label in view.model.labels)
        return [label for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]

    def create(self, caller: Caller, fields: ModelFields) -> ModelView:
        """Create a model; raises InvalidModelName, NameTaken, NoSuchThing (workspace)."""
        moment = rfc3339_now()
        with self._db.transaction() as conn:
            _check_name(conn, fields.name or "")
            row = {
                **fields.given(),
                "user_id": caller.user.id,
                "workspace_id": _workspace_id(conn, fields) or FIRST_WORKSPACE,
                "creation_time": moment,
                "last_updated_time": moment,
            }
            return _found(conn, str(insert(conn, "models", row)))

    def patch(self, identifier: str, fields: ModelFields) -> ModelView:
        """Change a model; raises NoSuchThing, ArchivedModel, InvalidModelName, NameTaken."""
        with self._db.transaction() as conn:
            model = _found(conn, identifier).model
            if model.archived:
                raise errors.ArchivedModel(f'model "{model.name}" is archived and cannot have attributes updated.')
            if fields.name is not None and fields.name != model.name:
                _check_name(conn, fields.name, besides=model.id)
            changes = fields.given()
            if (workspace_id := _workspace_id(conn, fields)) is not None:
                changes["workspace_id"] = workspace_id
            if changes:
                update(conn, "models", ("id", model.id), {**changes, "last_updated_time": rfc3339_now()})
            return _found(conn, str(model.id))

    def archive(self, identifier: str, archived: bool) -> None:
        """Archive or unarchive a model."""
        with self._db.transaction() as conn:
            model_id = _found(conn, identifier).model.id
            changes = {"archived": archived, "last_updated_time": rfc3339_now()}
            update(conn, "models", ("id", model_id), changes)

    def delete(self, caller: Caller, identifier: str) -> None:
        """Delete a model and its versions (never the checkpoints); its owner or an admin may. Raises NotAllowed."""
        with self._db.transaction() as conn:
            model = _found(conn, identifier).model
            if model.user_id != caller.user.id and not caller.user.admin:
                raise errors.NotAllowed(f'model "{model.name}" is not delete-able by this user')
            conn.execute("DELETE FROM models WHERE id = ?", (model.id,))

    def list_versions(
        self, identifier: str, descending: bool, page: PageRequest
    ) -> tuple[ModelView, Paged[VersionDetail]]:
        """Return a model and one page of its versions by number."""
        with self._db.read() as conn:
            model = _found(conn, identifier)
            views = store.versions(conn, model.model.id)
            part = paged(views[::-1] if descending else views, page)
            details = [_version_detail(conn, model, view) for view in part.items]
        return model, Paged(details, page, part.start, part.end, part.total)

    def get_version(self, identifier: str, number: int) -> VersionDetail:
        """Return one version; raises NoSuchThing."""
        with self._db.read() as conn:
            return _found_version(conn, identifier, number)

    def register(self, caller: Caller, identifier: str, uuid: CheckpointUuid, fields: VersionFields) -> VersionDetail:
        """Make a checkpoint the next version of a model; raises NoSuchThing, ArchivedModel, WrongState."""
        moment = rfc3339_now()
        with self._db.transaction() as conn:
            model = _found(conn, identifier).model
            if model.archived:
                raise errors.ArchivedModel(f'model "{model.name}" is archived and cannot register new versions.')
            checkpoint = found_checkpoint(conn, uuid).checkpoint
            if checkpoint.state is not CheckpointState.COMPLETED:
                raise errors.WrongState(
                    f"checkpoint {uuid} is in {checkpoint.state} state. "
                    "checkpoints for model versions must be in a COMPLETED state"
                )
            number = store.next_number(conn, model.id)
            row = {
                "model_id": model.id,
                "version": number,
                "checkpoint_uuid": uuid,
                **fields.given(),
                "user_id": caller.user.id,
                "creation_time": moment,
                "last_updated_time": moment,
            }
            insert(conn, "model_versions", row)
            update(conn, "models", ("id", model.id), {"last_updated_time": moment})
            return _found_version(conn, str(model.id), number)

    def patch_version(self, identifier: str, number: int, fields: VersionFields) -> VersionDetail:
        """Change a version; raises NoSuchThing, ArchivedModel."""
        with self._db.transaction() as conn:
            detail = _found_version(conn, identifier, number)
            if detail.model.model.archived:
                raise errors.ArchivedModel(
                    f'model "{detail.model.model.name}" is archived and cannot have attributes updated.'
                )
            if changes := fields.given():
                changes["last_updated_time"] = rfc3339_now()
                update(conn, "model_versions", ("id", detail.view.version.id), changes)
            return _found_version(conn, identifier, number)

    def delete_version(self, caller: Caller, identifier: str, number: int) -> None:
        """Delete a version (never the checkpoint); its creator or an admin may. Raises NoSuchThing, NotAllowed."""
        with self._db.transaction() as conn:
            version = _found_version(conn, identifier, number).view.version
            if version.user_id != caller.user.id and not caller.user.admin:
                raise errors.NotAllowed(f"model version {number} is not delete-able by this user")
            conn.execute("DELETE FROM model_versions WHERE id = ?", (version.id,))


def _found(conn: sqlite3.Connection, identifier: str) -> ModelView:
    # No model name consists of digits only (see _check_name), and an id beyond SQLite's integers names no model.
    if re.fullmatch(r"[0-9]{1,18}", identifier):
        view = store.model(conn, ModelId(int(identifier)))
    else:
        view = store.model_named(conn, identifier)
    return errors.found(view, f'model "{identifier}" not found')


def _found_version(conn: sqlite3.Connection, identifier: str, number: int) -> VersionDetail:
    model = _found(conn, identifier)
    view = store.version(conn, model.model.id, number)
    return _version_detail(conn, model, errors.found(view, f'version {number} for model "{identifier}" not found'))


def _version_detail(conn: sqlite3.Connection, model: ModelView, view: VersionView) -> VersionDetail:
    return VersionDetail(view, model, found_checkpoint(conn, view.version.checkpoint_uuid))


def _check_name(conn: sqlite3.Connection, name: str, besides: int = 0) -> None:
    if not name.replace(" ", ""):
        raise errors.InvalidModelName("model names cannot be blank")
    if "  " in name:
        raise errors.InvalidModelName("model names cannot have excessive spacing")
    if "/" in name or "\\" in name:
        raise errors.InvalidModelName("model names cannot have slashes")
    if re.fullmatch(r"\d+", name):
        raise errors.InvalidModelName("model names cannot be only numbers")
    if len(name) > MAX_NAME_CHARACTERS or any(ord(character) < 32 for character in name):
        raise errors.InvalidModelName(
            f"model names must be printable and have at most {MAX_NAME_CHARACTERS} characters"
        )
    other = store.model_named(conn, name)
    if other is not None and other.model.id != besides:
        raise errors.NameTaken("avoid names equal to other models (case-insensitive)")


def _workspace_id(conn: sqlite3.Connection, fields: ModelFields) -> int | None:
    if fields.workspace_name:
        named = workspaces.workspace_named(conn, fields.workspace_name)
        return errors.found(named, f"workspace '{fields.workspace_name}' not found").id
    if fields.workspace_id:
        workspace = workspaces.workspace(conn, fields.workspace_id)
        errors.found(workspace, f"workspace ({fields.workspace_id}) not found")
    return fields.workspace_id or None


def _passes(view: ModelView, wanted: ModelFilter) -> bool:
    model = view.model
    tests: Mapping[str, bool] = {
        "name": wanted.name.lower() in model.name.lower(),
        "description": wanted.description.lower() in model.description.lower(),
        "archived": wanted.archived is None or model.archived == wanted.archived,
        "labels": set(wanted.labels) <= set(model.labels),
        "users": not wanted.users or view.username in wanted.users,
        "user_ids": not wanted.user_ids or model.user_id in wanted.user_ids,
        "workspace_names": not wanted.workspace_names or view.workspace_name in wanted.workspace_names,
        "workspace_ids": not wanted.workspace_ids or model.workspace_id in wanted.workspace_ids,
        "model_id": not wanted.model_id or model.id == wanted.model_id,
    }
    return all(tests.values())
