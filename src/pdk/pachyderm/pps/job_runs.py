"""The job loop: takes each pipeline's oldest unfinished job from CREATED to its end.

A `Reconciler` keyed by job; every step is a row, so after `kill -9` the loop goes on where the rows say. Mirrors the
job state machine of the original's `transform/registry.go`:

    CREATED -> STARTING -> (all provenance FINISHED) -> RUNNING -> FINISHING -> SUCCESS
                        -> UNRUNNABLE                 -> FAILURE   -> FAILURE      any unfinished -> KILLED

| killed between | what is there then | what the next server does |
|---|---|---|
| CREATED / STARTING | no datums | looks again |
| RUNNING | datum rows; finished ones with their output | ends left-over processes, runs the datums still STARTING |
| FINISHING | commits closed for writing | waits for them to be FINISHED, ends the job |
"""

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pdk.base.clock import from_rfc3339, now
from pdk.base.errors import NotFound, PdkError
from pdk.db.database import Database
from pdk.pachyderm.pfs.types import CommitInfo
from pdk.pachyderm.pps.datum_runs import DatumRuns, failure_reason
from pdk.pachyderm.pps.job_infos import NOTHING_TO_RUN, datum_of, job_of, pipeline_info
from pdk.pachyderm.pps.job_plans import JobPlans, unrunnable
from pdk.pachyderm.pps.jobs import JOB_TIMED_OUT, Jobs
from pdk.pachyderm.pps.logs import Logs
from pdk.pachyderm.pps.running import RunningJob, Stopped
from pdk.pachyderm.pps.spec import parse_spec
from pdk.pachyderm.pps.types import Job, Pipeline, PipelineInfo, PipelineSpec
from pdk.pachyderm.pps.user_code import JobContext, JobTimedOut, Surroundings, UserCode
from pdk.pachyderm.store import datums as datum_rows
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.store import pipelines as pipeline_rows
from pdk.pachyderm.store.datums import DatumRow
from pdk.pachyderm.store.jobs import JobRow
from pdk.pachyderm.values import NO_DATUM, Commit, CommitSetId, DatumState, JobId, JobState
from pdk.reconcile.loop import Reconciler

# How many characters of a reason are kept.
MAX_REASON = 4000


