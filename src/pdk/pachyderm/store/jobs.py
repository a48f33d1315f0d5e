"""Rows of jobs; called by `pps`. A row with `finished` is in a terminal state and never changes again."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job; counts are numbers of datums, times RFC 3339 text, `*_seconds` and `*_bytes` sums over its datums."""

    seq: int
    project: str
    pipeline: str
    id: str
    version: int
    output_branch: str
    state: int
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


@dataclass(frozen=True, slots=True)
class Stats:
    """What one datum adds to the sums of its job; seconds and bytes."""

    download_seconds: float = 0.0
    process_seconds: float = 0.0
    upload_seconds: float = 0.0
    download_bytes: int = 0
    upload_bytes: int = 0


COUNTERS = ("processed", "skipped", "failed", "recovered")
_COLUMNS = ", ".join(JobRow.__slots__)
_JOB = f"SELECT {_COLUMNS} FROM jobs"
_KEY = "project = ? AND pipeline = ? AND id = ?"


def insert(
    conn: sqlite3.Connection, project: str, pipeline: str, job_id: str, version: int, output_branch: str, state: int, created: str
) -> None:  # fmt: skip
    """Add a job."""
    conn.execute(
        """INSERT INTO jobs (project, pipeline, id, version, output_branch, state, created)
        VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (project, pipeline, job_id, version, output_branch, state, created),
    )


def get(conn: sqlite3.Connection, project: str, pipeline: str, job_id: str) -> JobRow | None:
    """Return the job, or None."""
    row = conn.execute(f"{_JOB} WHERE {_KEY}", (project, pipeline, job_id)).fetchone()
    return JobRow(*row) if row else None


def latest(conn: sqlite3.Connection, project: str, pipeline: str) -> JobRow | None:
    """Return the job of the pipeline that was created last, or None."""
    row = conn.execute(
        f"{_JOB} WHERE project = ? AND pipeline = ? ORDER BY seq DESC LIMIT 1", (project, pipeline)
    ).fetchone()
    return JobRow(*row) if row else None


def list_all(conn: sqlite3.Connection) -> list[JobRow]:
    """Return every job, newest first."""
    return [JobRow(*row) for row in conn.execute(f"{_JOB} ORDER BY seq DESC")]


def list_of_pipeline(conn: sqlite3.Connection, project: str, pipeline: str) -> list[JobRow]:
    """Return the jobs of one pipeline, newest first."""
    rows = conn.execute(f"{_JOB} WHERE project = ? AND pipeline = ? ORDER BY seq DESC", (project, pipeline))
    return [JobRow(*row) for row in rows]


def list_of_set(conn: sqlite3.Connection, set_id: str) -> list[JobRow]:
    """Return the jobs with this id, in the order they were created (upstream first)."""
    return [JobRow(*row) for row in conn.execute(f"{_JOB} WHERE id = ? ORDER BY seq", (set_id,))]


def list_unfinished(conn: sqlite3.Connection, project: str, pipeline: str) -> list[JobRow]:
    """Return the jobs of a pipeline that have not ended, oldest first."""
    rows = conn.execute(
        f"{_JOB} WHERE project = ? AND pipeline = ? AND finished IS NULL ORDER BY seq", (project, pipeline)
    )
    return [JobRow(*row) for row in rows]


def list_next(conn: sqlite3.Connection) -> list[JobRow]:
    """Return the oldest job that has not ended of every pipeline: the only ones that may move."""
    rows = conn.execute(
        f"""{_JOB} WHERE seq IN (SELECT min(seq) FROM jobs WHERE finished IS NULL GROUP BY project, pipeline)
        ORDER BY seq"""
    )
    return [JobRow(*row) for row in rows]


def has_unfinished(conn: sqlite3.Connection, project: str, pipeline: str) -> bool:
    """Tell whether any job of the pipeline has not ended."""
    sql = "SELECT 1 FROM jobs WHERE project = ? AND pipeline = ? AND finished IS NULL LIMIT 1"
    return conn.execute(sql, (project, pipeline)).fetchone() is not None


def set_state(conn: sqlite3.Connection, seq: int, state: int, expected: Sequence[int]) -> bool:
    """Move an unfinished job from one of the expected states to `state`; return False when it is in another."""
    marks = ", ".join("?" * len(expected))
    cursor = conn.execute(
        f"UPDATE jobs SET state = ? WHERE seq = ? AND finished IS NULL AND state IN ({marks})", (state, seq, *expected)
    )
    return cursor.rowcount == 1


def set_started(conn: sqlite3.Connection, seq: int, started: str, total: int, skipped: int) -> None:
    """Record the beginning of processing and how many datums there are."""
    conn.execute("UPDATE jobs SET started = ?, total = ?, skipped = ? WHERE seq = ?", (started, total, skipped, seq))


def count_restart(conn: sqlite3.Connection, seq: int) -> None:
    """Record that a job that was running when its server ended is taken up again."""
    conn.execute("UPDATE jobs SET restart = restart + 1 WHERE seq = ?", (seq,))


def count_datum(conn: sqlite3.Connection, seq: int, counter: str, stats: Stats) -> None:
    """Add one datum to `counter` (one of COUNTERS) and its figures to the sums."""
    if counter not in COUNTERS:
        raise ValueError(counter)
    conn.execute(
        f"""UPDATE jobs SET {counter} = {counter} + 1, download_seconds = download_seconds + ?,
        process_seconds = process_seconds + ?, upload_seconds = upload_seconds + ?,
        download_bytes = download_bytes + ?, upload_bytes = upload_bytes + ? WHERE seq = ?""",
        (
            stats.download_seconds, stats.process_seconds, stats.upload_seconds, stats.download_bytes, stats.upload_bytes, seq,
        ),
    )  # fmt: skip


def finish(conn: sqlite3.Connection, seq: int, state: int, reason: str, finished: str) -> bool:
    """Move an unfinished job to a terminal state; return False when it has ended already."""
    cursor = conn.execute(
        "UPDATE jobs SET state = ?, reason = ?, finished = ? WHERE seq = ? AND finished IS NULL",
        (state, reason, finished, seq),
    )
    return cursor.rowcount == 1


def delete(conn: sqlite3.Connection, seq: int) -> None:
    """Remove one job."""
    conn.execute("DELETE FROM jobs WHERE seq = ?", (seq,))


def delete_of_pipeline(conn: sqlite3.Connection, project: str, pipeline: str) -> None:
    """Remove the jobs of a pipeline."""
    conn.execute("DELETE FROM jobs WHERE project = ? AND pipeline = ?", (project, pipeline))
