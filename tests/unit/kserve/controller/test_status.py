"""Conditions keep their times, revisions make the rest of the status."""

from pdk.kserve.controller.deployment_mode import Addresses
from pdk.kserve.controller.desired import read_desired
from pdk.kserve.controller.plan import RolloutPlan
from pdk.kserve.controller.status import build_status, condition
from pdk.kserve.predictor.failures import FailureReason
from pdk.kserve.predictor.revisions import Failure, Revision, RevisionState, ServiceRow

OLD = "2020-01-01T00:00:00Z"
SPEC = {"predictor": {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://b/m"}}}


def revision(number, state=RevisionState.READY, **more):
    return Revision("uid", "default", "churn", number, "d", {}, {}, "pod", 1, state=state, **more)


def plan(latest, *others, traffic=(), status=None, spec=SPEC):
    metadata = {"name": "churn", "namespace": "default", "uid": "uid", "generation": 4}
    desired = read_desired({"metadata": metadata, "spec": spec, "status": status})
    last = latest.number if latest else 0
    row = ServiceRow("uid", "default", "churn", last, traffic[0][0].number if traffic else None)
    revisions = tuple(each for each in (latest, *others) if each is not None)
    addresses = Addresses("default", "churn", "example.com")
    return RolloutPlan(desired, addresses, row, latest, revisions, traffic, frozenset(), "")


def test_times_change_only_with_the_status_of_a_condition():
    ready = revision(1)
    before = {"conditions": [
        {"type": "Ready", "status": "Unknown", "lastTransitionTime": OLD},
        {"type": "IngressReady", "status": "True", "lastTransitionTime": OLD},
    ]}  # fmt: skip
    status = build_status(plan(ready, traffic=((ready, 100),), status=before))
    assert condition(status, "IngressReady")["lastTransitionTime"] == OLD
    assert condition(status, "Ready")["lastTransitionTime"] > OLD
    assert status["observedGeneration"] == 4
    again = build_status(plan(ready, traffic=((ready, 100),), status=status))
    assert again == status


def test_the_first_load_is_unknown_and_has_no_url():
    status = build_status(plan(revision(1, RevisionState.FETCHING)))
    assert condition(status, "Ready")["status"] == "Unknown"
    assert condition(status, "PredictorReady")["message"] == 'Revision "churn-predictor-00001" is fetching its model'
    assert "url" not in status
    assert status["modelStatus"]["states"] == {"activeModelState": "", "targetModelState": "Loading"}


def test_a_new_revision_that_loads_beside_a_serving_one():
    old = revision(1)
    status = build_status(plan(revision(2, RevisionState.STARTING), old, traffic=((old, 100),)))
    assert condition(status, "Ready")["status"] == "Unknown"
    assert condition(status, "RoutesReady") == {
        **condition(status, "RoutesReady"),
        "status": "True",
        "severity": "Info",
    }
    assert status["url"] == "http://churn.default.example.com"
    assert status["modelStatus"]["transitionStatus"] == "InProgress"
    assert status["components"]["predictor"]["traffic"][0]["latestRevision"] is True


def test_a_failure_is_told_until_the_revision_is_ready():
    failure = Failure(FailureReason.MODEL_LOAD_FAILED, "cause", "2024-01-02T03:04:05.678901Z", 3)
    failed = revision(1, RevisionState.STARTING, failure=failure)
    status = build_status(plan(failed))
    assert status["modelStatus"]["lastFailureInfo"] == {
        "reason": "ModelLoadFailed",
        "message": "cause",
        "modelRevisionName": "churn-predictor-00001",
        "location": "pod",
        "time": "2024-01-02T03:04:05Z",
        "exitCode": 3,
    }
    assert status["modelStatus"]["copies"]["failedCopies"] == 1
    for kind in ("Ready", "PredictorReady", "IngressReady", "RoutesReady", "LatestDeploymentReady"):
        assert condition(status, kind)["status"] == "False"


def test_an_invalid_spec():
    status = build_status(plan(None, spec={"predictor": {"sklearn": {}}}))
    assert status["modelStatus"]["transitionStatus"] == "InvalidSpec"
    assert status["modelStatus"]["states"]["targetModelState"] == "FailedToLoad"
    assert condition(status, "Ready")["reason"] == "NoSupportingRuntime"
    assert status["components"]["predictor"] == {}


def test_a_missing_condition_is_empty():
    assert condition({}, "Ready") == {}
