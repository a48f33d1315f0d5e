"""Which revisions run, who gets traffic, who goes: a table of situations. `3R` is revision 3, READY.

R READY, L STARTING (it loads), F FAILED with a failure, W PENDING (it waits for its storage), D DRAINING.
"""

import pytest

from pdk.kserve.controller.deployment_mode import Addresses
from pdk.kserve.controller.desired import read_desired
from pdk.kserve.controller.plan import make_plan, needs_revision, wanted_numbers
from pdk.kserve.controller.status import build_status, condition
from pdk.kserve.predictor.failures import FailureReason
from pdk.kserve.predictor.revisions import Failure, Revision, RevisionState, ServiceRow

PREDICTOR = {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://b/m"}}
NOT_MADE = "there is no revision; see its status"


def service(canary=None, stop=False, invalid=False):
    predictor = PREDICTOR if canary is None else {**PREDICTOR, "canaryTrafficPercent": canary}
    annotations = {"serving.kserve.io/stop": "true"} if stop else {}
    metadata = {"name": "churn", "namespace": "default", "uid": "uid", "annotations": annotations}
    return read_desired({"metadata": metadata, "spec": {"predictor": {} if invalid else predictor}})


def revision(text, digest=None):
    number, letter = int(text[0]), text[1]
    state = {"R": "Ready", "L": "Starting", "F": "Failed", "W": "Pending", "D": "Draining"}[letter]
    failure = Failure(FailureReason.MODEL_LOAD_FAILED, "bad weights\nmore", "2026-01-01T00:00:00Z")
    return Revision(
        "uid", "default", "churn", number, digest or service().digest, PREDICTOR, {}, "pod", 1,
        state=RevisionState(state), failure=failure if letter == "F" else None,
        waiting="no objects yet" if letter == "W" else "",
    )  # fmt: skip


def look(desired, revisions, rolled_out=None):
    row = ServiceRow("uid", "default", "churn", 9, rolled_out)
    addresses = Addresses("default", "churn", "example.com")
    return make_plan(desired, addresses, row, [revision(each) for each in revisions.split()])


# canary, revisions, rolled out before | traffic, rolled out after, retired, Ready, what a request is told
TABLE = [
    ("the first one loads", None, "1L", None, "", None, "", "Unknown", "is loading its model"),
    ("the first one waits", None, "1W", None, "", None, "", "Unknown", "no objects yet"),
    ("the first one failed", None, "1F", None, "", None, "", "False", "failed: bad weights"),
    ("the first one is ready", None, "1R", None, "1:100", 1, "", "True", NOT_MADE),
    ("it goes on", None, "1R", 1, "1:100", 1, "", "True", "is ready"),
    ("it crashed", None, "1F", 1, "", 1, "", "False", "failed: bad weights"),
    ("a new one loads beside it", None, "1R 2L", 1, "1:100", 1, "", "Unknown", "00002 is loading"),
    ("a new one fails beside it", None, "1R 2F", 1, "1:100", 1, "", "False", "00002 failed"),
    ("a new one takes over", None, "1R 2R", 1, "2:100", 2, "1", "True", "00001 is ready"),
    ("the old one drains", None, "1D 2R", 2, "2:100", 2, "1", "True", "is ready"),
    ("a newer one supersedes one that loads", None, "1R 2L 3L", 1, "1:100", 1, "2", "Unknown", "00003"),
    ("the first canary has nobody beside it", 20, "1R", None, "1:100", 1, "", "True", NOT_MADE),
    ("a canary loads", 20, "1R 2L", 1, "1:100", 1, "", "Unknown", "00002"),
    ("a canary has its share", 20, "1R 2R", 1, "2:20 1:80", 1, "", "True", "00001"),
    ("a canary at 0", 0, "1R 2R", 1, "2:0 1:100", 1, "", "True", "00001"),
    ("a canary at 100", 100, "1R 2R", 1, "2:100", 2, "1", "True", "00001"),
    ("the stable one is down beside a canary", 20, "1L 2R", 1, "2:20", 1, "", "Unknown", "00001 is loading"),
    ("the stable one is down beside a canary at 0", 0, "1L 2R", 1, "", 1, "", "Unknown", "00001 is loading"),
    ("a stable one that was stopped has no share", 20, "1D 2R", 1, "2:100", 2, "1", "True", "00001 is going"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("canary", "revisions", "rolled_out", "traffic", "after", "retired", "ready", "told"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_plans(canary, revisions, rolled_out, traffic, after, retired, ready, told):
    plan = look(service(canary), revisions, rolled_out)
    assert [f"{each.number}:{percent}" for each, percent in plan.traffic] == traffic.split()
    assert plan.service.rolled_out == after
    assert plan.service.previous_rolled_out == (rolled_out if after != rolled_out else None)
    assert plan.retired == {int(each) for each in retired.split()}
    assert told in plan.reason
    assert condition(build_status(plan), "Ready")["status"] == ready


def test_a_spec_that_cannot_be_served_keeps_what_serves():
    plan = look(service(invalid=True), "1R 2L", 1)
    assert [(each.number, percent) for each, percent in plan.traffic] == [(1, 100)]
    assert (plan.latest, plan.retired) == (None, {2})
    assert plan.reason == NOT_MADE
    assert condition(build_status(plan), "IngressReady")["status"] == "True"
    assert condition(build_status(plan), "Ready")["status"] == "False"


def test_a_stopped_service_runs_nothing():
    plan = look(service(stop=True), "1R 2L", 1)
    assert (plan.traffic, plan.latest, plan.retired, plan.service.rolled_out) == ((), None, {1, 2}, 1)
    assert condition(build_status(plan), "Stopped")["status"] == "False"
    assert condition(build_status(look(service(stop=True), "")), "Stopped")["status"] == "True"


@pytest.mark.parametrize(
    ("desired", "revisions", "needed"),
    [
        (service(), [], True),
        (service(), [revision("1R")], False),
        (service(canary=5), [revision("1R")], False),
        (service(), [revision("1R", "other")], True),
        (service(), [revision("1R"), revision("2L", "other")], True),
        (service(), [revision("1D")], True),
        (service(stop=True), [], False),
        (service(invalid=True), [], False),
    ],
)
def test_when_a_revision_is_needed(desired, revisions, needed):
    assert needs_revision(desired, revisions) is needed


def test_which_revisions_are_to_run():
    row, revisions = ServiceRow("uid", "default", "churn", 3, 1), [revision("1R"), revision("2L"), revision("3L")]
    assert wanted_numbers(service(), row, revisions) == {1, 3}
    assert wanted_numbers(service(invalid=True), row, revisions) == {1}
    assert wanted_numbers(service(stop=True), row, revisions) == set()
