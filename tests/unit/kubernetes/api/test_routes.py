"""Paths of URLs."""

import pytest

from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.api.routes import resource_routes
from pdk.web.routing import Route, Router, segments_of


def told(target, request):
    return target


HANDLERS = [Route("GET", "{collection}" + rest, told) for rest in ("", "/{name}", "/{name}/status", "/{name}/log")]
ROUTER = Router(each for resource in serving_resources().served() for each in resource_routes(resource, HANDLERS))


def parts(path):
    found = ROUTER.match("GET", segments_of(path.encode()))
    if found is None:
        return None
    target = found[0].handler(None, **found[1])
    return target.resource.key, target.namespace, target.name, target.subresource


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("api/v1/pods", ("pods", "", "", "")),
        ("api/v1/namespaces", ("namespaces", "", "", "")),
        ("api/v1/namespaces/models", ("namespaces", "", "models", "")),
        ("api/v1/namespaces/models/status", ("namespaces", "", "models", "status")),
        ("api/v1/namespaces/models/pods", ("pods", "models", "", "")),
        ("api/v1/namespaces/models/pods/p/log", ("pods", "models", "p", "log")),
        ("apis/apps/v1/namespaces/models/deployments/d", ("deployments.apps", "models", "d", "")),
        (
            "apis/serving.kserve.io/v1alpha1/clusterservingruntimes/x",
            ("clusterservingruntimes.serving.kserve.io", "", "x", ""),
        ),
        ("apis/events.k8s.io/v1/events", ("events.events.k8s.io", "", "", "")),
    ],
)
def test_paths(path, what):
    assert parts(path) == what


@pytest.mark.parametrize(
    "path",
    [
        "api",
        "api/v1",
        "api/v1/pods/p",
        "api/v1/namespaces/models/pods/p/log/x",
        "api/v1/namespaces/models/secrets/s/log",
        "api/v1/namespaces/models/secrets/s/status",
        "api/v1/deployments",
        "apis/apps/v1beta1/deployments",
        "apis/serving.kserve.io/v1alpha1/namespaces/models/clusterservingruntimes",
        "healthz/x/y",
    ],
)
def test_what_no_path_names(path):
    assert parts(path) is None
