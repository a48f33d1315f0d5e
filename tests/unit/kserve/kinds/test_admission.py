"""KServe's webhooks."""

import pytest

from pdk.kserve.kinds.admission import admit, default_inference_service
from pdk.kubernetes.errors import AdmissionDenied

MODEL = {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://x"}


def isvc(name="churn", annotations=None, **predictor):
    metadata = {"name": name, "namespace": "models", "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"predictor": predictor or {"model": MODEL}}}


def denied(obj, old=None):
    with pytest.raises(AdmissionDenied) as caught:
        admit(old, obj)
    prefix = 'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: '
    assert str(caught.value).startswith(prefix)
    return str(caught.value).removeprefix(prefix)


def test_a_framework_becomes_a_model():
    predictor = default_inference_service(isvc(minReplicas=1, pytorch={"storageUri": "s3://x"}))["spec"]["predictor"]
    assert predictor == {
        "minReplicas": 1,
        "model": {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://x", "name": "", "resources": {}},
    }
    triton = default_inference_service(isvc(triton={}))["spec"]["predictor"]["model"]
    assert triton["protocolVersion"] == "v2"


def test_a_partial_framework_overwrites_the_whole_model():
    both = isvc(model=MODEL | {"env": [{"name": "A"}]}, pytorch={"storageUri": "s3://y"})
    model = admit(None, both)["spec"]["predictor"]["model"]
    assert model["storageUri"] == "s3://y"
    assert "env" not in model


def test_defaulting_twice_changes_nothing_more():
    once = default_inference_service(isvc(pytorch={"storageUri": "s3://x"}))
    assert default_inference_service(once) == once


@pytest.mark.parametrize("name", ["1a", "A", "a_b", "a.b", "-a", "a-"])
def test_names(name):
    assert f'the InferenceService "{name}" is invalid: a InferenceService name must consist of' in denied(isvc(name))


def test_exactly_one_implementation():
    expected = (
        "exactly one of [SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, LightGBM, Paddle, "
        "Model, WorkerSpec, PodSpec] must be specified in PredictorSpec"
    )
    assert denied(isvc(minReplicas=1)) == expected
    assert denied(isvc(model=MODEL, containers=[{"name": "kserve-container"}])) == expected
    assert denied(isvc(sklearn={}, pytorch={})) == expected
    assert admit(None, isvc(model=MODEL, containers=[{"name": "sidecar"}]))
    assert admit(None, isvc(containers=[{"name": "mine"}]))


@pytest.mark.parametrize(
    ("predictor", "text"),
    [
        ({"model": MODEL | {"name": "x"}}, "the 'name' field is not allowed in standard predictor"),
        ({"minReplicas": -1}, "'MinReplicas' cannot be less than 0"),
        ({"maxReplicas": -1}, "'MaxReplicas' cannot be less than 0"),
        ({"minReplicas": 3, "maxReplicas": 2}, "'MinReplicas' cannot be greater than MaxReplicas"),
        ({"containerConcurrency": -1}, "parallelism cannot be less than 0"),
        ({"logger": {"mode": "x"}}, "invalid logger type"),
        ({"scaleMetric": "cpu"}, "[cpu] is not a supported metric"),
        ({"deploymentStrategy": {}}, "customizing deploymentStrategy is only supported for raw deployment mode"),
    ],
)
def test_refusals(predictor, text):
    assert denied(isvc(**({"model": MODEL} | predictor))) == text


def test_autoscaler_classes_and_long_host_names():
    annotation = "serving.kserve.io/autoscalerClass"
    assert denied(isvc(annotations={annotation: "x"})) == "[x] is not a supported autoscaler class type"
    assert admit(None, isvc(annotations={annotation: "hpa"}))
    assert "longer than 63 characters" in denied(isvc("a" * 60))


def test_the_deployment_mode_stays():
    mode = "serving.kserve.io/deploymentMode"
    old = isvc() | {"status": {"deploymentMode": "Knative"}}
    assert "deploymentMode cannot be changed from 'Knative' to 'RawDeployment'" in denied(
        isvc(annotations={mode: "RawDeployment"}), old
    )
    assert admit(old, isvc(annotations={mode: "Serverless"}))
    old["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    assert admit(old, isvc(annotations={mode: "RawDeployment"}))
