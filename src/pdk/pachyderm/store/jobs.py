"""Rows of jobs; called by `pps`. A row with `finished` is in a terminal state and never changes again."""

import sqlite3
from dataclasses import astuple, dataclass, fields

from pdk.db import rows
from pdk.pachyderm.values import DatumState, JobId, JobKey, JobState, PipelineKey, ProcessStats


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job; counts are numbers of datums, times RFC 3339 text, `*_seconds` and `*_bytes` sums over its datums."""

    seq: int
    project: str
    pipeline: str
    id: JobId
    version: int
    output_branch: str
    state: JobState
    reason: str
    created: str
    started: str | None
    finished: str | None
    total: int
    processed: int
    skipped: int
    failed: int
    recovered: int
    restart: int
    download_seconds: float
    process_seconds: float
    upload_seconds: float
    download_bytes: int
    upload_bytes: int


# The column that counts the datums of a job which ended so.
_COUNTERS = {
    DatumState.SUCCESS: "processed",
    DatumState.FAILED: "failed",
    DatumState.RECOVERED: "recovered",
    DatumState.SKIPPED: "skipped",
}
_ADDED = ", ".join(f"{each.name} = {each.name} + ?" for each in fields(ProcessStats))
_JOB = "SELECT * FROM jobs"
_OF_PIPELINE = "project = ? AND pipeline = ?"


def insert(conn: sqlite3.Connection, key: JobKey, version: int, output_branch: str, created: str) -> None:
    """Add a job, CREATED."""
    project, pipeline, job_id = key
    values = {"project": project, "pipeline": pipeline, "id": job_id, "version": version}
    values |= {"output_branch": output_branch, "state": JobState.JOB_CREATED, "created": created}
    rows.insert(conn, "jobs", values)


def get(conn: sqlite3.Connection, key: JobKey) -> JobRow | None:
    """Return the job, or None."""
    return rows.fetch_one(conn, JobRow, f"{_JOB} WHERE {_OF_PIPELINE} AND id = ?", *key)


def latest(conn: sqlite3.Connection, pipeline: PipelineKey) -> JobRow | None:
    """Return the job of the pipeline that was created last, or None."""
    return rows.fetch_one(conn, JobRow, f"{_JOB} WHERE {_OF_PIPELINE} ORDER BY seq DESC LIMIT 1", *pipeline)


def list_all(conn: sqlite3.Connection) -> list[JobRow]:
    """Return every job, newest first."""
    return rows.fetch(conn, JobRow, f"{_JOB} ORDER BY seq DESC")


def list_of_pipeline(conn: sqlite3.Connection, pipeline: PipelineKey) -> list[JobRow]:
    """Return the jobs of one pipeline, newest first."""
    return rows.fetch(conn, JobRow, f"{_JOB} WHERE {_OF_PIPELINE} ORDER BY seq DESC", *pipeline)


def list_of_set(conn: sqlite3.Connection, set_id: str) -> list[JobRow]:
    """Return the jobs with this id, in the order they were created (upstream first)."""
    return rows.fetch(conn, JobRow, f"{_JOB} WHERE id = ? ORDER BY seq", set_id)


def list_unfinished(conn: sqlite3.Connection, pipeline: PipelineKey) -> list[JobRow]:
    """Return the jobs of a pipeline that have not ended, oldest first."""
    return rows.fetch(conn, JobRow, f"{_JOB} WHERE {_OF_PIPELINE} AND finished IS NULL ORDER BY seq", *pipeline)


def list_next(conn: sqlite3.Connection) -> list[JobRow]:
    """Return the oldest job that has not ended of every pipeline: the only ones that may move."""
    oldest = "SELECT min(seq) FROM jobs WHERE finished IS NULL GROUP BY project, pipeline"
    return rows.fetch(conn, JobRow, f"{_JOB} WHERE seq IN ({oldest}) ORDER BY seq")


def has_unfinished(conn: sqlite3.Connection, pipeline: PipelineKey) -> bool:
    """Tell whether any job of the pipeline has not ended."""
    sql = f"SELECT 1 FROM jobs WHERE {_OF_PIPELINE} AND finished IS NULL LIMIT 1"
    return conn.execute(sql, pipeline).fetchone() is not None


def set_state(conn: sqlite3.Connection, seq: int, state: JobState, expected: JobState) -> bool:
    """Move an unfinished job from the expected state to `state`; return False when it is in another."""
    sql = "UPDATE jobs SET state = ? WHERE seq = ? AND finished IS NULL AND state = ?"
    return conn.execute(sql, (state, seq, expected)).rowcount == 1


def set_started(conn: sqlite3.Connection, seq: int, started: str, total: int, skipped: int) -> None:
    """Record the beginning of processing and how many datums there are."""
    rows.update(conn, "jobs", ("seq", seq), {"started": started, "total": total, "skipped": skipped})


def count_restart(conn: sqlite3.Connection, seq: int) -> None:
    """Record that a job that was running when its server ended is taken up again."""
    conn.execute("UPDATE jobs SET restart = restart + 1 WHERE seq = ?", (seq,))


def count_datum(conn: sqlite3.Connection, seq: int, state: DatumState, stats: ProcessStats) -> None:
    """Add one datum that ended in `state` to the counts, and its figures to the sums."""
    counter = _COUNTERS[state]
    conn.execute(f"UPDATE jobs SET {counter} = {counter} + 1, {_ADDED} WHERE seq = ?", (*astuple(stats), seq))


def finish(conn: sqlite3.Connection, seq: int, state: JobState, reason: str, finished: str) -> bool:
    """Move an unfinished job to a terminal state; return False when it has ended already."""
    sql = "UPDATE jobs SET state = ?, reason = ?, finished = ? WHERE seq = ? AND finished IS NULL"
    return conn.execute(sql, (state, reason, finished, seq)).rowcount == 1


def delete(conn: sqlite3.Connection, seq: int) -> None:
    """Remove one job."""
    conn.execute("DELETE FROM jobs WHERE seq = ?", (seq,))


def delete_of_pipeline(conn: sqlite3.Connection, pipeline: PipelineKey) -> None:
    """Remove the jobs of a pipeline."""
    conn.execute(f"DELETE FROM jobs WHERE {_OF_PIPELINE}", pipeline)
