"""What the server knows of a kind: one `Resource` for each, and the registry that finds them.

Built-in kinds (`builtin.py`) and those of whoever composes a server are described in the same way, as a CRD with its
webhooks describes a kind on a cluster. Read by the object store (generation, status, rules), by discovery, OpenAPI,
Tables, patches and the CRD objects. A resource is named `plural` in the core group and `plural.group` elsewhere, as in
kubectl and in error texts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pdk.kubernetes.errors import Cause, PathNotFound
from pdk.kubernetes.kinds.columns import AGE, NAME, Column
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import subdomain_problem
from pdk.kubernetes.kinds.schemas import Schema, any_object, kind_schema

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
# For what only controllers make: there is no kubelet here, a pod somebody posts would never run.
NO_CREATE = ("delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ_ONLY = ("get", "list", "watch")


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind of object, in Kubernetes' words."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    categories: tuple[str, ...] = ()
    # There is a `/status` subresource: writes to the object ignore `status`, writes to `/status` ignore the rest.
    has_status: bool = False
    # There is a `/log` subresource.
    has_log: bool = False
    # metadata.generation counts the changes outside metadata and status.
    has_generation: bool = False
    # Served from a CRD on a real cluster: no strategic merge patch, updates need a resourceVersion.
    is_custom: bool = False
    # Field validation holds writes to the schema: unknown fields and wrong types are found.
    is_validated: bool = False
    # A deletion answers with the object, not with a Status.
    returns_deleted: bool = False
    # Why a verb is missing, for the refusal.
    refusal: str = ""
    description: str = ""
    # The schemas of the fields beside apiVersion, kind and metadata.
    fields: Mapping[str, Schema] = field(
        default_factory=lambda: {"spec": any_object("What is wanted."), "status": any_object("What is.")}
    )
    # What `kubectl get` shows.
    columns: tuple[Column, ...] = (NAME, AGE)
    # Dotted paths a list can be selected by, besides metadata.name and metadata.namespace.
    selectable: frozenset[str] = frozenset()
    # What is wrong with a name, None when nothing is.
    name_problem: Callable[[str], str | None] = subdomain_problem
    # Completes a new or changed object in place; raises BadRequest or ObjectInvalid for one that breaks a rule.
    settle: Callable[[JsonObject], None] = lambda _obj: None
    # What an update (old, new) may not change.
    change_causes: Callable[[JsonObject, JsonObject], Iterable[Cause]] = lambda _old, _new: ()
    # Admission webhooks, for clients' writes only: (stored object or None, new one) to what is stored.
    admit: Callable[[JsonObject | None, JsonObject], JsonObject] = lambda _old, new: new
    # The key of the resource whose objects this one shows under other names, and how.
    view_of: str = ""
    view: Callable[[JsonObject], JsonObject] = lambda obj: obj

    @property
    def key(self) -> str:
        """`plural` or `plural.group`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def stored(self) -> str:
        """The key the objects are kept under."""
        return self.view_of or self.key

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified_kind(self) -> str:
        """`Kind` or `Kind.group`, as in "... is invalid" texts."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def singular(self) -> str:
        """The name discovery gives for one object."""
        return self.kind.lower()

    @property
    def schema(self) -> Schema:
        """The OpenAPI v3 schema of the objects."""
        return kind_schema(self.fields, self.description or f"{self.kind} objects.")


class Resources:
    """Finds a `Resource` by its key or by the parts of a URL; iterating skips those that only show others' objects."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        """Keep the order of registration; a later resource replaces an earlier one of the same key in its place."""
        self._by_key = {resource.key: resource for resource in resources}

    def __iter__(self) -> Iterator[Resource]:
        return (resource for resource in self._by_key.values() if not resource.view_of)

    def __getitem__(self, key: str) -> Resource:
        """Return the resource `plural[.group]`. Raises PathNotFound when it is not served."""
        try:
            return self._by_key[key]
        except KeyError:
            raise PathNotFound(f"the server does not serve {key!r}") from None

    def served(self) -> list[Resource]:
        """Return every resource that has a URL, those that show others' objects last."""
        return sorted(self._by_key.values(), key=lambda resource: resource.view_of != "")

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource of a URL, None when this server does not serve it."""
        resource = self._by_key.get(f"{plural}.{group}" if group else plural)
        return resource if resource is not None and resource.version == version else None

    def group_versions(self) -> list[tuple[str, str]]:
        """Return the (group, version) pairs served, core first, otherwise in the order of registration."""
        pairs = dict.fromkeys((resource.group, resource.version) for resource in self)
        return sorted(pairs, key=lambda pair: pair[0] != "")

    def of(self, group: str, version: str) -> list[Resource]:
        """Return the resources of one group version."""
        return [resource for resource in self if (resource.group, resource.version) == (group, version)]
