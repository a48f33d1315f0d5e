"""Pods and deployments of revisions in each state."""

import pytest

from pdk.kserve.controller.workloads import build_pod
from pdk.kserve.predictor.failures import FailureReason
from pdk.kserve.predictor.revisions import Failure, Revision, RevisionState

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "ns", "uid": "u"}}
S = RevisionState


def pod(state, **more):
    stages = {"created": 1.0, **more.pop("stages", {})}
    return build_pod(
        Revision("uid", "ns", "churn", 1, "d", {}, {}, "pod", 1, state=state, stages=stages, **more), DEPLOYMENT
    )


def containers(built):
    status = built["status"]
    return status["initContainerStatuses"][0]["state"], status["containerStatuses"][0]["state"]


@pytest.mark.parametrize(
    ("state", "stages", "phase", "initializer", "container"),
    [
        (S.PENDING, {}, "Pending", "waiting", "waiting"),
        (S.FETCHING, {"fetch": 2.0}, "Pending", "running", "waiting"),
        (S.STARTING, {"fetch": 2.0, "fetched": 3.0, "start": 4.0}, "Running", "terminated", "running"),
        (S.READY, {"fetch": 2.0, "fetched": 3.0, "start": 4.0}, "Running", "terminated", "running"),
        (S.DRAINING, {"fetched": 3.0, "start": 4.0}, "Running", "terminated", "running"),
    ],
)
def test_container_states(state, stages, phase, initializer, container):
    built = pod(state, stages=stages)
    assert built["status"]["phase"] == phase
    found = containers(built)
    assert list(found[0]) == [initializer]
    assert list(found[1]) == [container]
    ready = {each["type"]: each["status"] for each in built["status"]["conditions"]}
    assert ready["Ready"] == ("True" if state is S.READY else "False")
    assert ready["Initialized"] == ("True" if "fetched" in stages else "False")


def test_a_crash_loop_shows_its_reason():
    failure = Failure(FailureReason.RUNTIME_UNHEALTHY, "exit status 3", "2024-01-02T03:04:05Z", 3)
    built = pod(S.FAILED, stages={"fetched": 3.0}, failure=failure, restarts=2)
    status = built["status"]["containerStatuses"][0]
    assert status["state"]["waiting"] == {"reason": "CrashLoopBackOff", "message": "exit status 3"}
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["restartCount"] == 2


def test_an_init_container_that_waits_for_its_storage():
    built = pod(S.PENDING, waiting="no objects under s3://b/m", fetch_restarts=4)
    status = built["status"]["initContainerStatuses"][0]
    assert status["state"]["waiting"] == {"reason": "CrashLoopBackOff", "message": "no objects under s3://b/m"}
    assert status["restartCount"] == 4
