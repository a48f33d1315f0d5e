"""What is read of an InferenceService, and what makes a new revision."""

import pytest

from pdk.kserve.controller.desired import read_desired
from pdk.kserve.kinds.names import DeploymentMode
from pdk.kserve.predictor.failures import FailureReason

PREDICTOR = {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://b/m"}}


def desired(annotations=None, spec=None, **predictor):
    metadata = {"name": "churn", "namespace": "ns", "uid": "u", "annotations": annotations}
    return read_desired({"metadata": metadata, "spec": {"predictor": PREDICTOR | predictor} if spec is None else spec})


def digest(annotations=None, **predictor):
    return desired(annotations, **predictor).digest


def test_spec_and_propagated_annotations_count():
    assert len({digest(), digest({"pach_id": "1"}), digest({"pach_id": "2"}), digest(minReplicas=1)}) == 4


def test_what_steers_traffic_or_is_bookkeeping_does_not():
    assert digest(canaryTrafficPercent=10) == digest()
    for key in ("kubectl.kubernetes.io/last-applied-configuration", "modelFormat", "serving.kserve.io/stop"):
        assert digest({key: "x"}) == digest()


def test_the_order_of_keys_does_not():
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})


def test_what_it_asks_for():
    plain, more = desired(), desired({"serving.kserve.io/stop": "true", "a": "b"}, canaryTrafficPercent=20)
    assert (plain.serves, plain.canary, plain.mode, plain.generation) == (True, None, DeploymentMode.KNATIVE, 1)
    assert (more.serves, more.stopped, more.canary) == (False, True, 20)
    assert (more.template, more.propagated) == (PREDICTOR, {"a": "b"})


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({}, FailureReason.INVALID_PREDICTOR_SPEC, "spec.predictor is required"),
        ({"predictor": []}, FailureReason.INVALID_PREDICTOR_SPEC, "spec.predictor is required"),
        ({"predictor": PREDICTOR, "explainer": {"a": 1}}, FailureReason.INVALID_PREDICTOR_SPEC, "spec.explainer"),
        ({"predictor": {"sklearn": {}}}, FailureReason.NO_SUPPORTING_RUNTIME, "model type sklearn"),
        *[
            (
                {"predictor": {**PREDICTOR, "canaryTrafficPercent": each}},
                FailureReason.INVALID_PREDICTOR_SPEC,
                "0 to 100",
            )
            for each in (-1, 101, True, "5", 1.5)
        ],
    ],
)
def test_a_spec_that_cannot_be_served_is_a_problem(spec, reason, words):
    found = desired(spec=spec)
    assert (found.serves, found.canary, found.problem.reason) == (False, None, reason)
    assert words in str(found.problem)
