"""Access reviews."""

import pytest

AUTHORIZATION = "/apis/authorization.k8s.io/v1"


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        ({"verb": "create", "group": "serving.kserve.io", "resource": "inferenceservices"}, True),
        ({"verb": "*", "group": "*", "resource": "*"}, True),
        ({"verb": "create", "resource": "pods"}, False),
        ({"verb": "get", "resource": "nodes"}, False),
        ({"verb": "get", "group": "apps", "resource": "pods"}, False),
    ],
)
def test_may_i(api, attributes, allowed):
    code, review = api.call(
        "POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": attributes}}
    )
    assert (code, review["status"]["allowed"]) == (201, allowed)
    assert ("reason" in review["status"]) is not allowed


def test_paths_rules_and_who_i_am(api):
    path = {"spec": {"nonResourceAttributes": {"path": "/version", "verb": "get"}}}
    assert api.call("POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", path)[1]["status"] == {"allowed": True}
    rules = api.call("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", {})[1]["status"]["resourceRules"]
    assert {
        "verbs": ["get", "list", "watch"],
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
    } in rules
    who = api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})[1]
    assert who["status"]["userInfo"]["username"] == "kubernetes-admin"
    assert api.call("POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": "x"})[0] == 201
