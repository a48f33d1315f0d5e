"""What the server serves, as clients ask for it: `/api`, `/apis` (legacy and aggregated), group versions, `/version`.

Generated from the resource registry; called by the router. Mirrors kube-apiserver's discovery endpoints of 1.32.
"""

import hashlib
from collections.abc import Iterable

from starlette.responses import Response

from pdk.kubernetes.api.http import Request, encode, json_response, response
from pdk.kubernetes.errors import PathNotFound
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource, Resources
from pdk.web.routing import route

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# The Kubernetes release whose API this is; the Python client requires every field.
VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.4+pdk",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2025-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
# Questions that are answered and not kept: group, version, kind, plural.
REVIEWS = (
    ("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews"),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
)


class Discovery:
    """Answers what is served."""

    def __init__(self, resources: Resources) -> None:
        kept = [_entry(resource) for resource in resources.served()]
        self._entries: dict[tuple[str, str], list[JsonObject]] = {}
        for group, version, entry in [*kept, *(_review_entry(*review) for review in REVIEWS)]:
            self._entries.setdefault((group, version), []).append(entry)

    @route("GET", "/healthz", public=True)
    @route("GET", "/healthz/{check}", public=True)
    @route("GET", "/livez", public=True)
    @route("GET", "/livez/{check}", public=True)
    @route("GET", "/readyz", public=True)
    @route("GET", "/readyz/{check}", public=True)
    def health(self, request: Request, check: str = "") -> Response:
        """Answer `/healthz` and its siblings: that the server answers is all there is to check."""
        return response(b"ok", "text/plain")

    @route("GET", "/version", public=True)
    def version(self, request: Request) -> Response:
        """Answer `/version`."""
        return json_response(VERSION)

    @route("GET", "/api")
    def core(self, request: Request) -> Response:
        """Answer `/api`."""
        if _wants_aggregated(request):
            return self._aggregated([("", "v1")])
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": request.headers.get("host", "")}
        return json_response({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]})

    @route("GET", "/apis")
    def groups(self, request: Request) -> Response:
        """Answer `/apis`."""
        if _wants_aggregated(request):
            return self._aggregated(pair for pair in self._entries if pair[0])
        names = dict.fromkeys(group for group, _ in self._entries if group)
        groups = [self._group(name) for name in names]
        return json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})

    @route("GET", "/apis/{group}")
    def group(self, request: Request, group: str) -> Response:
        """Answer `/apis/<group>`."""
        if not any(name == group for name, _ in self._entries if name):
            raise PathNotFound
        return json_response({"kind": "APIGroup", "apiVersion": "v1"} | self._group(group))

    @route("GET", "/api/{version}")
    @route("GET", "/apis/{group}/{version}")
    def resources(self, request: Request, version: str, group: str = "") -> Response:
        """Answer `/api/v1` and `/apis/<group>/<version>`."""
        if (group, version) not in self._entries:
            raise PathNotFound
        legacy = [resource for entry in self._entries[group, version] for resource in _legacy(entry)]
        group_version = f"{group}/{version}" if group else version
        return json_response(
            {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": legacy}
        )

    def _group(self, name: str) -> JsonObject:
        # The later a version was registered, the less preferred: the first one holds what people mean by the group.
        versions = [
            {"groupVersion": f"{name}/{version}", "version": version}
            for group, version in self._entries
            if group == name
        ]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _aggregated(self, pairs: Iterable[tuple[str, str]]) -> Response:
        items: dict[str, JsonObject] = {}
        for group, version in pairs:
            metadata = {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
            item = items.setdefault(group, {"metadata": metadata, "versions": []})
            item["versions"].append(
                {"version": version, "resources": self._entries[group, version], "freshness": "Current"}
            )
        body = encode(
            {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": list(items.values()),
            }
        )
        etag = hashlib.sha256(body).hexdigest()[:32].upper()
        return response(body, AGGREGATED, headers=(("ETag", f'"{etag}"'), ("Vary", "Accept")))


def _wants_aggregated(request: Request) -> bool:
    return "g=apidiscovery.k8s.io" in request.accept and "v=v2;" in f"{request.accept.replace(' ', '')};"


def _kind(group: str, version: str, kind: str) -> JsonObject:
    return {"group": group, "version": version, "kind": kind}


def _entry(resource: Resource) -> tuple[str, str, JsonObject]:
    """Return the aggregated entry of a resource, its subresources inside."""
    kind = _kind(resource.group, resource.version, resource.kind)
    subresources = []
    if resource.has_status and "update" in resource.verbs:
        verbs = ["get", "patch", "update"]
        subresources.append({"subresource": "status", "responseKind": kind, "verbs": verbs})
    if resource.has_log:
        subresources.append({"subresource": "log", "responseKind": kind, "verbs": ["get"]})
    entry: JsonObject = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if subresources:
        entry["subresources"] = subresources
    return resource.group, resource.version, entry


def _review_entry(group: str, version: str, kind: str, plural: str) -> tuple[str, str, JsonObject]:
    entry = {
        "resource": plural,
        "responseKind": _kind(group, version, kind),
        "scope": "Cluster",
        "singularResource": kind.lower(),
        "verbs": ["create"],
    }
    return group, version, entry


def _legacy(entry: JsonObject) -> Iterable[JsonObject]:
    kind = entry["responseKind"]["kind"]
    namespaced = entry["scope"] == "Namespaced"
    yield {
        "name": entry["resource"],
        "singularName": entry["singularResource"],
        "namespaced": namespaced,
        "kind": kind,
        "verbs": entry["verbs"],
    } | {key: entry[key] for key in ("shortNames", "categories") if key in entry}
    for subresource in entry.get("subresources", ()):
        yield {
            "name": f"{entry['resource']}/{subresource['subresource']}",
            "singularName": "",
            "namespaced": namespaced,
            "kind": kind,
            "verbs": subresource["verbs"],
        }
