"""kubectl get, describe, explain, api-resources, apply, diff, delete, wait against a real socket."""

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from targets import NAMESPACE
from waiting import wait_until


def columns(line):
    return line.split()


@pytest.mark.ours
def test_get_isvc_shows_the_columns_of_kserve(kube):
    kube.serve_churn()
    header, row = kube.kubectl("get", "isvc").splitlines()
    assert columns(header) == [
        "NAME",
        "URL",
        "READY",
        "PREV",
        "LATEST",
        "PREVROLLEDOUTREVISION",
        "LATESTREADYREVISION",
        "AGE",
    ]
    assert columns(row)[:7] == [
        "churn",
        "http://churn.models.example.com",
        "True",
        "20",
        "80",
        "churn-predictor-00001",
        "churn-predictor-00002",
    ]
    assert columns(row)[7].endswith("s")


@pytest.mark.ours
def test_get_in_every_output_form(kube):
    kube.serve_churn()
    assert json.loads(kube.kubectl("get", "isvc", "churn", "-o", "json"))["status"]["observedGeneration"] == 1
    assert "storageUri: s3://models/v1/" in kube.kubectl("get", "isvc", "churn", "-o", "yaml")
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    assert kube.kubectl("get", "isvc", "churn", "-o", f"jsonpath={path}") == "True"
    assert kube.kubectl("get", "isvc", "-o", "name") == "inferenceservice.serving.kserve.io/churn\n"
    assert kube.kubectl("get", "isvc", "-A", "--no-headers").startswith(f"{NAMESPACE} ")
    assert kube.kubectl("get", "inferenceservices.v1beta1.serving.kserve.io", "churn", "--no-headers").startswith(
        "churn "
    )
    wide = kube.kubectl("get", "pods", "-o", "wide").splitlines()
    assert "NOMINATED NODE" in wide[0]
    assert columns(wide[1])[1:4] == ["2/2", "Running", "1"]


@pytest.mark.ours
def test_get_with_selectors(kube):
    kube.serve_churn()
    label = "serving.kserve.io/inferenceservice"
    assert kube.kubectl("get", "pods", "-l", f"{label}=churn", "-o", "name").startswith("pod/churn-predictor")
    assert kube.kubectl("get", "pods", "-l", f"{label} in (other)", "-o", "name") == ""
    assert kube.kubectl("get", "pods", "-l", f"!{label}", "-o", "name") == ""
    assert kube.kubectl("get", "pods", "--field-selector", "status.phase=Running", "-o", "name") != ""
    assert (
        kube.kubectl("get", "ns", "--field-selector", f"metadata.name={NAMESPACE}", "-o", "name")
        == f"namespace/{NAMESPACE}\n"
    )


@pytest.mark.ours
def test_the_texts_of_missing_things(kube):
    assert kube.refused("get", "isvc", "nope") == (
        'Error from server (NotFound): inferenceservices.serving.kserve.io "nope" not found\n'
    )
    assert (
        kube.refused("get", "isvc", "nope", "-n", "nowhere")
        == 'Error from server (NotFound): namespaces "nowhere" not found\n'
    )
    assert "the server doesn't have a resource type" in kube.refused("get", "nodes")
    assert kube.command("get", "isvc").stderr == f"No resources found in {NAMESPACE} namespace.\n"
    trained = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "TrainedModel", "metadata": {"name": "t"}}
    assert 'no matches for kind "TrainedModel"' in kube.refused("apply", "-f", "-", stdin=trained)


@pytest.mark.ours
def test_describe(kube):
    kube.serve_churn()
    text = kube.kubectl("describe", "isvc", "churn")
    assert "Latest Ready Revision:  churn-predictor-00002" in text
    assert "v1beta1Controllers  InferenceService [churn] is Ready" in text
    text = kube.kubectl("describe", "pod", "-l", "component=predictor")
    assert "Controlled By" not in text  # the owner is no controller in this scene
    assert "storage-initializer:" in text
    assert "Restart Count:  1" in text


@pytest.mark.ours
def test_get_watch_prints_each_change(kube):
    kube.serve_churn()
    with kube.background("get", "isvc", "-w", "--no-headers") as watching:
        assert "True" in watching.stdout.readline()
        kube.store.edit(
            "inferenceservices.serving.kserve.io",
            NAMESPACE,
            "churn",
            lambda isvc: isvc | {"status": {"url": "http://changed.example.com"}},
            status=True,
        )
        assert "http://changed.example.com" in watching.stdout.readline()


def test_explain_and_api_resources(kube):
    assert "modelFormat\t<Object>" in kube.kubectl("explain", "isvc.spec.predictor.model")
    assert "FIELD: storageUri <string>" in kube.kubectl("explain", "isvc.spec.predictor.model.storageUri")
    listing = kube.kubectl("api-resources")
    assert (
        "inferenceservices           isvc         serving.kserve.io/v1beta1    true         InferenceService" in listing
    )
    assert kube.kubectl("api-versions").splitlines().count("serving.kserve.io/v1beta1") == 1
    assert kube.kubectl("get", "--raw", "/readyz") == "ok"


