"""The verbs on objects: get, list, create, update, patch, apply, delete, deletecollection, and the status subresource.

Called by the router, which hands over watches and logs elsewhere. Each method decodes, lets the object pass field
validation and admission, calls the object store and encodes. Mirrors kube-apiserver's endpoints/handlers.
"""

from collections.abc import Callable

from pdk.kubernetes.api.bodies import read_object
from pdk.kubernetes.api.field_validation import validate_fields
from pdk.kubernetes.api.http import Request, Response, json_response
from pdk.kubernetes.api.patches import APPLY_PATCH, read_apply, read_patch
from pdk.kubernetes.api.routes import Route
from pdk.kubernetes.api.status import success
from pdk.kubernetes.api.tables import View, negotiate, show, show_list
from pdk.kubernetes.errors import BadRequest, Cause, MethodNotAllowed, NotServed, ObjectInvalid
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import required
from pdk.kubernetes.store import field_managers
from pdk.kubernetes.store.deletion import Propagation
from pdk.kubernetes.store.metadata import check_shape
from pdk.kubernetes.store.objects import ObjectStore, Preconditions

Warnings = list[str]


class ObjectHandlers:
    """Translates requests on objects into calls of the store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._schemas = {each.key: each.schema for each in store.resources if each.is_validated}

    # ---------------------------------------------------------------- reading

    def get(self, route: Route, request: Request) -> Response:
        """Answer one object."""
        view = self.view(request)
        obj = self._store.get(route.resource.stored, route.namespace, route.name)
        return json_response(show(view, route.resource, obj))

    def list(self, route: Route, request: Request) -> Response:
        """Answer the objects the selectors choose. `limit` is ignored, as the original may: the list is whole."""
        view = self.view(request)
        objects, revision = self._store.list(
            route.resource.stored,
            route.namespace or None,
            request.query.get("labelSelector"),
            request.query.get("fieldSelector"),
        )
        return json_response(show_list(view, route.resource, objects, revision))

    @staticmethod
    def view(request: Request) -> View:
        """Return the form of objects the client asked for."""
        return negotiate(request.accept, request.query.get("includeObject", ""))

    # ---------------------------------------------------------------- writing

    def create(self, route: Route, request: Request) -> Response:
        """Create the object in the body."""
        self._require(route, "create")
        if route.resource.namespaced and not route.namespace:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        obj, warnings = self._admitted(route, request, None, self._body(route, request))
        dry_run = _dry_run(request.query.get("dryRun", ""))
        created = self._store.create(route.resource.stored, obj, dry_run=dry_run, manager=_manager(request))
        return json_response(show(self.view(request), route.resource, created), 201, _warning_headers(warnings))

    def update(self, route: Route, request: Request) -> Response:
        """Replace the object, or only its status, by the one in the body."""
        body = self._body(route, request)
        return self._change(route, request, lambda old: body)

    def patch(self, route: Route, request: Request) -> Response:
        """Change the object, or only its status, as the patch in the body says."""
        if request.content_type == APPLY_PATCH:
            return self._apply(route, request)
        return self._change(route, request, read_patch(route.resource, request))

    def _change(self, route: Route, request: Request, change: Callable[[JsonObject], JsonObject]) -> Response:
        self._require(route, "update")
        warnings: list[str] = []

        def admitted(old: JsonObject) -> JsonObject:
            if route.subresource:
                return change(old)
            obj, found = self._admitted(route, request, old, change(old))
            warnings.extend(found)
            return obj

        changed = self._store.edit(
            route.resource.stored,
            route.namespace,
            route.name,
            admitted,
            status=route.subresource == "status",
            dry_run=_dry_run(request.query.get("dryRun", "")),
            manager=_manager(request),
        )
        return json_response(show(self.view(request), route.resource, changed), 200, _warning_headers(warnings))

    def _apply(self, route: Route, request: Request) -> Response:
        """Server-side apply: create the object, or set the fields the body names and remove those it stopped naming."""
        self._require(route, "update")
        if route.subresource:
            raise NotServed(f"server-side apply of {route.subresource} is not implemented by this server")
        manager = request.query.get("fieldManager", "")
        if not manager:
            cause = required("fieldManager", "is required for apply patch")
            raise ObjectInvalid("PatchOptions.meta.k8s.io", "", [cause])
        config = self._own_fields(route, read_apply(request))
        dry_run = _dry_run(request.query.get("dryRun", ""))
        warnings: list[str] = []

        def admitted(old: JsonObject | None, new: JsonObject) -> JsonObject:
            obj, found = self._admitted(route, request, old, new)
            warnings[:] = found
            return obj

        with self._store.transaction():
            live = self._store.find(route.resource.stored, route.namespace, route.name)
            if live is None:
                return self._apply_new(route, request, manager, admitted(None, config), dry_run)
            changed = self._store.edit(
                route.resource.stored,
                route.namespace,
                route.name,
                lambda old: field_managers.apply(
                    old, config, manager, request.flag("force"), lambda new: admitted(old, new)
                ),
                dry_run=dry_run,
            )
        return json_response(show(self.view(request), route.resource, changed), 200, _warning_headers(warnings))

    def _apply_new(self, route: Route, request: Request, manager: str, config: JsonObject, dry_run: bool) -> Response:
        self._require(route, "create")
        owned = field_managers.own(config, manager)
        created = self._store.create(route.resource.stored, owned, dry_run=dry_run)
        return json_response(show(self.view(request), route.resource, created), 201)

    # ---------------------------------------------------------------- deleting

    def delete(self, route: Route, request: Request) -> Response:
        """Delete the object; answer a Status when it is gone, the object while finalizers hold it."""
        self._require(route, "delete")
        options = _delete_options(request)
        deleted = self._store.delete(
            route.resource.stored,
            route.namespace,
            route.name,
            _preconditions(options),
            _propagation(options),
            dry_run=_dry_run(*(options.get("dryRun") or [""])),
        )
        metadata = deleted["metadata"]
        if metadata.get("finalizers") or route.resource.returns_deleted:
            return json_response(deleted)
        resource = route.resource
        return json_response(success(metadata["name"], resource.group, resource.plural, metadata["uid"]))

    def delete_collection(self, route: Route, request: Request) -> Response:
        """Delete the objects the selectors choose; answer the list of them."""
        self._require(route, "deletecollection")
        options = _delete_options(request)
        dry_run = _dry_run(*(options.get("dryRun") or [""]))
        with self._store.transaction():
            objects, revision = self._store.list(
                route.resource.stored,
                route.namespace or None,
                request.query.get("labelSelector"),
                request.query.get("fieldSelector"),
            )
            for obj in objects:
                metadata = obj["metadata"]
                if self._store.find(route.resource.stored, metadata.get("namespace", ""), metadata["name"]) is not None:
                    self._store.delete(
                        route.resource.stored,
                        metadata.get("namespace", ""),
                        metadata["name"],
                        propagation=_propagation(options),
                        dry_run=dry_run,
                    )
        return json_response(show_list(View(), route.resource, objects, revision))

    # ---------------------------------------------------------------- parts

    def _require(self, route: Route, verb: str) -> None:
        if verb not in route.resource.verbs:
            why = f": {route.resource.refusal}" if route.resource.refusal else ""
            raise MethodNotAllowed(f'{verb} is not supported on resources of kind "{route.resource.key}"{why}')

    def _body(self, route: Route, request: Request) -> JsonObject:
        return self._own_fields(route, read_object(request))

    def _own_fields(self, route: Route, obj: JsonObject) -> JsonObject:
        """Return the object with kind, namespace and name of the URL. Raises BadRequest when it says otherwise."""
        resource = route.resource
        api_version, kind = obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind
        if (api_version, kind) != (resource.api_version, resource.kind):
            raise BadRequest(
                f"the API version in the data ({api_version}, Kind={kind}) does not match the expected API version "
                f"({resource.api_version}, Kind={resource.kind})"
            )
        metadata = obj.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, dict) else {}
        if route.name and metadata.setdefault("name", route.name) != route.name:
            raise BadRequest(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({route.name})"
            )
        if resource.namespaced and (metadata.get("namespace") or route.namespace) != route.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        if resource.namespaced:
            metadata["namespace"] = route.namespace
        return obj | {"apiVersion": api_version, "kind": kind, "metadata": metadata}

    def _admitted(
        self, route: Route, request: Request, old: JsonObject | None, new: JsonObject
    ) -> tuple[JsonObject, Warnings]:
        """Return the object as field validation and admission let it pass, and the warnings of the first."""
        resource = route.resource
        check_shape(resource, new)
        warnings: Warnings = []
        if resource.is_validated:
            mode = request.query.get("fieldValidation") or "Warn"
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


def _warning_headers(warnings: list[str]) -> tuple[tuple[str, str], ...]:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "backslashreplace").decode()

    return tuple(("Warning", f'299 - "{quoted(text)}"') for text in warnings[:16])


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
