"""KServeClient of the kserve SDK: create, get, replace, patch, delete, wait, watch, credentials."""

import base64
import threading

import pytest
from kserve import (
    KServeClient,
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1PredictorSpec,
    V1beta1TorchServeSpec,
    constants,
)
from kubernetes import client
from targets import NAMESPACE
from waiting import wait_until

ISVC = "inferenceservices.serving.kserve.io"


@pytest.fixture
def kserve(cluster):
    return KServeClient(config_file=str(cluster.kubeconfig))


def inference_service(storage_uri="s3://models/v1/", name="churn"):
    model = V1beta1TorchServeSpec(
        protocol_version="v1",
        storage_uri=storage_uri,
        resources=client.V1ResourceRequirements(limits={"cpu": "1", "memory": "2Gi"}),
    )
    toleration = client.V1Toleration(effect="NoSchedule", key="dedicated", value="serving", operator="Equal")
    predictor = V1beta1PredictorSpec(pytorch=model, service_account_name="sa", tolerations=[toleration])
    return V1beta1InferenceService(
        api_version=constants.KSERVE_V1BETA1,
        kind=constants.KSERVE_KIND,
        metadata=client.V1ObjectMeta(
            name=name, namespace=NAMESPACE, annotations={"sidecar.istio.io/inject": "false", "pach_id": "1"}
        ),
        spec=V1beta1InferenceServiceSpec(predictor=predictor),
    )


def set_status(cluster, ready):
    conditions = [{"type": "PredictorReady", "status": ready}, {"type": "Ready", "status": ready}]
    status = {"conditions": conditions, "url": "http://churn.models.example.com"}
    cluster.store.update_status(ISVC, {"metadata": {"name": "churn", "namespace": NAMESPACE}, "status": status})


def test_create_get_and_delete(kserve):
    created = kserve.create(inference_service())
    assert created["spec"]["predictor"]["model"]["modelFormat"] == {"name": "pytorch"}
    assert created["spec"]["predictor"]["tolerations"][0]["key"] == "dedicated"
    assert kserve.get("churn", namespace=NAMESPACE)["metadata"]["uid"] == created["metadata"]["uid"]
    assert len(kserve.get(namespace=NAMESPACE)["items"]) == 1
    kserve.delete("churn", namespace=NAMESPACE)
    wait_until(lambda: kserve.get(namespace=NAMESPACE)["items"] == [])
    with pytest.raises(RuntimeError, match=r'inferenceservices.serving.kserve.io \\"churn\\" not found'):
        kserve.get("churn", namespace=NAMESPACE)


def test_create_twice_and_without_a_valid_name(kserve):
    kserve.create(inference_service())
    with pytest.raises(RuntimeError, match="already exists"):
        kserve.create(inference_service())
    with pytest.raises(RuntimeError, match="denied the request: the InferenceService"):
        kserve.create(inference_service(name="Not_a_name"))


@pytest.mark.ours  # KServe's controller writes in between
def test_replace_reads_the_version_itself(kserve):
    kserve.create(inference_service())
    replaced = kserve.replace("churn", inference_service("s3://models/v2/"), namespace=NAMESPACE)
    assert replaced["spec"]["predictor"]["model"]["storageUri"] == "s3://models/v2/"
    assert replaced["metadata"]["generation"] == 2


def test_patch_overwrites_the_whole_model_as_the_webhook_of_kserve_does(kserve):
    kserve.create(inference_service())
    isvc = inference_service("s3://models/v2/")
    isvc.spec.predictor.pytorch.resources = None
    model = kserve.patch("churn", isvc, namespace=NAMESPACE)["spec"]["predictor"]["model"]
    assert model["storageUri"] == "s3://models/v2/"
    assert model["resources"] == {}


@pytest.mark.ours
def test_ready_and_waiting_for_it(cluster, kserve):
    kserve.create(inference_service())
    set_status(cluster, "False")
    assert not kserve.is_isvc_ready("churn", namespace=NAMESPACE)
    with pytest.raises(RuntimeError, match="Timeout to start the InferenceService churn"):
        kserve.wait_isvc_ready("churn", namespace=NAMESPACE, timeout_seconds=1, polling_interval=1)
    threading.Timer(0.3, set_status, (cluster, "True")).start()
    kserve.wait_isvc_ready("churn", namespace=NAMESPACE, timeout_seconds=10, polling_interval=1)
    assert kserve.is_isvc_ready("churn", namespace=NAMESPACE)


@pytest.mark.ours
def test_watch_prints_the_table(cluster, kserve, capsys):
    cluster.serve_churn()
    kserve.get("churn", namespace=NAMESPACE, watch=True, timeout_seconds=1)
    printed = capsys.readouterr().out
    assert printed.split()[5:] == ["churn", "True", "20", "80", "http://churn.models.example.com"]


def test_set_credentials_makes_secret_and_service_account(cluster, kserve, tmp_path):
    # The SDK puts the keys into Secret.data as they are, so only keys that are base64 text pass, there and here.
    raw = base64.b64encode(b"0123456789ab").decode()
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {raw}\naws_secret_access_key = {raw}\n")
    for endpoint in ("first:9000", "second:9000"):
        kserve.set_credentials(
            "s3",
            namespace=NAMESPACE,
            credentials_file=str(credentials),
            service_account="sa",
            s3_endpoint=endpoint,
            s3_use_https="0",
        )
    account = cluster.store.get("serviceaccounts", NAMESPACE, "sa")
    secrets = [cluster.store.get("secrets", NAMESPACE, reference["name"]) for reference in account["secrets"]]
    assert [s["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"] for s in secrets] == [
        "first:9000",
        "second:9000",
    ]
    assert secrets[0]["data"] == {"AWS_ACCESS_KEY_ID": raw, "AWS_SECRET_ACCESS_KEY": raw}
    assert secrets[0]["metadata"]["name"].startswith("kserve-secret-")
