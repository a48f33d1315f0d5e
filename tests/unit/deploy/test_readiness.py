import pytest
from deployment.readiness import Baseline, Failed, Pending, Ready, baseline, judge

URL = "http://churn.models.example.com"


def live(created="r2", ready="r2", status="True", transition="UpToDate", failure=None, reason=None):
    model = {"transitionStatus": transition, "states": {"targetModelState": "Loaded"}}
    if failure:
        model["lastFailureInfo"] = failure
    return {
        "status": {
            "url": URL,
            "conditions": [{"type": "Ready", "status": status, "reason": reason, "message": None}],
            "components": {"predictor": {"latestCreatedRevision": created, "latestReadyRevision": ready}},
            "modelStatus": model,
        }
    }


OLD = live("r1", "r1")
BLOCKED = {"transition": "BlockedByFailedLoad", "failure": {"reason": "ModelLoadFailed", "exitCode": 1}}


def test_the_new_revision_ready_and_loaded_is_ready():
    assert judge(live(), baseline(OLD, written=True), settled=False) == Ready("r2", URL)


def test_stale_ready_of_the_old_revision_is_not_enough():
    verdict = judge(OLD, baseline(OLD, written=True), settled=True)
    assert verdict == Pending("the controller has not made a new revision yet (latest is r1)")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (live("r2", "r1"), "revision r2 is not ready yet (ready is r1)"),
        (live("r2", None), "revision r2 is not ready yet"),
        (live(status="False", reason="PredictorNotReady"), "Ready is False (PredictorNotReady)"),
        (live(status="Unknown"), "Ready is Unknown"),
        (live(transition="InProgress"), "not up to date (transition InProgress, target Loaded)"),
        ({}, "has not reported yet"),
        ({"status": {}}, "has not reported yet"),
    ],
)
def test_what_is_missing_is_said(state, text):
    verdict = judge(state, baseline(OLD, written=True), settled=False)
    assert isinstance(verdict, Pending)
    assert text in verdict.reason


@pytest.mark.parametrize("transition", ["BlockedByFailedLoad", "InvalidSpec"])
def test_a_failed_transition_ends_the_wait_at_once(transition):
    state = live("r2", "r1", "False", transition, {"reason": "ModelLoadFailed", "message": "no .mar", "exitCode": 1})
    verdict = judge(state, baseline(OLD, written=True), settled=False)
    assert verdict == Failed(f"{transition}: reason ModelLoadFailed, message no .mar, exitCode 1")


def test_the_failure_of_the_revision_before_is_not_held_against_the_new_one():
    failed = live("r1", "r0", "False", **BLOCKED)
    before = baseline(failed, written=True)
    assert isinstance(judge(failed, before, settled=False), Pending)
    assert isinstance(judge(failed, before, settled=True), Failed)
    assert isinstance(judge(live("r2", "r0", "False", **BLOCKED), before, settled=False), Failed)
    assert judge(live(failure=BLOCKED["failure"]), before, settled=False) == Ready("r2", URL)


def test_a_new_failure_counts_before_the_transition_shows_it():
    state = live("r2", "r1", "Unknown", "InProgress", {"reason": "ModelLoadFailed"})
    assert judge(state, baseline(OLD, written=True), settled=False) == Failed("reason ModelLoadFailed")


def test_nothing_written_needs_no_new_revision():
    assert judge(OLD, baseline(OLD, written=False), settled=False) == Ready("r1", URL)


def test_standard_mode_has_no_revisions():
    state = live(None, None)
    assert judge(state, Baseline(written=True), settled=False) == Ready(None, URL)
