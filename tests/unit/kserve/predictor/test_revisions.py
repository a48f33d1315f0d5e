"""Rows of revisions come back as they were written."""

from dataclasses import replace

import pytest

from pdk.db.database import Database
from pdk.kserve.predictor.failures import FailureReason
from pdk.kserve.predictor.revisions import (
    MIGRATIONS,
    Failure,
    Process,
    Revision,
    Revisions,
    RevisionState,
    ServiceRow,
    Stage,
)


@pytest.fixture
def revisions(tmp_path):
    return Revisions(Database(tmp_path / "db", MIGRATIONS))


ROW = ServiceRow("uid", "ns", "churn", 2, 1)
REVISION = Revision("uid", "ns", "churn", 2, "digest", {"model": {}}, {"a": "b"}, "pod", 3)


def test_services(revisions):
    revisions.put_service(ROW)
    revisions.put_service(replace(ROW, rolled_out=2, previous_rolled_out=1))
    revisions.put_service(replace(ROW, uid="older"))
    assert {row.uid: row.rolled_out for row in revisions.services("ns", "churn")} == {"uid": 2, "older": 1}
    assert revisions.services("ns", "other") == []
    assert revisions.keys() == ["ns/churn"]


def test_a_revision_with_everything(revisions):
    revisions.put_service(ROW)
    whole = replace(
        REVISION,
        state=RevisionState.READY,
        failure=Failure(FailureReason.MODEL_LOAD_FAILED, "why", "2024-01-01T00:00:00Z", 3),
        process=Process("marker", "/t", {"inference": 1}, 42, 7, ("m",), 10, 120.0, "m"),
        stages={"created": 1.5},
    )
    revisions.put(REVISION)
    assert revisions.put(whole) == whole
    assert revisions.of_service("uid") == revisions.all() == [whole]
    assert revisions.all()[0].failure.reason is FailureReason.MODEL_LOAD_FAILED
    assert whole.name == "churn-predictor-00002"
    assert whole.at(Stage.READY, 2.5) == {"created": 1.5, "ready": 2.5}


def test_deleting(revisions):
    revisions.put_service(ROW)
    revisions.put(REVISION)
    revisions.put(replace(REVISION, number=3))
    revisions.delete(REVISION)
    assert [each.number for each in revisions.all()] == [3]
    revisions.delete_service("uid")
    assert revisions.all() == []
    assert revisions.keys() == []


def test_several_writes_are_one_change(revisions):
    revisions.put_service(ROW)
    with pytest.raises(RuntimeError), revisions.transaction():
        revisions.put(REVISION)
        raise RuntimeError
    assert revisions.all() == []
