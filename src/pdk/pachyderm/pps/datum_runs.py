"""Processes one datum of a running job: tries, error command, upload, record; what a crash leaves is simply done again.

Called by `job_runs`. Mirrors the original's `worker/datum` and `worker/driver`. Output files and the datum's row change in
one transaction, so a datum either counts with all its output or not at all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pdk.base.errors import PdkError
from pdk.db.database import Database
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import DEFAULT_PROJECT
from pdk.pachyderm.pps.logs import DatumLog
from pdk.pachyderm.pps.outputs import output_files
from pdk.pachyderm.pps.types import Datum, Job
from pdk.pachyderm.pps.user_code import JobContext, Restarted, Stopped, Try, UserCode, UserCodeFailed
from pdk.pachyderm.store import datums as datum_rows
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.values import DatumId, DatumState, JobState, ProcessStats


@dataclass(frozen=True)
class Outcome:
    """How a datum ended; `reason` of a failed one holds the cause of its last try."""

    datum: Datum
    state: DatumState
    reason: str = ""


class DatumRuns:
    """Processes the datums of one job, several at once if the caller has several threads."""

    def __init__(self, db: Database, pfs: Pfs, context: JobContext, code: UserCode) -> None:
        self._db = db
        self._pfs = pfs
        self._context = context
        self._code = code
        self._spec = context.spec

    def process(self, datum: Datum, log: DatumLog) -> Outcome:
        """Process one datum and record how it ended; raises Stopped or JobTimedOut with nothing recorded."""
        stats, cause, recovered = ProcessStats(), "", False
        tries = 0
        while tries < self._spec.datum_tries:
            if self._context.cancellation.cancelled:
                raise Stopped
            try:
                return self._try(datum, log, stats)
            except Restarted:
                log.worker("datum begins anew: it was restarted")
            except _TryFailed as failed:
                tries += 1
                cause, stats = str(failed), failed.stats
                recovered = recovered or failed.recovered
                log.worker(f"failed processing datum, try {tries} of {self._spec.datum_tries}: {cause}")
        if recovered:
            log.worker("datum was recovered: the error command succeeded")
            return self._record(Outcome(datum, DatumState.RECOVERED, cause), stats)
        return self._record(Outcome(datum, DatumState.FAILED, cause), stats)

    def _try(self, datum: Datum, log: DatumLog, before: ProcessStats) -> Outcome:
        stats, recovered = before, False
        try:
            with self._code.prepare(datum) as (attempt, download):
                stats = replace(
                    stats,
                    download_seconds=stats.download_seconds + download.seconds,
                    download_bytes=stats.download_bytes + download.bytes,
                )
                try:
                    seconds = self._run_cmd(attempt, log)
                except UserCodeFailed:
                    recovered = self._run_err_cmd(attempt, log)
                    raise
                stats = replace(stats, process_seconds=stats.process_seconds + seconds)
                return self._upload(datum, attempt, stats)
        except (UserCodeFailed, PdkError, OSError) as error:
            if self._context.cancellation.cancelled:
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

    def _upload(self, datum: Datum, attempt: Try, stats: ProcessStats) -> Outcome:
        """Store the output and record success in one transaction; the content itself is written before, outside of it."""
        started, size = time.monotonic(), 0
        job = self._context.job
        writer = self._pfs.file_writer(job.output_commit)
        try:
            for file in output_files(attempt.scratch, attempt.pfs_root):
                writer.put(file.path, file.chunks(), datum=datum.id)
                size += file.source.stat().st_size
            seconds = time.monotonic() - started
            stats = replace(
                stats, upload_seconds=stats.upload_seconds + seconds, upload_bytes=stats.upload_bytes + size
            )
            return self._record(Outcome(datum, DatumState.SUCCESS), stats, writer.close)
        except BaseException:
            writer.abort()
            raise

    def _record(self, outcome: Outcome, stats: ProcessStats, with_it: Callable[[], object] | None = None) -> Outcome:
        """Write the end of a datum, with `with_it` in the same transaction; raise Stopped when the job has ended meanwhile."""
        key = self._context.job.key
        with self._db.transaction() as conn:
            row = job_rows.get(conn, key)
            if row is None or row.state != JobState.JOB_RUNNING:
                raise Stopped
            if with_it is not None:
                with_it()
            datum_rows.finish(conn, key, outcome.datum.id, outcome.state, outcome.reason, stats)
            job_rows.count_datum(conn, row.seq, outcome.state, stats)
        return outcome


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
