import pytest

from pdk.db.database import Database
from pdk.pachyderm.store import datums, jobs, pipelines
from pdk.pachyderm.store.pps_schema import MIGRATIONS
from pdk.pachyderm.values import DatumState, JobState, ProcessStats

CREATED, STARTING, RUNNING, FAILED = (
    JobState.JOB_CREATED,
    JobState.JOB_STARTING,
    JobState.JOB_RUNNING,
    JobState.JOB_FAILURE,
)
P = ("q", "p")


@pytest.fixture
def db(tmp_path):
    db = Database(tmp_path / "pachd.db", MIGRATIONS)
    yield db
    db.close()


def add_job(db, job_id, pipeline="p"):
    with db.transaction() as conn:
        jobs.insert(conn, ("q", pipeline, job_id), 1, "master", "2024-01-01T00:00:00Z")
        return jobs.get(conn, ("q", pipeline, job_id))


def version(number, name="p", **changes):
    values = {
        "project": "q", "name": name, "version": number, "spec_commit": f"s{number}", "created": "c", "updated": "u",
        "stopped": False, "salt": "x", "user_spec": "{}", "effective_spec": {"a": [1]}, **changes,
    }  # fmt: skip
    return pipelines.PipelineRow(**values)


def test_the_highest_version_is_the_current_one(db):
    with db.transaction() as conn:
        for row in (version(1), version(2), version(1, name="other")):
            pipelines.insert(conn, row)
        assert pipelines.get(conn, P) == version(2)
        assert pipelines.get(conn, P, 1) == version(1)
        assert {row.name: row.version for row in pipelines.list_current(conn)} == {"p": 2, "other": 1}
        assert [row.version for row in pipelines.list_versions(conn, P)] == [2, 1]
        pipelines.set_stopped(conn, P, True)
        assert pipelines.get(conn, P).stopped
        pipelines.delete(conn, P)
        assert pipelines.get(conn, P) is None


def test_only_the_oldest_unfinished_job_of_each_pipeline_is_next(db):
    first, _, other = add_job(db, "a"), add_job(db, "b"), add_job(db, "a", "p2")
    with db.transaction() as conn:
        assert [(row.pipeline, row.id) for row in jobs.list_next(conn)] == [("p", "a"), ("p2", "a")]
        assert jobs.finish(conn, first.seq, FAILED, "why", "2024")
        assert [(row.pipeline, row.id) for row in jobs.list_next(conn)] == [("p", "b"), ("p2", "a")]
        assert jobs.has_unfinished(conn, P)
        assert [row.id for row in jobs.list_of_set(conn, "a")] == ["a", "a"]
        assert jobs.get(conn, ("q", "p2", "a")) == other


def test_a_finished_job_never_changes_again(db):
    row = add_job(db, "a")
    with db.transaction() as conn:
        assert jobs.set_state(conn, row.seq, STARTING, CREATED)
        assert not jobs.set_state(conn, row.seq, RUNNING, CREATED)
        assert jobs.finish(conn, row.seq, FAILED, "why", "2024")
        assert not jobs.finish(conn, row.seq, FAILED, "other", "2025")
        assert not jobs.set_state(conn, row.seq, RUNNING, FAILED)
        assert jobs.get(conn, ("q", "p", "a")).reason == "why"


def test_a_datum_adds_to_its_job(db):
    row = add_job(db, "a")
    with db.transaction() as conn:
        jobs.count_datum(conn, row.seq, DatumState.SUCCESS, ProcessStats(1.0, 2.0, 3.0, 4, 5))
        jobs.count_datum(conn, row.seq, DatumState.FAILED, ProcessStats(1.0, 2.0, 3.0, 4, 5))
        after = jobs.get(conn, ("q", "p", "a"))
        assert (after.processed, after.failed, after.process_seconds, after.upload_bytes) == (1, 1, 4.0, 10)
        with pytest.raises(KeyError):
            jobs.count_datum(conn, row.seq, DatumState.STARTING, ProcessStats())


def test_datums_keep_their_order_and_their_end(db):
    key = ("q", "p", "a")
    with db.transaction() as conn:
        datums.insert_all(
            conn, key, [datums.NewDatum(i, f"h{i}", "[]", DatumState.STARTING, "a") for i in ("z", "y", "x")]
        )
        datums.finish(conn, key, "y", DatumState.SUCCESS, "", ProcessStats(download_bytes=7))
        assert [row.id for row in datums.list_of_job(conn, key)] == ["z", "y", "x"]
        assert [row.id for row in datums.list_of_job(conn, key, [DatumState.STARTING])] == ["z", "x"]
        assert datums.get(conn, key, "y").download_bytes == 7
        assert datums.hashes(conn, key, [DatumState.SUCCESS, DatumState.SKIPPED]) == {"y": ("hy", "a")}
        datums.delete_of_job(conn, key)
        assert datums.list_of_job(conn, key) == []
