"""The kinds this server keeps: one `Resource` for each, and the registry that finds them.

Read by the object store (what to do with generation and status), by discovery, OpenAPI, Tables and the CRD objects.
A resource is named `plural` in the core group and `plural.group` elsewhere, as in kubectl and in error texts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pdk.kubernetes.errors import PathNotFound

SERVING_GROUP = "serving.kserve.io"
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
NO_CREATE = ("delete", "deletecollection", "get", "list", "patch", "update", "watch")
"""For what only the InferenceService controller makes: a pod somebody posts here would never run."""
READ_ONLY = ("get", "list", "watch")


@dataclass(frozen=True)
class Resource:
    """One kind of object, in Kubernetes' words."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    has_status: bool = False
    """There is a `/status` subresource: writes to the object ignore `status`, writes to `/status` ignore the rest."""
    has_generation: bool = False
    """metadata.generation counts the changes outside metadata and status."""
    is_custom: bool = False
    """Served from a CRD on a real cluster: no strategic merge patch, updates need a resourceVersion."""
    path_segment_name: bool = False
    """The name may be any URL path segment (CRD-like rules do not apply)."""
    categories: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`plural` or `plural.group`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

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


RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "ConfigMap", "configmaps", short_names=("cm",)),
    Resource("", "v1", "Event", "events", short_names=("ev",)),
    Resource("", "v1", "Namespace", "namespaces", namespaced=False, short_names=("ns",), has_status=True),
    Resource("", "v1", "Pod", "pods", short_names=("po",), verbs=NO_CREATE, has_status=True, categories=("all",)),
    Resource("", "v1", "Secret", "secrets"),
    Resource("", "v1", "ServiceAccount", "serviceaccounts", short_names=("sa",)),
    Resource(
        "", "v1", "Service", "services", short_names=("svc",), verbs=NO_CREATE, has_status=True, categories=("all",)
    ),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
        short_names=("crd", "crds"),
        verbs=READ_ONLY,
        has_status=True,
        has_generation=True,
        categories=("api-extensions",),
    ),
    Resource(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        short_names=("deploy",),
        verbs=NO_CREATE,
        has_status=True,
        has_generation=True,
        categories=("all",),
    ),
    Resource(
        SERVING_GROUP,
        "v1beta1",
        "InferenceService",
        "inferenceservices",
        short_names=("isvc",),
        has_status=True,
        has_generation=True,
        is_custom=True,
    ),
    Resource(
        SERVING_GROUP,
        "v1alpha1",
        "ClusterServingRuntime",
        "clusterservingruntimes",
        namespaced=False,
        has_generation=True,
        is_custom=True,
    ),
    Resource(SERVING_GROUP, "v1alpha1", "ServingRuntime", "servingruntimes", has_generation=True, is_custom=True),
)


class Resources:
    """Finds a `Resource` by its key or by the parts of a URL."""

    def __init__(self, resources: Iterable[Resource] = RESOURCES) -> None:
        self._by_key = {resource.key: resource for resource in resources}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_key.values())

    def __getitem__(self, key: str) -> Resource:
        """Return the resource `plural[.group]`; raise PathNotFound when it is not served."""
        try:
            return self._by_key[key]
        except KeyError:
            raise PathNotFound(f"the server does not serve {key!r}") from None

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
