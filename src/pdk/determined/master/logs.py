"""Task logs: taking in what trials and the master write, and reading it back.

Lines of trials go through one bounded queue and are stored in batches, at most `FLUSH_SECONDS` late; when the queue is
full the writer waits, so a trial that prints endlessly is slowed down and cannot fill the memory. Lines of the master
itself are stored in the transaction of the state change they tell about.
"""

import logging
import queue
import re
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pdk.base.clock import rfc3339_now
from pdk.db.database import Database
from pdk.determined.master.signals import Signals
from pdk.determined.store import logs as store
from pdk.determined.store import trials
from pdk.determined.store.logs import TaskLogFilter
from pdk.determined.store.records import Allocation, LogLine
from pdk.determined.store.states import TERMINAL, LogLevel, LogSource

logger = logging.getLogger(__name__)

QUEUE_LINES = 5_000
MAX_LINE_CHARACTERS = 8_191  # longer ones are cut into pieces, as the original's log shipper does
BATCH_LINES = 1_000
FLUSH_SECONDS = 0.1
RETRY_SECONDS = 1.0
NEWEST = 2**63 - 1

# As the original's ship_logs.py: an optional rank, then an optional severity, each taken off the text.
RANK = re.compile(r" ?\[rank=([0-9]+)\] ?(.*)", re.DOTALL)
LEVEL = re.compile(r" ?(DEBUG|INFO|WARNING|ERROR|CRITICAL): ?(.*)", re.DOTALL)


@dataclass(frozen=True)
class _Flush:
    done: threading.Event


class TaskLogs:
    """The logs of all tasks."""

    def __init__(self, db: Database, signals: Signals) -> None:
        self._db = db
        self._signals = signals
        self._queue: queue.Queue[LogLine | _Flush | None] = queue.Queue(QUEUE_LINES)
        self._writer = threading.Thread(target=self._write, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start storing queued lines."""
        self._writer.start()

    def stop(self) -> None:
        """Store what is queued and end; nothing may be put afterwards."""
        if self._writer.is_alive():
            self._queue.put(None)
            self._writer.join(10.0)

    def put(self, line: LogLine) -> None:
        """Queue a line; waits while the queue is full."""
        self._queue.put(line)

    def flush(self) -> None:
        """Wait until everything put before this call is stored."""
        done = threading.Event()
        self._queue.put(_Flush(done))
        while not done.wait(1.0) and self._writer.is_alive():
            continue

    def store_now(self, lines: Sequence[LogLine]) -> None:
        """Store lines at once (log lines that tasks send over the API)."""
        with self._db.transaction() as conn:
            store.append(conn, lines)
            self._db.after_commit(self._signals.logs.notify)

    def read(self, wanted: TaskLogFilter, after_id: int, limit: int, newest_first: bool = False) -> list[LogLine]:
        """Return at most `limit` lines after `after_id` (before it when newest first, start with NEWEST)."""
        with self._db.read() as conn:
            return store.read(conn, wanted, after_id, limit, newest_first)

    def distinct(self, wanted: TaskLogFilter, column: str) -> list[str | int]:
        """Return the distinct values of a column of a log, for filters of a user interface."""
        with self._db.read() as conn:
            return store.distinct(conn, wanted, column)

    def ended(self, wanted: TaskLogFilter) -> bool:
        """Tell whether no line can follow: the trial behind the log has ended, or there is none."""
        with self._db.read() as conn:
            if wanted.trial_id:
                trial = trials.trial(conn, wanted.trial_id)
            else:
                trial = trials.trial_of_task(conn, wanted.task_id) if wanted.task_id else None
        return trial is None or trial.state in TERMINAL

    def _write(self) -> None:
        while True:
            lines, flushes, closing = self._next_batch()
            self._store(lines)
            for flush in flushes:
                flush.done.set()
            if closing:
                return

    def _next_batch(self) -> tuple[list[LogLine], list[_Flush], bool]:
        lines: list[LogLine] = []
        deadline: float | None = None
        while len(lines) < BATCH_LINES:
            try:
                item = self._queue.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if item is None:
                return lines, [], True
            if isinstance(item, _Flush):
                return lines, [item], False
            lines.append(item)
            deadline = deadline or time.monotonic() + FLUSH_SECONDS
        return lines, [], False

    def _store(self, lines: list[LogLine]) -> None:
        while lines:
            try:
                self.store_now(lines)
            except sqlite3.Error:
                # A full disk, say. The batch is kept and trials wait; there is nowhere else to put their output.
                logger.exception("cannot store %d log lines; again in %.0f s", len(lines), RETRY_SECONDS)
                time.sleep(RETRY_SECONDS)
            else:
                return


class TaskOutput:
    """Turns what a trial's process writes into log lines: `limit` bytes, then a line that says that no more is kept."""

    def __init__(self, logs: TaskLogs, allocation: Allocation, rank: int | None, limit: int) -> None:
        self._logs = logs
        self._template = LogLine(
            id=0,
            task_id=allocation.task_id,
            trial_id=allocation.trial_id,
            allocation_id=allocation.id,
            container_id=allocation.container_id,
            rank_id=rank,
            timestamp="",
            level=None,
            source=LogSource.TASK,
            stdtype="stdout",
            log="",
        )
        self._left = limit

    def write(self, stream: str, text: str) -> None:
        """Take one line of output; a carriage return ends a line too (progress bars)."""
        for line in text.split("\r"):
            if line or "\r" not in text:
                for start in range(0, max(1, len(line)), MAX_LINE_CHARACTERS):
                    self._write(stream, line[start : start + MAX_LINE_CHARACTERS])

    def _write(self, stream: str, text: str) -> None:
        if self._left <= 0:
            return
        self._left -= len(text) + 1
        if self._left <= 0:
            text = "WARNING: this run has written more than the log keeps; what follows is dropped"
        rank, level, log = parsed(text)
        rank = self._template.rank_id if rank is None else rank
        moment = rfc3339_now()
        self._logs.put(replace(self._template, timestamp=moment, stdtype=stream, rank_id=rank, level=level, log=log))


def parsed(text: str) -> tuple[int | None, LogLevel | None, str]:
    """Split rank and level off a line, as the original's log shipper does."""
    rank, level = None, None
    found = RANK.fullmatch(text)
    if found is not None and len(found.group(1)) <= 9:
        rank, text = int(found.group(1)), found.group(2)
    found = LEVEL.fullmatch(text)
    if found is not None:
        level, text = LogLevel(found.group(1)), found.group(2)
    return rank, level, text


def master_line(allocation: Allocation, text: str, level: LogLevel = LogLevel.INFO) -> LogLine:
    """Return a line the master itself writes into a trial's log."""
    return LogLine(
        id=0,
        task_id=allocation.task_id,
        trial_id=allocation.trial_id,
        allocation_id=allocation.id,
        container_id=None,
        rank_id=None,
        timestamp=rfc3339_now(),
        level=level,
        source=LogSource.MASTER,
        stdtype="stdout",
        log=text,
    )


def message(line: LogLine) -> str:
    """Format a line as the original's command line shows it; ends with a newline."""
    parts = [f"[{line.timestamp}]", (line.container_id or "")[:8].ljust(8)]
    if line.rank_id is not None:
        parts.append(f"[rank={line.rank_id}]")
    parts.append("||")
    if line.level:
        parts.append(f"{line.level}:")
    return " ".join([*parts, line.log]) + "\n"
