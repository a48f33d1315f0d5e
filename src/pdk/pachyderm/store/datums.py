"""Rows of datums, per job; called by `pps`. They stand for the original's meta commit: what was processed, from what, how."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pdk.pachyderm.store.jobs import Stats


@dataclass(frozen=True, slots=True)
class DatumRow:
    """One datum of a job; `inputs` is JSON text, `processed_by` the id of the job that ran it."""

    id: str
    position: int
    hash: str
    inputs: str
    state: int
    reason: str
    processed_by: str
    download_seconds: float
    process_seconds: float
    upload_seconds: float
    download_bytes: int
    upload_bytes: int


@dataclass(frozen=True, slots=True)
class NewDatum:
    """A datum when its job begins."""

    id: str
    hash: str
    inputs: str
    state: int
    processed_by: str


JobKey = tuple[str, str, str]
"""Project, pipeline and job id."""

_COLUMNS = ", ".join(DatumRow.__slots__)
_OF_JOB = "project = ? AND pipeline = ? AND job = ?"


def insert_all(conn: sqlite3.Connection, job: JobKey, rows: Iterable[NewDatum]) -> None:
    """Add the datums of a job in order."""
    conn.executemany(
        """INSERT INTO datums (project, pipeline, job, position, id, hash, inputs, state, processed_by)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        ((*job, n, row.id, row.hash, row.inputs, row.state, row.processed_by) for n, row in enumerate(rows)),
    )


def get(conn: sqlite3.Connection, job: JobKey, datum_id: str) -> DatumRow | None:
    """Return the datum, or None."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM datums WHERE {_OF_JOB} AND id = ?", (*job, datum_id)).fetchone()
    return DatumRow(*row) if row else None


def list_of_job(conn: sqlite3.Connection, job: JobKey, states: Sequence[int] = ()) -> list[DatumRow]:
    """Return the datums of a job in order; `states` empty = all."""
    sql = f"SELECT {_COLUMNS} FROM datums WHERE {_OF_JOB}"
    if states:
        sql += f" AND state IN ({', '.join('?' * len(states))})"
    return [DatumRow(*row) for row in conn.execute(f"{sql} ORDER BY position", (*job, *states))]


def hashes(conn: sqlite3.Connection, job: JobKey, states: Sequence[int]) -> dict[str, tuple[str, str]]:
    """Return datum id -> (hash, processed_by) of the datums of a job in one of `states`."""
    rows = conn.execute(
        f"SELECT id, hash, processed_by FROM datums WHERE {_OF_JOB} AND state IN ({', '.join('?' * len(states))})",
        (*job, *states),
    )
    return {row["id"]: (row["hash"], row["processed_by"]) for row in rows}


def finish(conn: sqlite3.Connection, job: JobKey, datum_id: str, state: int, reason: str, stats: Stats) -> None:
    """Record what became of a datum."""
    conn.execute(
        f"""UPDATE datums SET state = ?, reason = ?, download_seconds = ?, process_seconds = ?, upload_seconds = ?,
        download_bytes = ?, upload_bytes = ? WHERE {_OF_JOB} AND id = ?""",
        (
            state, reason, stats.download_seconds, stats.process_seconds, stats.upload_seconds, stats.download_bytes,
            stats.upload_bytes, *job, datum_id,
        ),
    )  # fmt: skip


def delete_of_job(conn: sqlite3.Connection, job: JobKey) -> None:
    """Remove the datums of one job."""
    conn.execute(f"DELETE FROM datums WHERE {_OF_JOB}", job)


def delete_of_pipeline(conn: sqlite3.Connection, project: str, pipeline: str) -> None:
    """Remove the datums of every job of a pipeline."""
    conn.execute("DELETE FROM datums WHERE project = ? AND pipeline = ?", (project, pipeline))
