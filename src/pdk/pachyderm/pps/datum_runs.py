"""Processes one datum of a running job: tries, error command, upload, record; what a crash leaves is simply done again.

Called by `job_runs`. Mirrors the original's `worker/datum` and `worker/driver`. Output files and the datum's row change
in one transaction, so a datum either counts with all its output or not at all.
"""

import time
from collections.abc import Callable

from pdk.base.errors import PdkError
from pdk.db.database import Database
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import DEFAULT_PROJECT
from pdk.pachyderm.pps.logs import DatumLog
from pdk.pachyderm.pps.outputs import output_files
from pdk.pachyderm.pps.running import Restarted, Stopped
from pdk.pachyderm.pps.types import Datum, Job
from pdk.pachyderm.pps.user_code import JobContext, Try, UserCode, UserCodeFailed
from pdk.pachyderm.store import datums as datum_rows
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.values import DatumId, DatumState, JobState, ProcessStats


class DatumRuns:
    """Processes the datums of one job, several at once if the caller has several threads."""

    def __init__(self, db: Database, pfs: Pfs, context: JobContext, code: UserCode) -> None:
        self._db = db
        self._pfs = pfs
        self._context = context
        self._code = code
        self._spec = context.spec

    def process(self, datum: Datum, log: DatumLog) -> None:
        """Process one datum and record how it ended. Raises Stopped or JobTimedOut, with nothing recorded."""
        stats, cause, recovered = ProcessStats(), "", False
        tries = 0
        while tries < self._spec.datum_tries:
            if self._context.running.cancelled:
                raise Stopped
            try:
                self._try(datum, log, stats)
                return
            except Restarted:
                log.worker("datum begins anew: it was restarted")
            except _TryFailed as failed:
                tries += 1
                cause, stats = str(failed), failed.stats
                recovered = recovered or failed.recovered
                log.worker(f"failed processing datum, try {tries} of {self._spec.datum_tries}: {cause}")
        if recovered:
            log.worker("datum was recovered: the error command succeeded")
        self._record(datum, DatumState.RECOVERED if recovered else DatumState.FAILED, stats, cause)

    def _try(self, datum: Datum, log: DatumLog, before: ProcessStats) -> None:
        stats, recovered = before, False
        try:
            with self._code.prepare(datum) as attempt:
                stats += attempt.download
                try:
                    stats += ProcessStats(process_seconds=self._run_cmd(attempt, log))
                except UserCodeFailed:
                    recovered = self._run_err_cmd(attempt, log)
                    raise
                self._upload(datum, attempt, stats)
        except (UserCodeFailed, PdkError, OSError) as error:
            if self._context.running.cancelled:
                raise Stopped from error
            # File names of user code may be no UTF-8, which neither database nor protobuf can hold.
            text = str(error).encode("utf-8", "backslashreplace").decode()
            raise _TryFailed(self._context.mask.mask(text), stats, recovered) from error

    def _run_cmd(self, attempt: Try, log: DatumLog) -> float:
        log.worker("beginning to run user code")
        started = time.monotonic()
        try:
            attempt.run(self._spec.transform.cmd, self._spec.transform.stdin, log)
        finally:
            log.worker(f"finished running user code after {time.monotonic() - started:.3f}s")
        return time.monotonic() - started

    def _run_err_cmd(self, attempt: Try, log: DatumLog) -> bool:
        """Run the error command, if there is one; return whether it succeeded."""
        transform = self._spec.transform
        if not transform.err_cmd:
            return False
        log.worker("beginning to run user error handling code")
        try:
            attempt.run(transform.err_cmd, transform.err_stdin, log)
        except UserCodeFailed as error:
            log.worker(f"user error handling code failed: {error}")
            return False
        return True

    def _upload(self, datum: Datum, attempt: Try, stats: ProcessStats) -> None:
        """Store the output and record success in one transaction; the content itself is written before it."""
        started, size = time.monotonic(), 0
        writer = self._pfs.file_writer(self._context.job.output_commit)
        try:
            for file in output_files(attempt.scratch):
                writer.put(file.path, file.chunks(), datum=datum.id)
                size += file.source.stat().st_size
            stats += ProcessStats(upload_seconds=time.monotonic() - started, upload_bytes=size)
            self._record(datum, DatumState.SUCCESS, stats, with_it=writer.close)
        except BaseException:
            writer.abort()
            raise

    def _record(
        self,
        datum: Datum,
        state: DatumState,
        stats: ProcessStats,
        reason: str = "",
        with_it: Callable[[], object] = lambda: None,
    ) -> None:
        """Write how a datum ended, with `with_it` in the same transaction. Raises Stopped when the job has ended."""
        key = self._context.job.key
        with self._db.transaction() as conn:
            row = job_rows.get(conn, key)
            if row is None or row.state != JobState.JOB_RUNNING:
                raise Stopped
            with_it()
            datum_rows.finish(conn, key, datum.id, state, reason, stats)
            job_rows.count_datum(conn, row.seq, state, stats)


class _TryFailed(Exception):
    """One try failed; carries the figures so far and whether the error command succeeded."""

    def __init__(self, cause: str, stats: ProcessStats, recovered: bool) -> None:
        super().__init__(cause)
        self.stats = stats
        self.recovered = recovered


def failure_reason(job: Job, datum_id: DatumId, cause: str) -> str:
    """Return the reason of a job that failed because of this datum: which, why, and where to see more."""
    project = "" if job.pipeline.project == DEFAULT_PROJECT else f" --project {job.pipeline.project}"
    return (
        f"datum {datum_id} failed: {cause}\n"
        f"The whole log: pdk logs{project} -j {job.pipeline.name}@{job.id}. "
        f"Fix the cause, then commit again or update the pipeline."
    )