class JobRuns:
    """Runs the jobs of this pachd: one at a time per pipeline."""

    def __init__(self, db: Database, jobs: Jobs, logs: Logs, surroundings: Surroundings) -> None:
        self._db = db
        self._pfs = surroundings.pfs
        self._jobs = jobs
        self._logs = logs
        self._at = surroundings
        self._plans = JobPlans(db, surroundings.pfs)
        self._lock = threading.Lock()
        self._running: dict[Job, RunningJob] = {}
        self._stopping = False
        workers = surroundings.settings.max_running_jobs
        self._loop = Reconciler("pps-jobs", self._reconcile, self._next_keys, workers=workers)

    def start(self) -> None:
        """Note the jobs a killed server was running, then start the loop."""
        with self._db.transaction() as conn:
            for row in job_rows.list_next(conn):
                if row.state == JobState.JOB_RUNNING:
                    job_rows.count_restart(conn, row.seq)
                    self._logs.master(job_of(row).pipeline, "job goes on after a restart of pachd", row.id)
        self._loop.start()

    def stop(self) -> None:
        """End the user code that runs now, with nothing recorded, so the next server runs those datums again."""
        with self._lock:
            self._stopping = True
            runs = list(self._running.values())
        for run in runs:
            run.cancel()
        self._loop.stop()

    def running(self, job: Job) -> RunningJob | None:
        """Return what runs of a job now, None when nothing does."""
        with self._lock:
            return self._running.get(job)

    def on_job_changed(self, job: Job) -> None:
        """Signal of `Jobs`: end the user code of a job that has ended, let the next one begin."""
        run = self.running(job)
        if run is not None and self._has_ended(job):
            run.cancel()
        self._wake()

    def on_commit_settled(self, commit: Commit) -> None:
        """Signal of pfs: a commit is FINISHED or gone; who waited for it may move, the job of a gone one goes too."""
        job = Job(Pipeline(commit.repo.project, commit.repo.name), JobId(commit.id))
        if commit.repo == job.pipeline.output_repo and self._row(job) is not None:
            run = self.running(job)
            if run is not None and self._output(job) is None:
                run.cancel()
            self._loop.enqueue(str(job))
        self._wake()

    def _output(self, job: Job) -> CommitInfo | None:
        try:
            return self._pfs.inspect_commit(job.output_commit)
        except NotFound:
            return None

    # The loop

    def _wake(self) -> None:
        for key in self._next_keys():
            self._loop.enqueue(key)

    def _next_keys(self) -> list[str]:
        with self._db.read() as conn:
            return [str(job_of(row)) for row in job_rows.list_next(conn)]

    def _row(self, job: Job) -> JobRow | None:
        with self._db.read() as conn:
            return job_rows.get(conn, job.key)

    def _has_ended(self, job: Job) -> bool:
        row = self._row(job)
        return row is None or row.finished is not None

    def _reconcile(self, key: str) -> None:
        job = _job(key)
        row = self._row(job)
        if row is None:
            return
        output = self._output(job)
        if output is None:
            self._jobs.forget_job(job)
        elif row.finished is None and self._is_next(row):
            try:
                self._step(row, output)
            except Exception as error:
                self._logs.master(job.pipeline, f"job cannot go on, will be tried again: {error}", job.id)
                raise

    def _is_next(self, row: JobRow) -> bool:
        with self._db.read() as conn:
            unfinished = job_rows.list_unfinished(conn, job_of(row).pipeline.key)
        return bool(unfinished) and unfinished[0].seq == row.seq

    def _step(self, row: JobRow, output: CommitInfo) -> None:
        job = job_of(row)
        if row.state == JobState.JOB_CREATED:
            with self._db.transaction() as conn:
                moved = job_rows.set_state(conn, row.seq, JobState.JOB_STARTING, JobState.JOB_CREATED)
            if moved:
                self._logs.master(job.pipeline, "job is JOB_STARTING", job.id)
        if row.state in (JobState.JOB_CREATED, JobState.JOB_STARTING):
            inputs = [self._pfs.inspect_commit(commit) for commit in output.direct_provenance]
            if any(info.finished is None for info in inputs):
                return  # the signal of the last one brings us back
            if not self._begin(row, output, inputs):
                return
        if row.state != JobState.JOB_FINISHING:
            with self._register(job) as run:
                if run is None or not self._run(row, run):
                    return
        with self._pfs.transaction() as tx:
            fresh = job_rows.get(tx.conn, job.key)
            if fresh is not None and fresh.state == JobState.JOB_FINISHING and self._jobs.settle(tx, fresh):
                self._log_end(job)

    def _log_end(self, job: Job) -> None:
        def log() -> None:
            row = self._row(job)
            if row is not None:
                reason = f": {row.reason}" if row.reason else ""
                self._logs.master(job.pipeline, f"job is {row.state.name}{reason}", job.id)

        self._db.after_commit(log)

    def _end(self, row: JobRow, state: JobState, reason: str) -> None:
        with self._pfs.transaction() as tx:
            bounded = reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}..."
            if self._jobs.end(tx, row, state, bounded):
                self._log_end(job_of(row))

    # Beginning

    def _begin(self, row: JobRow, output: CommitInfo, inputs: Sequence[CommitInfo]) -> bool:
        """Decide what there is to do and record it with the state RUNNING; False when the job ended instead."""
        info, spec = self._pipeline(row)
        failed = [upstream for upstream in inputs if upstream.error]
        if failed:
            self._end(row, JobState.JOB_UNRUNNABLE, unrunnable(spec, failed))
            return False
        if not spec.transform.cmd:
            self._end(row, JobState.JOB_FAILURE, NOTHING_TO_RUN)
            return False
        job = job_of(row)
        try:
            work = self._plans.work_out(job, info, spec, output)
        except PdkError as error:
            self._end(row, JobState.JOB_FAILURE, f"cannot list the datums: {error}")
            return False
        if not self._plans.record(row, work):
            return False
        counts = f"{len(work.datums)} datums, {len(work.skipped)} of them skipped"
        self._logs.master(job.pipeline, f"job is JOB_RUNNING: {counts}", job.id)
        return True

    def _pipeline(self, row: JobRow) -> tuple[PipelineInfo, PipelineSpec]:
        with self._db.read() as conn:
            pipeline = pipeline_rows.get(conn, job_of(row).pipeline.key, row.version)
            if pipeline is None:
                raise NotFound(f"version {row.version} of pipeline {row.project}/{row.pipeline} not found")
            return pipeline_info(conn, pipeline), parse_spec(pipeline.effective_spec)

    # Running

    @contextmanager
    def _register(self, job: Job) -> Iterator[RunningJob | None]:
        """Make the run reachable for `stop` and `on_job_changed`; None when it must not begin."""
        run = RunningJob()
        with self._lock:
            if not self._stopping:
                self._running[job] = run
        try:
            # Looked at after it became reachable: an end from now on cancels the run, an earlier one is seen here.
            yield None if self._stopping or self._has_ended(job) else run
        finally:
            with self._lock:
                self._running.pop(job, None)

    def _run(self, row: JobRow, run: RunningJob) -> bool:
        """Process the datums and close the commits; False when the job ended otherwise or the server stops."""
        job = job_of(row)
        info, spec = self._pipeline(row)
        try:
            self._process(job, info, spec, run)
        except Stopped:
            return False
        except JobTimedOut:
            self._end(row, JobState.JOB_KILLED, f"{JOB_TIMED_OUT}: job_timeout of {spec.job_timeout:g}s passed")
            return False
        with self._db.read() as conn:
            failed = datum_rows.list_of_job(conn, job.key, [DatumState.FAILED])
        if failed:
            self._end(row, JobState.JOB_FAILURE, failure_reason(job, failed[0].id, failed[0].reason))
            return False
        with self._pfs.transaction() as tx:
            if not job_rows.set_state(tx.conn, row.seq, JobState.JOB_FINISHING, JobState.JOB_RUNNING):
                return False
            self._jobs.finish_commits(tx, job, "")
        return True

    def _process(self, job: Job, info: PipelineInfo, spec: PipelineSpec, run: RunningJob) -> None:
        with self._db.read() as conn:
            rows = datum_rows.list_of_job(conn, job.key, [DatumState.STARTING])
        if not rows:
            return
        mask = self._at.secrets.mask(spec.transform.secrets)
        context = JobContext(job, info, spec, run, mask, self._deadline(job, spec))
        code = UserCode(self._at, context)
        log = self._logs.open_job(job)
        try:
            for line in code.describe():
                log.append(line, NO_DATUM, user=False)
            runs = DatumRuns(self._db, self._pfs, context, code)

            def process(row: DatumRow) -> None:
                datum = datum_of(row)
                with run.processing(datum):
                    runs.process(datum, log.datum(datum.id))

            _in_parallel(process, rows, min(spec.parallelism, self._at.settings.max_parallel_datums), run)
        finally:
            log.close()

    def _deadline(self, job: Job, spec: PipelineSpec) -> float | None:
        """Return when job_timeout passes on the monotonic clock; it counts from `started`, across restarts."""
        row = self._row(job)
        if spec.job_timeout is None or row is None or row.started is None:
            return None
        return time.monotonic() + spec.job_timeout - (now() - from_rfc3339(row.started)).total_seconds()


def _in_parallel(process: Callable[[DatumRow], None], rows: Sequence[DatumRow], parallel: int, run: RunningJob) -> None:
    if parallel == 1 or len(rows) == 1:
        for row in rows:
            process(row)
        return
    with concurrent.futures.ThreadPoolExecutor(parallel, thread_name_prefix="pps-datum") as pool:
        futures = [pool.submit(process, row) for row in rows]
        try:
            for future in futures:
                future.result()
        except BaseException:
            # One datum was stopped or timed out, so all are; those not begun yet never are.
            pool.shutdown(wait=False, cancel_futures=True)
            run.cancel()
            raise


def _job(key: str) -> Job:
    pipeline, _, job_id = key.partition("@")
    project, _, name = pipeline.partition("/")
    return Job(Pipeline(project, name), JobId(CommitSetId(job_id)))
