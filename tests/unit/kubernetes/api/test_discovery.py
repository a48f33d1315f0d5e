"""Legacy and aggregated discovery say the same."""

import json

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


def aggregated(api):
    found = {}
    for path in ("/api", "/apis"):
        for group in api.call("GET", path, accept=AGGREGATED)[1]["items"]:
            for version in group["versions"]:
                for resource in version["resources"]:
                    kind = resource["responseKind"]
                    assert (kind["group"], kind["version"]) == (group["metadata"].get("name", ""), version["version"])
                    key = (kind["group"], kind["version"], resource["resource"])
                    found[key] = (sorted(resource["verbs"]), resource["scope"] == "Namespaced")
                    for sub in resource.get("subresources", []):
                        found[(*key[:2], f"{key[2]}/{sub['subresource']}")] = (sorted(sub["verbs"]), found[key][1])
    return found


def legacy(api):
    found = {}
    versions = [("", version, f"/api/{version}") for version in api.call("GET", "/api")[1]["versions"]]
    for group in api.call("GET", "/apis")[1]["groups"]:
        assert api.call("GET", f"/apis/{group['name']}")[1]["versions"] == group["versions"]
        for version in group["versions"]:
            versions.append((group["name"], version["version"], f"/apis/{version['groupVersion']}"))
    for group, version, path in versions:
        for resource in api.call("GET", path)[1]["resources"]:
            found[group, version, resource["name"]] = (sorted(resource["verbs"]), resource["namespaced"])
    return found


def test_both_forms_agree(api):
    assert aggregated(api) == legacy(api)
    assert ("serving.kserve.io", "v1beta1", "inferenceservices/status") in legacy(api)
    assert legacy(api)["", "v1", "pods/log"] == (["get"], True)


def test_every_listable_resource_can_be_listed(api):
    for (group, version, name), (verbs, _) in legacy(api).items():
        if "list" in verbs:
            path = f"/apis/{group}/{version}/{name}" if group else f"/api/{version}/{name}"
            assert api.call("GET", path)[0] == 200, path


def test_the_content_type_says_that_it_is_aggregated(api):
    headers = [("authorization", "Bearer t0ken"), ("accept", AGGREGATED)]
    _, found, body = api.raw("GET", "/apis", headers=headers)
    assert found["content-type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert json.loads(body)["kind"] == "APIGroupDiscoveryList"


def test_version_has_every_field_the_python_client_needs(api):
    from kubernetes.client import VersionInfo  # noqa: PLC0415 - a heavy import only this test needs

    code, version = api.call("GET", "/version")
    assert code == 200
    required = {
        "major",
        "minor",
        "gitVersion",
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    }
    assert required <= set(version) & set(VersionInfo.attribute_map.values())
