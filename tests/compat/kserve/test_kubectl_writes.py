"""kubectl create (protobuf bodies), patch, annotate, label, edit, server-side apply, auth."""

import base64
import json

import pytest
from targets import NAMESPACE

ISVC = "inferenceservices.serving.kserve.io"


def test_create_kinds_that_kubectl_sends_as_protobuf(kube):
    kube.kubectl("create", "secret", "generic", "s3", "--from-literal=AWS_ACCESS_KEY_ID=key", "--from-literal=empty=")
    secret = kube.store.get("secrets", NAMESPACE, "s3")
    assert base64.b64decode(secret["data"]["AWS_ACCESS_KEY_ID"]) == b"key"
    assert secret["data"]["empty"] == ""
    assert secret["type"] == "Opaque"
    kube.kubectl("create", "configmap", "c", "--from-literal=a=b")
    assert kube.store.get("configmaps", NAMESPACE, "c")["data"] == {"a": "b"}
    kube.kubectl("create", "serviceaccount", "robot")
    kube.kubectl("create", "secret", "docker-registry", "pull", "--docker-username=u", "--docker-password=p")
    assert kube.store.get("secrets", NAMESPACE, "pull")["type"] == "kubernetes.io/dockerconfigjson"
    listing = kube.kubectl("get", "secret,configmap,serviceaccount")
    for shown in ("secret/s3     Opaque", "configmap/c", "serviceaccount/robot"):
        assert shown in listing
    assert 'secrets "s3" already exists' in kube.refused("create", "secret", "generic", "s3")
    assert kube.kubectl("create", "sa", "dry", "--dry-run=server").endswith("created (server dry run)\n")
    assert kube.store.find("serviceaccounts", NAMESPACE, "dry") is None


@pytest.mark.ours
def test_auth(kube):
    assert kube.kubectl("auth", "can-i", "create", "inferenceservices") == "yes\n"
    assert kube.command("auth", "can-i", "create", "pods").stdout.startswith("no")
    assert "kubernetes-admin" in kube.kubectl("auth", "whoami")
    assert "inferenceservices.serving.kserve.io" in kube.kubectl("auth", "can-i", "--list")


def test_annotate_label_and_patch(kube, manifest):
    kube.kubectl("create", "-f", "-", stdin=manifest)
    kube.kubectl("annotate", "isvc", "churn", "pach_id=2", "--overwrite")
    kube.kubectl("label", "isvc", "churn", "team=a")
    kube.kubectl("label", "isvc", "churn", "team-")
    kube.kubectl("patch", "isvc", "churn", "--type=merge", "-p", '{"spec":{"predictor":{"minReplicas":2}}}')
    operations = [
        {"op": "test", "path": "/spec/predictor/minReplicas", "value": 2},
        {"op": "add", "path": "/spec/predictor/model/env", "value": [{"name": "A", "value": "b"}]},
    ]
    kube.kubectl("patch", "isvc", "churn", "--type=json", "-p", json.dumps(operations))
    stored = kube.store.get(ISVC, NAMESPACE, "churn")
    assert stored["metadata"]["annotations"]["pach_id"] == "2"
    assert "labels" not in stored["metadata"]
    assert stored["spec"]["predictor"]["model"]["env"] == [{"name": "A", "value": "b"}]
    assert stored["metadata"]["generation"] == 3
    text = kube.refused("patch", "isvc", "churn", "-p", "{}")
    assert "strategic-merge-patch+json is not supported by serving.kserve.io/v1beta1" in text
    operations[0]["value"] = 9
    assert "testing the value failed" in kube.refused(
        "patch", "isvc", "churn", "--type=json", "-p", json.dumps(operations)
    )


@pytest.mark.ours  # KServe's controller writes the status as well
def test_patch_of_the_status(kube, manifest):
    kube.kubectl("create", "-f", "-", stdin=manifest)
    kube.kubectl("patch", "isvc", "churn", "--subresource=status", "--type=merge", "-p", '{"status":{"url":"u"}}')
    assert kube.store.get(ISVC, NAMESPACE, "churn")["status"] == {"url": "u"}


def test_edit(kube, manifest, tmp_path):
    kube.kubectl("create", "-f", "-", stdin=manifest)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s#s3://models/v1/#s3://models/v2/#" "$1"\n')
    editor.chmod(0o700)
    environment = kube.environment
    kube.environment = lambda: environment() | {"KUBE_EDITOR": str(editor)}
    assert kube.kubectl("edit", "isvc", "churn").endswith("churn edited\n")
    assert kube.store.get(ISVC, NAMESPACE, "churn")["spec"]["predictor"]["model"]["storageUri"] == "s3://models/v2/"


@pytest.mark.ours
def test_server_side_apply_knows_who_owns_what(kube, manifest):
    apply = ("apply", "--server-side", "-f", "-")
    assert kube.kubectl(*apply, stdin=manifest).endswith("churn serverside-applied\n")
    revision = kube.store.get(ISVC, NAMESPACE, "churn")["metadata"]["resourceVersion"]
    kube.kubectl(*apply, stdin=manifest)
    assert kube.store.get(ISVC, NAMESPACE, "churn")["metadata"]["resourceVersion"] == revision
    kube.kubectl("patch", "isvc", "churn", "--type=merge", "-p", '{"spec":{"predictor":{"minReplicas":2}}}')
    manifest["spec"]["predictor"]["maxReplicas"] = 3
    text = kube.refused(*apply, stdin=manifest)
    assert 'Apply failed with 1 conflict: conflict with "kubectl-patch": .spec' in text
    kube.kubectl(*apply, "--force-conflicts", stdin=manifest)
    stored = kube.store.get(ISVC, NAMESPACE, "churn")
    assert "minReplicas" not in stored["spec"]["predictor"]
    assert [entry["manager"] for entry in stored["metadata"]["managedFields"]] == ["kubectl"]
    del manifest["metadata"]["annotations"]["pach_id"]
    kube.kubectl(*apply, stdin=manifest)
    assert "annotations" not in kube.store.get(ISVC, NAMESPACE, "churn")["metadata"]


def test_going_over_from_client_side_to_server_side_apply(kube, manifest):
    kube.kubectl("apply", "-f", "-", stdin=manifest)
    manifest["metadata"]["annotations"] = {"pach_id": "2"}
    kube.kubectl("apply", "--server-side", "-f", "-", "--force-conflicts", stdin=manifest)
    stored = kube.store.get(ISVC, NAMESPACE, "churn")
    assert stored["metadata"]["annotations"]["pach_id"] == "2"
    assert "kubectl" in [entry["manager"] for entry in stored["metadata"]["managedFields"]]
