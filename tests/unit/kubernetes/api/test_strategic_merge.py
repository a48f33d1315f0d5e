"""Strategic merge patches."""

import pytest

from pdk.kubernetes.api.strategic_merge import strategic_merge
from pdk.kubernetes.errors import BadRequest

POD = {
    "metadata": {"finalizers": ["a", "b"], "labels": {"x": "1"}},
    "spec": {
        "containers": [
            {"name": "one", "image": "i1", "env": [{"name": "A", "value": "1"}], "args": ["x"]},
            {"name": "two", "image": "i2"},
        ],
        "tolerations": [{"key": "a"}],
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {}},
    },
}


def merged(patch, target=POD, kind="Pod"):
    return strategic_merge(kind, target, patch)


def test_lists_merge_by_their_key():
    patch = {
        "spec": {"containers": [{"name": "one", "image": "new", "env": [{"name": "B", "value": "2"}], "args": ["y"]}]}
    }
    containers = merged(patch)["spec"]["containers"]
    assert [container["name"] for container in containers] == ["one", "two"]
    assert containers[0]["image"] == "new"
    assert [env["name"] for env in containers[0]["env"]] == ["A", "B"]
    assert containers[0]["args"] == ["y"]


def test_the_given_object_stays_as_it_is():
    merged({"spec": {"containers": [{"name": "one", "image": "new"}]}})
    assert POD["spec"]["containers"][0]["image"] == "i1"


def test_other_lists_are_replaced():
    assert merged({"spec": {"tolerations": [{"key": "b"}]}})["spec"]["tolerations"] == [{"key": "b"}]


def test_nulls_remove():
    assert merged({"metadata": {"labels": None}, "spec": {"tolerations": None}})["metadata"] == {
        "finalizers": ["a", "b"]
    }


def test_directives():
    containers = merged({"spec": {"containers": [{"name": "one", "$patch": "delete"}]}})["spec"]["containers"]
    assert [container["name"] for container in containers] == ["two"]
    replaced = {"spec": {"containers": [{"name": "three"}, {"$patch": "replace"}]}}
    assert merged(replaced)["spec"]["containers"] == [{"name": "three"}]
    assert merged({"metadata": {"$patch": "replace", "name": "n"}})["metadata"] == {"name": "n"}
    assert merged({"metadata": {"$patch": "delete"}})["metadata"] == {}
    kept = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert merged(kept)["spec"]["strategy"] == {"type": "Recreate"}
    with pytest.raises(BadRequest, match="unknown"):
        merged({"$patch": "dance"})


def test_sets_of_plain_values():
    assert merged({"metadata": {"finalizers": ["b", "c"]}})["metadata"]["finalizers"] == ["a", "b", "c"]
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}
    assert merged(patch)["metadata"]["finalizers"] == ["b", "c"]


def test_element_order_keeps_what_it_does_not_name():
    account = {"secrets": [{"name": "s1"}, {"name": "s2"}, {"name": "s4"}]}
    patch = {"$setElementOrder/secrets": [{"name": "s5"}, {"name": "s1"}], "secrets": [{"name": "s5"}]}
    names = [secret["name"] for secret in merged(patch, account, "ServiceAccount")["secrets"]]
    assert names == ["s5", "s1", "s2", "s4"]


def test_ports_of_services_and_of_containers():
    service = {"spec": {"ports": [{"port": 80, "name": "a"}]}}
    patch = {"spec": {"ports": [{"port": 80, "name": "b"}, {"port": 81}]}}
    assert merged(patch, service, "Service")["spec"]["ports"] == [{"port": 80, "name": "b"}, {"port": 81}]
    with pytest.raises(BadRequest, match="does not contain declared merge key: port"):
        merged({"spec": {"ports": [{"name": "b"}]}}, service, "Service")
