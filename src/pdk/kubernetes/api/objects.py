"""The verbs on objects: get, list, create, update, patch, apply, delete, deletecollection, and the status subresource.

Called by the router, which hands over watches and logs elsewhere. Each method decodes, lets the object pass field
validation and admission, calls the object store and encodes. Mirrors kube-apiserver's endpoints/handlers.
"""

from collections.abc import Callable

from starlette.responses import Response

from pdk.kubernetes.api.bodies import read_object
from pdk.kubernetes.api.field_validation import FieldValidation, validate_fields
from pdk.kubernetes.api.http import Request, json_response
from pdk.kubernetes.api.patches import APPLY_PATCH, read_apply, read_patch
from pdk.kubernetes.api.routes import Target
from pdk.kubernetes.api.status import success
from pdk.kubernetes.api.tables import View, negotiate, show, show_list
from pdk.kubernetes.errors import BadRequest, Cause, MethodNotAllowed, NotServed, ObjectInvalid
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import required
from pdk.kubernetes.store import field_managers
from pdk.kubernetes.store.deletion import Propagation
from pdk.kubernetes.store.metadata import check_shape
from pdk.kubernetes.store.objects import ObjectStore, Preconditions
from pdk.web.routing import route

Warnings = list[str]


class ObjectHandlers:
    """Translates requests on objects into calls of the store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._schemas = {each.key: each.schema for each in store.resources if each.is_validated}

    # ---------------------------------------------------------------- reading

    @route("GET", "{collection}/{name}")
    @route("GET", "{collection}/{name}/status")
    def get(self, target: Target, request: Request) -> Response:
        """Answer one object."""
        view = self.view(request)
        obj = self._store.get(target.resource.stored, target.namespace, target.name)
        return json_response(show(view, target.resource, obj))

    @route("GET", "{collection}")
    def list(self, target: Target, request: Request) -> Response:
        """Answer the objects the selectors choose. `limit` is ignored, as the original may: the list is whole."""
        view = self.view(request)
        objects, revision = self._store.list(
            target.resource.stored,
            target.namespace or None,
            request.query.get("labelSelector"),
            request.query.get("fieldSelector"),
        )
        return json_response(show_list(view, target.resource, objects, revision))

    @staticmethod
    def view(request: Request) -> View:
        """Return the form of objects the client asked for."""
        return negotiate(request.accept, request.query.get("includeObject", ""))

    # ---------------------------------------------------------------- writing

    @route("POST", "{collection}")
    def create(self, target: Target, request: Request) -> Response:
        """Create the object in the body."""
        self._require(target, "create")
        if target.resource.namespaced and not target.namespace:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        obj, warnings = self._admitted(target, request, None, self._body(target, request))
        dry_run = _dry_run(request.query.get("dryRun", ""))
        created = self._store.create(target.resource.stored, obj, dry_run=dry_run, manager=_manager(request))
        return json_response(show(self.view(request), target.resource, created), 201, _warning_headers(warnings))

    @route("PUT", "{collection}/{name}")
    @route("PUT", "{collection}/{name}/status")
    def update(self, target: Target, request: Request) -> Response:
        """Replace the object, or only its status, by the one in the body."""
        body = self._body(target, request)
        return self._change(target, request, lambda old: body)

    @route("PATCH", "{collection}/{name}")
    @route("PATCH", "{collection}/{name}/status")
    def patch(self, target: Target, request: Request) -> Response:
        """Change the object, or only its status, as the patch in the body says."""
        if request.content_type == APPLY_PATCH:
            return self._apply(target, request)
        return self._change(target, request, read_patch(target.resource, request))

    def _change(self, target: Target, request: Request, change: Callable[[JsonObject], JsonObject]) -> Response:
        self._require(target, "update")
        warnings: list[str] = []

        def admitted(old: JsonObject) -> JsonObject:
            if target.subresource:
                return change(old)
            obj, found = self._admitted(target, request, old, change(old))
            warnings.extend(found)
            return obj

        changed = self._store.edit(
            target.resource.stored,
            target.namespace,
            target.name,
            admitted,
            status=target.subresource == "status",
            dry_run=_dry_run(request.query.get("dryRun", "")),
            manager=_manager(request),
        )
        return json_response(show(self.view(request), target.resource, changed), 200, _warning_headers(warnings))

    def _apply(self, target: Target, request: Request) -> Response:
        """Server-side apply: create the object, or set the fields the body names and remove those it stopped naming."""
        self._require(target, "update")
        if target.subresource:
            raise NotServed(f"server-side apply of {target.subresource} is not implemented by this server")
        manager = request.query.get("fieldManager", "")
        if not manager:
            cause = required("fieldManager", "is required for apply patch")
            raise ObjectInvalid("PatchOptions.meta.k8s.io", "", [cause])
        config = self._own_fields(target, read_apply(request))
        dry_run = _dry_run(request.query.get("dryRun", ""))
        warnings: list[str] = []

        def admitted(old: JsonObject | None, new: JsonObject) -> JsonObject:
            obj, found = self._admitted(target, request, old, new)
            warnings[:] = found
            return obj

        with self._store.transaction():
            live = self._store.find(target.resource.stored, target.namespace, target.name)
            if live is None:
                return self._apply_new(target, request, manager, admitted(None, config), dry_run)
            changed = self._store.edit(
                target.resource.stored,
                target.namespace,
                target.name,
                lambda old: field_managers.apply(
                    old, config, manager, request.flag("force"), lambda new: admitted(old, new)
                ),
                dry_run=dry_run,
            )
        return json_response(show(self.view(request), target.resource, changed), 200, _warning_headers(warnings))

    def _apply_new(self, target: Target, request: Request, manager: str, config: JsonObject, dry_run: bool) -> Response:
        self._require(target, "create")
        owned = field_managers.own(config, manager)
        created = self._store.create(target.resource.stored, owned, dry_run=dry_run)
        return json_response(show(self.view(request), target.resource, created), 201)

    # ---------------------------------------------------------------- deleting

    @route("DELETE", "{collection}/{name}")
    def delete(self, target: Target, request: Request) -> Response:
        """Delete the object; answer a Status when it is gone, the object while finalizers hold it."""
        self._require(target, "delete")
        options = _delete_options(request)
        deleted = self._store.delete(
            target.resource.stored,
            target.namespace,
            target.name,
            _preconditions(options),
            _propagation(options),
            dry_run=_dry_run(*(options.get("dryRun") or [""])),
        )
        metadata = deleted["metadata"]
        if metadata.get("finalizers") or target.resource.returns_deleted:
            return json_response(deleted)
        resource = target.resource
        return json_response(success(metadata["name"], resource.group, resource.plural, metadata["uid"]))

    @route("DELETE", "{collection}")
    def delete_collection(self, target: Target, request: Request) -> Response:
        """Delete the objects the selectors choose; answer the list of them."""
        self._require(target, "deletecollection")
        options = _delete_options(request)
        dry_run = _dry_run(*(options.get("dryRun") or [""]))
        with self._store.transaction():
            objects, revision = self._store.list(
                target.resource.stored,
                target.namespace or None,
                request.query.get("labelSelector"),
                request.query.get("fieldSelector"),
            )
            for obj in objects:
                metadata = obj["metadata"]
                if (
                    self._store.find(target.resource.stored, metadata.get("namespace", ""), metadata["name"])
                    is not None
                ):
                    self._store.delete(
                        target.resource.stored,
                        metadata.get("namespace", ""),
                        metadata["name"],
                        propagation=_propagation(options),
                        dry_run=dry_run,
                    )
        return json_response(show_list(View(), target.resource, objects, revision))

    # ---------------------------------------------------------------- parts

    def _require(self, target: Target, verb: str) -> None:
        if verb not in target.resource.verbs:
            why = f": {target.resource.refusal}" if target.resource.refusal else ""
            raise MethodNotAllowed(f'{verb} is not supported on resources of kind "{target.resource.key}"{why}')

    def _body(self, target: Target, request: Request) -> JsonObject:
        return self._own_fields(target, read_object(request))

    def _own_fields(self, target: Target, obj: JsonObject) -> JsonObject:
        """Return the object with kind, namespace and name of the URL. Raises BadRequest when it says otherwise."""
        resource = target.resource
        api_version, kind = obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind
        if (api_version, kind) != (resource.api_version, resource.kind):
            raise BadRequest(
                f"the API version in the data ({api_version}, Kind={kind}) does not match the expected API version "
                f"({resource.api_version}, Kind={resource.kind})"
            )
        metadata = obj.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, dict) else {}
        if target.name and metadata.setdefault("name", target.name) != target.name:
            raise BadRequest(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
            )
        if resource.namespaced and (metadata.get("namespace") or target.namespace) != target.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        if resource.namespaced:
            metadata["namespace"] = target.namespace
        return obj | {"apiVersion": api_version, "kind": kind, "metadata": metadata}

    def _admitted(
        self, target: Target, request: Request, old: JsonObject | None, new: JsonObject
    ) -> tuple[JsonObject, Warnings]:
        """Return the object as field validation and admission let it pass, and the warnings of the first."""
        resource = target.resource
        check_shape(resource, new)
        warnings: Warnings = []
        if resource.is_validated:
            mode = request.query.get("fieldValidation") or FieldValidation.WARN
            new, warnings = validate_fields(resource, self._schemas[resource.key], new, mode)
        return resource.admit(old, new), warnings


def _manager(request: Request) -> str:
    """Return who is writing: the fieldManager, else the first word of the user agent."""
    return request.query.get("fieldManager") or request.headers.get("user-agent", "").split("/")[0][:128] or "unknown"


def _dry_run(*values: str) -> bool:
    for value in values:
        if value not in ("", "All"):
            cause = Cause("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: "All"', "dryRun")
            raise ObjectInvalid("CreateOptions.meta.k8s.io", "", [cause])
    return any(values)


def _warning_headers(warnings: list[str]) -> list[tuple[str, str]]:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "backslashreplace").decode()

    return [("Warning", f'299 - "{quoted(text)}"') for text in warnings[:16]]


def _delete_options(request: Request) -> JsonObject:
    """Return the DeleteOptions of the body, and of the query where the body says nothing."""
    options = read_object(request) if request.body.strip() else {}
    for name in ("propagationPolicy", "orphanDependents"):
        if name in request.query:
            options.setdefault(name, request.query[name])
    if "dryRun" in request.query:
        options.setdefault("dryRun", [request.query["dryRun"]])
    if not isinstance(options.get("dryRun") or [], list):
        raise BadRequest("DeleteOptions.dryRun must be a list")
    return options


def _propagation(options: JsonObject) -> Propagation:
    if str(options.get("orphanDependents")).lower() == "true":
        return Propagation.ORPHAN
    policy = str(options.get("propagationPolicy") or Propagation.BACKGROUND)
    try:
        return Propagation(policy)
    except ValueError:
        names = ", ".join(Propagation)
        raise BadRequest(f'invalid propagationPolicy "{policy}": must be one of {names}') from None


def _preconditions(options: JsonObject) -> Preconditions:
    wanted = options.get("preconditions") or {}
    if not isinstance(wanted, dict):
        raise BadRequest("DeleteOptions.preconditions must be an object")
    return Preconditions(wanted.get("uid"), wanted.get("resourceVersion"))
