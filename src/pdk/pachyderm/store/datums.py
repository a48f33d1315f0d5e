"""Rows of datums, per job; called by `pps`.

They stand for the original's meta commit: what was processed, from what, how.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

from pdk.db import rows
from pdk.pachyderm.values import DatumId, DatumState, JobId, JobKey, PipelineKey, ProcessStats


@dataclass(frozen=True, slots=True)
class DatumRow:
    """One datum of a job; `inputs` is JSON text, `processed_by` the id of the job that ran it."""

    id: DatumId
    position: int
    hash: str
    inputs: str
    state: DatumState
    reason: str
    processed_by: JobId
    download_seconds: float
    process_seconds: float
    upload_seconds: float
    download_bytes: int
    upload_bytes: int


@dataclass(frozen=True, slots=True)
class NewDatum:
    """A datum when its job begins."""

    id: DatumId
    hash: str
    inputs: str
    state: DatumState
    processed_by: JobId


_OF_JOB = "project = ? AND pipeline = ? AND job = ?"
_STATS = ", ".join(f"{each.name} = ?" for each in fields(ProcessStats))


def insert_all(conn: sqlite3.Connection, job: JobKey, datums: Iterable[NewDatum]) -> None:
    """Add the datums of a job in order."""
    conn.executemany(
        """INSERT INTO datums (project, pipeline, job, position, id, hash, inputs, state, processed_by)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        ((*job, n, each.id, each.hash, each.inputs, each.state, each.processed_by) for n, each in enumerate(datums)),
    )


def get(conn: sqlite3.Connection, job: JobKey, datum_id: DatumId) -> DatumRow | None:
    """Return the datum, or None."""
    return rows.fetch_one(conn, DatumRow, f"SELECT * FROM datums WHERE {_OF_JOB} AND id = ?", *job, datum_id)


def list_of_job(conn: sqlite3.Connection, job: JobKey, states: Sequence[DatumState] = ()) -> list[DatumRow]:
    """Return the datums of a job in order; `states` empty = all."""
    which = _in_states(states) if states else ""
    return rows.fetch(conn, DatumRow, f"SELECT * FROM datums WHERE {_OF_JOB}{which} ORDER BY position", *job, *states)


def hashes(conn: sqlite3.Connection, job: JobKey, states: Sequence[DatumState]) -> dict[DatumId, tuple[str, JobId]]:
    """Return datum id -> (hash, processed_by) of the datums of a job in one of `states`."""
    sql = f"SELECT id, hash, processed_by FROM datums WHERE {_OF_JOB}{_in_states(states)}"
    return {row["id"]: (row["hash"], row["processed_by"]) for row in conn.execute(sql, (*job, *states))}


def _in_states(states: Sequence[DatumState]) -> str:
    return f" AND state IN ({', '.join('?' * len(states))})"


def finish(
    conn: sqlite3.Connection, job: JobKey, datum_id: DatumId, state: DatumState, reason: str, stats: ProcessStats
) -> None:
    """Record what became of a datum."""
    sql = f"UPDATE datums SET state = ?, reason = ?, {_STATS} WHERE {_OF_JOB} AND id = ?"
    conn.execute(sql, (state, reason, *astuple(stats), *job, datum_id))


def delete_of_job(conn: sqlite3.Connection, job: JobKey) -> None:
    """Remove the datums of one job."""
    conn.execute(f"DELETE FROM datums WHERE {_OF_JOB}", job)


def delete_of_pipeline(conn: sqlite3.Connection, pipeline: PipelineKey) -> None:
    """Remove the datums of every job of a pipeline."""
    conn.execute("DELETE FROM datums WHERE project = ? AND pipeline = ?", pipeline)
