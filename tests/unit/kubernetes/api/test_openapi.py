"""OpenAPI v3."""

import pytest

from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.api.openapi import build_document, schema_name


def test_the_index_points_at_documents_that_exist(api):
    paths = api.call("GET", "/openapi/v3")[1]["paths"]
    assert "apis/serving.kserve.io/v1beta1" in paths
    for name, entry in paths.items():
        url, _, query = entry["serverRelativeURL"].partition("?")
        assert url == f"/openapi/v3/{name}"
        assert query.startswith("hash=")
        assert api.call("GET", url)[1]["openapi"].startswith("3.")


@pytest.mark.parametrize("resource", list(serving_resources()), ids=lambda resource: resource.key)
def test_kubectl_finds_kind_and_validation_parameter(resource):
    document = build_document([resource])
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    assert document["components"]["schemas"][schema_name(resource)]["x-kubernetes-group-version-kind"] == [kind]
    patches = [path["patch"] for path in document["paths"].values() if "patch" in path]
    assert patches[0]["x-kubernetes-group-version-kind"] == kind
    assert "fieldValidation" in [parameter["name"] for parameter in patches[0]["parameters"]]
    strategic = "application/strategic-merge-patch+json" in patches[0]["requestBody"]["content"]
    assert strategic is not resource.is_custom


def test_openapi_v2_is_an_empty_protobuf_document(api):
    headers = [("authorization", "Bearer t0ken")]
    code, found, body = api.raw("GET", "/openapi/v2", headers=headers)
    assert (code, found["content-type"]) == (200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
    assert body.startswith(b"\x0a\x032.0\x12")
    assert body[6] == len(body) - 7
