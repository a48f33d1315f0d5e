"""What a rollout that failed leaves: the version before, or nothing, and never over what another job wrote."""

import json

import pytest
from deployment.errors import RolloutError, Superseded
from fake_kserve import failure, live_service, report, serves_otherwise, taken_over, write_source, writes

OLD_ANNOTATIONS = {"pach_id": "e" * 32, "pdk/model-version": "2"}
OLD_MODEL = {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://old/"}


def demand_put_back(cluster, roll_out):
    assert cluster.live["metadata"]["annotations"] == OLD_ANNOTATIONS
    assert cluster.live["spec"] == {"predictor": {"model": OLD_MODEL}}
    assert roll_out.said[-1] == "put model version 2 back"


def test_a_wrong_answer_puts_the_version_before_back(cluster, roll_out, source):
    serves_otherwise(source)
    live_service(cluster)
    cluster.moves = [report("r1", "r1"), report("r2", "r2")]
    with pytest.raises(RolloutError, match="serves, but predicts"):
        roll_out()
    demand_put_back(cluster, roll_out)
    assert writes(cluster) == ["PUT", "PUT"]


def test_a_failed_load_puts_back_after_gathering_the_evidence(cluster, roll_out):
    live_service(cluster)
    cluster.moves = [report("r1", "r1"), report("r2", "r1", "False", "BlockedByFailedLoad", {"reason": "Load"})]
    with pytest.raises(RolloutError, match=r"does not serve: BlockedByFailedLoad: reason Load$"):
        roll_out()
    demand_put_back(cluster, roll_out)
    log = max(place for place, (_, path) in enumerate(cluster.calls) if path.endswith("/log"))
    assert log < max(place for place, (method, _) in enumerate(cluster.calls) if method == "PUT")


def test_the_deadline_puts_back_and_the_same_job_writes_again(cluster, roll_out):
    live_service(cluster)
    with pytest.raises(RolloutError, match="does not serve after 4 s"):
        roll_out(timeout=4)
    demand_put_back(cluster, roll_out)
    cluster.moves = [report("r1", "r1"), report("r3", "r3")]
    assert roll_out()["revision"] == "r3"
    assert writes(cluster) == ["PUT", "PUT", "PUT"]
    assert json.loads(cluster.live["metadata"]["annotations"]["pdk/previous"]) == {
        "annotations": OLD_ANNOTATIONS,
        "spec": {"predictor": {"model": OLD_MODEL}},
    }


def test_a_job_that_died_after_writing_still_knows_what_was_before(cluster, roll_out):
    live_service(cluster)
    roll_out(wait=False)
    cluster.report("r2", "r1", "Unknown", "InProgress")
    with pytest.raises(RolloutError, match="does not serve after 4 s"):
        roll_out(timeout=4)
    assert "this job has written it already; waiting for it" in roll_out.said
    demand_put_back(cluster, roll_out)


def test_a_job_that_writes_twice_does_not_go_back_to_its_own_write(cluster, roll_out, source):
    live_service(cluster)
    roll_out(wait=False)
    write_source(source, uri="gs://models/customer-churn/v3-b/")
    with pytest.raises(RolloutError, match="does not serve after 4 s"):
        roll_out(timeout=4)
    demand_put_back(cluster, roll_out)
    assert writes(cluster) == ["PUT", "PUT", "PUT"]


def test_a_failed_first_rollout_leaves_nothing(cluster, roll_out, source):
    serves_otherwise(source)
    cluster.moves = [report("r1", "r1")]
    cluster.refusals["DELETE"] = [(409, "Conflict")]
    with pytest.raises(RolloutError, match="serves, but predicts"):
        roll_out()
    assert cluster.live is None
    assert writes(cluster) == ["POST", "DELETE", "DELETE"]
    assert roll_out.said[-1] == "deleted the InferenceService again: there was none before"


def test_putting_back_is_tried_again_on_a_conflict(cluster, roll_out):
    live_service(cluster)

    def other_writer(fake):
        fake.put(fake.live)
        return failure(409, "Conflict")

    def failed(fake):
        fake.report("r2", "r1", "False", "BlockedByFailedLoad")
        fake.refusals["PUT"] = [other_writer]

    cluster.moves = [report("r1", "r1"), failed]
    with pytest.raises(RolloutError, match="BlockedByFailedLoad"):
        roll_out()
    demand_put_back(cluster, roll_out)
    assert writes(cluster) == ["PUT", "PUT", "PUT"]


def test_what_another_job_wrote_meanwhile_stays(cluster, roll_out):
    live_service(cluster)
    failed = report("r2", "r1", "False", "BlockedByFailedLoad")
    # The third reading is for the evidence, the fourth to put back.
    cluster.moves = [report("r1", "r1"), failed, failed, taken_over]
    with pytest.raises(RolloutError, match="BlockedByFailedLoad"):
        roll_out()
    assert roll_out.said[-1] == f"nothing put back: job {'f' * 32} has written the InferenceService since"
    assert writes(cluster) == ["PUT"]


def test_a_superseded_rollout_puts_nothing_back(cluster, roll_out):
    live_service(cluster)
    cluster.moves = [report("r1", "r1"), taken_over]
    with pytest.raises(Superseded):
        roll_out()
    assert writes(cluster) == ["PUT"]


@pytest.mark.parametrize(("code", "reason"), [(503, "ServiceUnavailable"), (403, "Forbidden")])
def test_an_api_that_does_not_take_it_back_is_named(cluster, roll_out, code, reason):
    live_service(cluster)

    def failed(fake):
        fake.report("r2", "r1", "False", "BlockedByFailedLoad")
        fake.refusals["PUT"] = [(code, reason)] * 100

    cluster.moves = [report("r1", "r1"), failed]
    with pytest.raises(RolloutError, match="does not serve: BlockedByFailedLoad"):
        roll_out()
    assert roll_out.said[-1].startswith("nothing put back, the spec still names the build that failed: cannot replace")
    assert len(writes(cluster)) == (32 if code == 503 else 2)