def test_apply_creates_changes_and_leaves_alone(kube, manifest):
    assert kube.kubectl("apply", "-f", "-", stdin=manifest).endswith("churn created\n")
    assert kube.kubectl("apply", "-f", "-", stdin=manifest).endswith("churn unchanged\n")
    manifest["spec"]["predictor"]["model"]["storageUri"] = "s3://models/v2/"
    del manifest["metadata"]["annotations"]["pach_id"]
    difference = kube.command("diff", "-f", "-", stdin=manifest)
    assert difference.returncode == 1
    assert "+      storageUri: s3://models/v2/" in difference.stdout
    assert kube.kubectl("apply", "-f", "-", stdin=manifest).endswith("churn configured\n")
    stored = kube.store.get("inferenceservices.serving.kserve.io", NAMESPACE, "churn")
    assert stored["metadata"]["generation"] == 2
    assert "pach_id" not in stored["metadata"]["annotations"]
    assert stored["spec"]["predictor"]["model"]["storageUri"] == "s3://models/v2/"
    assert kube.command("diff", "-f", "-", stdin=manifest).returncode == 0


def test_apply_of_a_framework_predictor_is_stored_as_model(kube, manifest):
    model = manifest["spec"]["predictor"].pop("model")
    del model["modelFormat"]
    manifest["spec"]["predictor"]["pytorch"] = model
    kube.kubectl("apply", "-f", "-", stdin=manifest)
    stored = json.loads(kube.kubectl("get", "isvc", "churn", "-o", "json"))["spec"]["predictor"]
    assert "pytorch" not in stored
    assert stored["model"]["modelFormat"] == {"name": "pytorch"}
    assert stored["model"]["storageUri"] == "s3://models/v1/"


def test_apply_of_built_in_kinds_merges_strategically(kube):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}, "secrets": [{"name": "a"}]}
    kube.kubectl("apply", "-f", "-", stdin=account)
    kube.kubectl("patch", "sa", "sa", "-p", '{"secrets":[{"name":"other"}]}')
    account["secrets"] = [{"name": "b"}]
    kube.kubectl("apply", "-f", "-", stdin=account)
    stored = kube.store.get("serviceaccounts", NAMESPACE, "sa")
    assert sorted(secret["name"] for secret in stored["secrets"]) == ["b", "other"]


def test_a_typo_is_told(kube, manifest):
    manifest["spec"]["predictor"]["model"]["storageURI"] = "s3://models/v1/"
    assert 'strict decoding error: unknown field "spec.predictor.model.storageURI"' in kube.refused(
        "apply", "-f", "-", stdin=manifest
    )
    done = kube.command("apply", "--validate=warn", "-f", "-", stdin=manifest)
    assert done.returncode == 0
    assert 'Warning: unknown field "spec.predictor.model.storageURI"' in done.stderr
    assert (
        "storageURI"
        not in kube.store.get("inferenceservices.serving.kserve.io", NAMESPACE, "churn")["spec"]["predictor"]["model"]
    )


def test_a_wrong_type_and_a_refusal_of_the_webhook(kube, manifest):
    manifest["spec"]["predictor"]["minReplicas"] = "two"
    assert 'spec.predictor.minReplicas in body must be of type integer: "string"' in kube.refused(
        "create", "-f", "-", stdin=manifest
    )
    manifest["spec"]["predictor"]["minReplicas"] = -1
    text = kube.refused("create", "-f", "-", stdin=manifest)
    assert text.startswith("Error from server (Forbidden): error when creating")
    assert 'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: ' in text
    assert "'MinReplicas' cannot be less than 0" in text


def test_create_replace_and_the_conflict_of_a_stale_file(kube, manifest, tmp_path):
    kube.kubectl("create", "-f", "-", stdin=manifest)
    assert "already exists" in kube.refused("create", "-f", "-", stdin=manifest)
    stale = tmp_path / "stale.json"
    stale.write_text(kube.kubectl("get", "isvc", "churn", "-o", "json"))
    manifest["spec"]["predictor"]["minReplicas"] = 2
    assert kube.kubectl("replace", "-f", "-", stdin=manifest).endswith("churn replaced\n")
    changed = json.loads(stale.read_text())
    changed["spec"]["predictor"]["minReplicas"] = 3
    stale.write_text(json.dumps(changed))
    text = kube.refused("replace", "-f", str(stale))
    assert "the object has been modified; please apply your changes to the latest version and try again" in text


