"""Log lines of pipelines, jobs and datums: written by the job loop and user code, read by `GetLogs`.

Mirrors what the original's workers and master log and how its `GetLogs` filters it. `follow` waits on its own signal,
so a chatty datum does not wake those who wait for commits.
"""

import collections
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pdk.db.database import Database
from pdk.pachyderm.pps.datum_values import inputs_from_json, names_inputs
from pdk.pachyderm.pps.errors import JobNotFound, PipelineNotFound
from pdk.pachyderm.pps.types import DatumInput, Job, LogFilter, LogMessage, Pipeline
from pdk.pachyderm.store import datums as datum_rows
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.store import logs as log_files
from pdk.pachyderm.store import pipelines as pipeline_rows
from pdk.pachyderm.store.logs import LogFile, LogFiles, LogRecord
from pdk.pachyderm.values import NO_JOB, DatumId, JobId
from pdk.reconcile.changes import Changes

# How far back, in seconds, a pipeline's log is read when the request does not say.
DEFAULT_SINCE = 24 * 3600.0
# How soon `follow` notices a lost signal, in seconds.
_FOLLOW_SECONDS = 1.0


class JobLog:
    """Where the worker lines of one running job go."""

    def __init__(self, file: LogFile, job: Job, signal: Changes) -> None:
        self._file = file
        self._job = job
        self._signal = signal

    def datum(self, datum_id: DatumId) -> "DatumLog":
        """Return the log of one datum."""
        return DatumLog(self, datum_id)

    def append(self, message: str, datum_id: DatumId, user: bool) -> None:
        """Store one line."""
        self._file.append(LogRecord(time.time(), message, self._job.id, datum_id, user=user))
        self._signal.notify()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class DatumLog:
    """Where the lines of one datum go."""

    def __init__(self, log: JobLog, datum_id: DatumId) -> None:
        self._log = log
        self._datum_id = datum_id

    def user(self, message: str) -> None:
        """Store a line user code printed."""
        self._log.append(message, self._datum_id, user=True)

    def worker(self, message: str) -> None:
        """Store a line about the processing of the datum."""
        self._log.append(message, self._datum_id, user=False)


class Logs:
    """All logs of this pachd."""

    def __init__(self, db: Database, files: LogFiles, changes: Changes) -> None:
        """`changes` only says when the server stops."""
        self._db = db
        self.files = files
        self._changes = changes
        self._signal = Changes()

    def close(self) -> None:
        """End every `follow`; called when the server stops."""
        self._signal.close()

    def open_job(self, job: Job) -> JobLog:
        """Open the log of a job for writing."""
        return JobLog(self.files.open_job(job.key), job, self._signal)

    def master(self, pipeline: Pipeline, message: str, job_id: JobId = NO_JOB) -> None:
        """Store a line about a pipeline or one of its jobs."""
        record = LogRecord(time.time(), message, job_id, master=True)
        self.files.append_master(pipeline.key, record)
        self._signal.notify()

    def get_logs(self, wanted: LogFilter, cancelled: Callable[[], bool] = lambda: False) -> Iterator[LogMessage]:
        """Yield the lines that pass the filter, oldest first; with `follow` until `cancelled()` or the server stops.

        Raises PipelineNotFound, JobNotFound at once.
        """
        with self._db.read() as conn:
            if pipeline_rows.get(conn, wanted.pipeline.key) is None:
                raise PipelineNotFound(wanted.pipeline)
            if wanted.job is not None and job_rows.get(conn, wanted.job.key) is None:
                raise JobNotFound(wanted.job)
        return self._follow(_Reader(self._db, self.files, wanted), wanted, cancelled)

    def _follow(self, reader: "_Reader", wanted: LogFilter, cancelled: Callable[[], bool]) -> Iterator[LogMessage]:
        version = self._signal.version
        lines = reader.new_lines()
        yield from collections.deque(lines, maxlen=wanted.tail) if wanted.tail else lines
        while wanted.follow and not (cancelled() or self._signal.closed or self._changes.closed):
            version = self._signal.wait_newer(version, _FOLLOW_SECONDS)
            yield from reader.new_lines()


class _Reader:
    """Reads the files one request is about, remembering how far it is in each."""

    def __init__(self, db: Database, files: LogFiles, wanted: LogFilter) -> None:
        self._db = db
        self._files = files
        self._wanted = wanted
        # The oldest moment to show; a job's log begins with the job, so without `since` all of it is shown.
        self._since = time.time() - (wanted.since or DEFAULT_SINCE) if wanted.since or wanted.job is None else 0.0
        self._offsets: dict[int, int] = {}
        self._inputs: dict[tuple[JobId, DatumId], tuple[DatumInput, ...]] = {}

    def new_lines(self) -> Iterator[LogMessage]:
        """Yield the lines that pass the filter and were not yielded before, oldest first."""
        for path in self._paths():
            # By inode: the master file changes its name when it is full.
            inode = path.stat().st_ino if path.exists() else 0
            for record, offset in log_files.read(path, self._offsets.get(inode, 0)):
                self._offsets[inode] = offset
                message = self._message(record)
                if message is not None:
                    yield message

    def _paths(self) -> list[Path]:
        pipeline, job = self._wanted.pipeline, self._wanted.job
        if self._wanted.master:
            return self._files.master_paths(pipeline.key)
        if job is not None:
            return [self._files.job_path(job.key)]
        with self._db.read() as conn:
            rows = job_rows.list_of_pipeline(conn, pipeline.key)
        return [self._files.job_path(Job(pipeline, row.id).key) for row in reversed(rows)]

    def _message(self, record: LogRecord) -> LogMessage | None:
        wanted = self._wanted
        if record.moment < self._since or record.master != wanted.master:
            return None
        if wanted.job and record.job_id != wanted.job.id:
            return None
        if wanted.datum_id and record.datum_id != wanted.datum_id:
            return None
        inputs = self._inputs_of(record)
        if not names_inputs(wanted.data_filters, inputs):
            return None
        moment = datetime.fromtimestamp(record.moment, UTC)
        return LogMessage(
            wanted.pipeline, record.job_id, record.datum_id, moment, record.message, record.user, record.master, inputs
        )

    def _inputs_of(self, record: LogRecord) -> tuple[DatumInput, ...]:
        if not record.datum_id:
            return ()
        key = (record.job_id, record.datum_id)
        if key not in self._inputs:
            with self._db.read() as conn:
                row = datum_rows.get(conn, Job(self._wanted.pipeline, record.job_id).key, record.datum_id)
            self._inputs[key] = inputs_from_json(row.inputs) if row else ()
        return self._inputs[key]
