"""What the server does to an object on its way in."""

import base64

import pytest

from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.errors import BadRequest, ObjectConflict, ObjectInvalid
from pdk.kubernetes.store.metadata import prepare_create, prepare_update

RESOURCES = serving_resources()
SECRETS = RESOURCES["secrets"]


def created(resource, **fields):
    metadata = {"name": "x", "namespace": "models"} | fields.pop("metadata", {})
    return prepare_create(RESOURCES[resource], {"metadata": metadata, **fields}, keep_status=False)


def test_what_only_the_server_sets_is_not_taken_from_the_client():
    forged = {
        "uid": "u",
        "creationTimestamp": "1999",
        "generation": 9,
        "resourceVersion": "7",
        "deletionTimestamp": "x",
    }
    metadata = created("inferenceservices.serving.kserve.io", metadata=forged)["metadata"]
    assert metadata["generation"] == 1
    assert metadata["uid"] != "u"
    assert metadata["creationTimestamp"] != "1999"
    assert "deletionTimestamp" not in metadata
    assert "resourceVersion" not in metadata


def test_a_cluster_wide_object_has_no_namespace():
    assert "namespace" not in created("namespaces")["metadata"]
    assert created("namespaces")["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"a": 1}},
        {"labels": ["a"]},
        {"annotations": {"a": {}}},
        {"finalizers": "x"},
        {"finalizers": [1]},
        {"ownerReferences": ["x"]},
        {"name": 7},
    ],
)
def test_metadata_of_the_wrong_type(metadata):
    with pytest.raises(BadRequest, match="cannot be handled as a Secret: json: cannot unmarshal"):
        created("secrets", metadata=metadata)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ObjectInvalid) as caught:
        created("secrets", metadata={"name": "A_b", "labels": {"-": ""}, "ownerReferences": [{"kind": "Pod"}]})
    fields = [cause.field for cause in caught.value.details.causes]
    assert fields[:2] == ["metadata.name", "metadata.labels"]
    assert "metadata.ownerReferences[0].uid" in fields


def test_string_data_becomes_data():
    secret = created("secrets", stringData={"a": "é"}, data={"b": base64.b64encode(b"\0").decode(), "c": None})
    assert "stringData" not in secret
    assert base64.b64decode(secret["data"]["a"]).decode() == "é"
    assert secret["data"]["c"] == ""
    assert secret["type"] == "Opaque"


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"a": "no base64"}},
        {"data": {"a": 1}},
        {"data": ["a"]},
        {"stringData": {"a": 1}},
        {"data": {"a": "YQ"}},
        {"data": {"a": "é"}},
    ],
)
def test_secrets_that_cannot_be_read(fields):
    with pytest.raises(BadRequest, match="cannot be handled as a Secret"):
        created("secrets", **fields)


def test_keys_of_secrets_and_config_maps():
    for key in ("../x", "", "a b", "é", ".."):
        with pytest.raises(ObjectInvalid, match="valid config key"):
            created("secrets", stringData={key: "x"})
        with pytest.raises(ObjectInvalid):
            created("configmaps", data={key: "x"})
    with pytest.raises(BadRequest):
        created("configmaps", data={"a": 1})
    with pytest.raises(ObjectInvalid, match="Too long"):
        created("secrets", stringData={"a": "x" * 1024 * 1024 + "y"})


def update(old, **changes):
    old = old | {"metadata": old["metadata"] | {"resourceVersion": "5"}}
    metadata = {"name": "x", "namespace": "models"} | changes.pop("metadata", {})
    return prepare_update(RESOURCES["secrets"], old, {"metadata": metadata, **changes})


def test_what_may_not_change():
    old = created("secrets", stringData={"a": "b"}, immutable=True)
    with pytest.raises(ObjectInvalid, match="field is immutable"):
        update(old, type="Opaque", data={"a": "YQ=="})
    with pytest.raises(ObjectInvalid, match="type: Invalid value"):
        update(created("secrets"), type="other")
    with pytest.raises(ObjectInvalid, match=r"metadata\.name"):
        update(created("secrets"), metadata={"name": "y"})
    with pytest.raises(ObjectConflict, match="UID in precondition"):
        update(created("secrets"), metadata={"uid": "other"})
    with pytest.raises(ObjectConflict, match="has been modified"):
        update(created("secrets"), metadata={"resourceVersion": "4"})


def test_no_finalizer_can_be_added_to_an_object_being_deleted():
    old = created("secrets", metadata={"finalizers": ["a/b"]})
    old["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    with pytest.raises(ObjectInvalid, match="no new finalizers can be added"):
        update(old, metadata={"finalizers": ["a/b", "c/d"]})
    assert "finalizers" not in update(old, metadata={"finalizers": []})["metadata"]