@pytest.mark.ours
def test_delete_waits_for_the_finalizer(kube, manifest):
    manifest["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
    kube.kubectl("apply", "-f", "-", stdin=manifest)

    def finalize():
        key = "inferenceservices.serving.kserve.io"
        wait_until(lambda: "deletionTimestamp" in kube.store.get(key, NAMESPACE, "churn")["metadata"], 20)
        kube.store.edit(key, NAMESPACE, "churn", lambda obj: obj | {"metadata": obj["metadata"] | {"finalizers": []}})

    controller = threading.Thread(target=finalize, daemon=True)
    controller.start()
    assert kube.kubectl("delete", "isvc", "churn", "--timeout=20s").endswith('"churn" deleted\n')
    controller.join(5)
    assert kube.store.find("inferenceservices.serving.kserve.io", NAMESPACE, "churn") is None
    assert kube.kubectl("delete", "isvc", "churn", "--ignore-not-found") == ""
    assert "NotFound" in kube.refused("delete", "isvc", "churn")


@pytest.mark.ours
def test_deleting_an_isvc_deletes_its_pod(kube):
    kube.serve_churn()
    kube.kubectl("delete", "isvc", "--all")
    assert kube.kubectl("get", "pods", "-o", "name") == ""


@pytest.mark.ours
def test_wait_for_a_condition_to_come(kube, manifest):
    kube.kubectl("apply", "-f", "-", stdin=manifest)
    assert "timed out waiting for the condition" in kube.refused(
        "wait", "--for=condition=Ready", "isvc/churn", "--timeout=1s"
    )
    with kube.background("wait", "--for=condition=Ready", "isvc/churn", "--timeout=20s") as waiting:
        time.sleep(0.3)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        metadata = {"name": "churn", "namespace": NAMESPACE}
        kube.store.update_status("inferenceservices.serving.kserve.io", {"metadata": metadata, "status": ready})
        output, _ = waiting.communicate(timeout=10)
    assert output.endswith("churn condition met\n")
    assert kube.kubectl("wait", "--for=create", "isvc/churn", "--timeout=5s").endswith("condition met\n")


def test_namespaces_come_and_go(kube):
    kube.kubectl("create", "namespace", "team")
    assert kube.kubectl("get", "sa", "-n", "team", "-o", "name") == "serviceaccount/default\n"
    kube.kubectl("create", "secret", "generic", "s", "-n", "team", "--from-literal=a=b")
    kube.kubectl("delete", "namespace", "team", "--timeout=10s")
    assert 'namespaces "team" not found' in kube.refused("create", "sa", "x", "-n", "team")
    assert "this namespace may not be deleted" in kube.refused("delete", "namespace", "default")


@pytest.mark.ours  # at our port
def test_the_ingress_is_found_as_the_readme_of_kserve_finds_it(kube):
    service = ("get", "svc", "istio-ingressgateway", "-n", "istio-system", "-o")
    assert kube.kubectl(*service, "jsonpath={.status.loadBalancer.ingress[0].ip}") == "127.0.0.1"
    assert kube.kubectl(*service, 'jsonpath={.spec.ports[?(@.name=="http2")].port}') == "8085"
    assert kube.kubectl("get", "svc", "-n", "istio-system", "-l", "istio=ingressgateway", "-o", "name") != ""


@pytest.mark.ours
def test_what_is_not_served_says_so(kube):
    kube.serve_churn()
    pod = kube.kubectl("get", "pods", "-o", "name").strip()
    assert "pods/exec is not implemented by this server" in kube.refused("exec", pod, "--", "ls")
    assert "pods/portforward is not implemented" in kube.refused("port-forward", pod, "8080")
    assert "pods/attach is not implemented" in kube.refused("attach", pod)
    text = kube.refused("run", "x", "--image=y")
    assert text.startswith('Error from server (MethodNotAllowed): create is not supported on resources of kind "pods"')
    assert "not implemented" in kube.refused("create", "token", "default")


def test_a_wrong_token_is_unauthorized(kube):
    assert "You must be logged in" in kube.refused("get", "isvc", "--token=wrong")


@pytest.mark.parametrize("minor", [27, 33])
def test_other_releases_of_kubectl(kube, manifest, minor):
    """The installation may bring more than one release; the oldest and the newest must get along as well."""
    binary = Path(shutil.which("kubectl")).resolve().with_name(f"kubectl.1.{minor}")
    if not binary.exists():
        pytest.skip(f"kubectl 1.{minor} is not installed")
    for arguments, text in (
        (("apply", "-f", "-"), "churn created"),
        (("get", "isvc"), "LATESTREADYREVISION"),
        (("create", "configmap", "c", "--from-literal=a=b"), "created"),
    ):
        done = kube.command(*arguments, binary=str(binary), stdin=manifest)
        assert done.returncode == 0, done.stderr
        assert text in done.stdout


def test_kubectl_is_the_real_one(kube):
    version = subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    )
    assert "gitVersion" in json.loads(version.stdout)["clientVersion"]
    assert json.loads(kube.kubectl("version", "-o", "json"))["serverVersion"]["minor"] == "32"
