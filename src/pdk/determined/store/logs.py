"""Queries on the lines of task logs."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pdk.db.rows import fetch
from pdk.determined.store.records import AllocationId, LogLine, TaskId, TrialId
from pdk.determined.store.states import LogSource

COLUMNS = (
    "task_id",
    "trial_id",
    "allocation_id",
    "container_id",
    "rank_id",
    "timestamp",
    "level",
    "source",
    "stdtype",
    "log",
)


@dataclass(frozen=True)
class TaskLogFilter:
    """Which lines to read; empty sequences mean any. `trial_id` or `task_id` must be given."""

    trial_id: TrialId | None = None
    task_id: TaskId | None = None
    levels: Sequence[str] = ()
    rank_ids: Sequence[int] = ()
    stdtypes: Sequence[str] = ()
    sources: Sequence[str] = ()
    container_ids: Sequence[str] = ()
    agent_ids: Sequence[str] = ()
    allocation_ids: Sequence[str] = ()
    before: str = ""
    after: str = ""
    search_text: str = ""


def append(conn: sqlite3.Connection, lines: Sequence[LogLine]) -> None:
    """Store lines in order."""
    marks = ", ".join("?" * len(COLUMNS))
    conn.executemany(
        f"INSERT INTO task_logs ({', '.join(COLUMNS)}) VALUES ({marks})",
        [[getattr(line, column) for column in COLUMNS] for line in lines],
    )


def read(
    conn: sqlite3.Connection, wanted: TaskLogFilter, after_id: int, limit: int, newest_first: bool = False
) -> list[LogLine]:
    """Return at most `limit` lines that pass the filter, those after `after_id` (before it when newest first)."""
    clauses, arguments = _where(wanted)
    clauses.append("id < ?" if newest_first else "id > ?")
    order = "DESC" if newest_first else "ASC"
    query = f"SELECT * FROM task_logs WHERE {' AND '.join(clauses)} ORDER BY id {order} LIMIT ?"
    return fetch(conn, LogLine, query, *arguments, after_id, limit)


def tail(conn: sqlite3.Connection, allocation_id: AllocationId, trial_id: TrialId, count: int) -> list[str]:
    """Return the last lines an allocation's own process wrote, oldest first."""
    query = """SELECT log FROM task_logs WHERE trial_id = ? AND allocation_id = ? AND source != ?
        ORDER BY id DESC LIMIT ?"""
    return [row[0] for row in conn.execute(query, (trial_id, allocation_id, LogSource.MASTER, count))][::-1]


def distinct(conn: sqlite3.Connection, wanted: TaskLogFilter, column: str) -> list[str | int]:
    """Return the distinct values of one column (a name from code) of a task's log."""
    clauses, arguments = _where(wanted)
    query = f"SELECT DISTINCT {column} FROM task_logs WHERE {' AND '.join(clauses)} AND {column} IS NOT NULL"
    return sorted((row[0] for row in conn.execute(query, arguments)), key=str)


def _where(wanted: TaskLogFilter) -> tuple[list[str], list[object]]:
    column, key = ("trial_id", wanted.trial_id) if wanted.trial_id else ("task_id", wanted.task_id)
    clauses: list[str] = [f"{column} = ?"]
    arguments: list[object] = [key]
    for name, values in (
        ("level", wanted.levels),
        ("rank_id", wanted.rank_ids),
        ("stdtype", wanted.stdtypes),
        ("source", wanted.sources),
        ("container_id", wanted.container_ids),
        ("allocation_id", wanted.allocation_ids),
    ):
        if values:
            clauses.append(f"{name} IN ({', '.join('?' * len(values))})")
            arguments.extend(values)
    for clause, value in (
        ("timestamp < ?", wanted.before),
        ("timestamp > ?", wanted.after),
        ("instr(log, ?) > 0", wanted.search_text),
    ):
        if value:
            clauses.append(clause)
            arguments.append(value)
    return clauses, arguments
