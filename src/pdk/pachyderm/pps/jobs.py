"""Jobs: created with their output commits, inspected and listed, stopped and deleted, ended.

Called by the api, by `pipelines` and by `job_runs`. Mirrors the job calls of the original's pps server. A job is a row;
every change of it is one transaction together with what changes of its output and meta commit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pdk.base.clock import rfc3339_now
from pdk.base.errors import InvalidArgument, NotFound, Unavailable
from pdk.db.database import Database
from pdk.pachyderm.pfs import commits
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.pfs.types import CommitHandle, CommitState, NewCommit
from pdk.pachyderm.pps.errors import DatumNotFound, JobNotFound, PipelineNotFound
from pdk.pachyderm.pps.job_infos import datum_info, job_info, job_of
from pdk.pachyderm.pps.logs import Logs
from pdk.pachyderm.pps.spec import parse_spec
from pdk.pachyderm.pps.types import DatumInfo, Job, JobInfo, Json, Pipeline
from pdk.pachyderm.store import datums as datum_rows
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.store import pipelines as pipeline_rows
from pdk.pachyderm.store.jobs import JobRow
from pdk.pachyderm.values import CommitSetId, DatumId, DatumState, JobId, JobState, RepoType
from pdk.reconcile.changes import Changes

DEFAULT_STOP_REASON = "job stopped"
# The original's text, as it is.
JOB_TIMED_OUT = " jobtimed out"


@dataclass(frozen=True)
class JobFilter:
    """Which jobs `list_job` returns; `history` 0 = of each pipeline's present version, n = also n before, -1 = all."""

    pipeline: Pipeline | None = None
    projects: Sequence[str] = ()
    input_commits: Sequence[CommitHandle] = ()
    history: int = 0


class Jobs:
    """The jobs of this pachd."""

    def __init__(self, db: Database, pfs: Pfs, changes: Changes, logs: Logs) -> None:
        self._db = db
        self._pfs = pfs
        self._changes = changes
        self._logs = logs
        # Called after a transaction that created, ended or deleted a job; only a signal.
        self.on_changed: list[Callable[[Job], None]] = []

    # Creation and end, inside a transaction of pfs

    def propagate_jobs(self, tx: PfsTransaction, new_commits: Sequence[NewCommit]) -> None:
        """Create the job of every output commit that propagation opened; called by pfs inside its transaction."""
        for new in new_commits:
            repo = new.commit.repo
            job = Job(Pipeline(repo.project, repo.name), JobId(new.commit.id))
            row = pipeline_rows.get(tx.conn, job.pipeline.key) if repo.type == RepoType.USER else None
            if row is None or row.stopped or new.branch.name != row.effective_spec["output_branch"]:
                continue
            if job_rows.get(tx.conn, job.key) is None:
                job_rows.insert(tx.conn, job.key, row.version, new.branch.name, rfc3339_now())
                self._after_commit(job)

    def end(self, tx: PfsTransaction, row: JobRow, state: JobState, reason: str = "") -> bool:
        """Take a job to a terminal state that is not SUCCESS and finish its commits with the reason.

        Return False if it has ended, or has finished its commits already and is about to.
        """
        if row.state == JobState.JOB_FINISHING or not job_rows.finish(tx.conn, row.seq, state, reason, rfc3339_now()):
            return False
        job = job_of(row)
        self.finish_commits(tx, job, reason or state.name)
        self._after_commit(job)
        return True

    def finish_commits(self, tx: PfsTransaction, job: Job, error: str) -> None:
        """Finish output and meta commit, as far as they still are open; `error` "" = good."""
        for commit in (job.output_commit, job.meta_commit):
            try:
                info = self._pfs.inspect_commit(commit)
            except NotFound:
                continue  # dropped or squashed with its commit set; `job_runs` removes the job
            if info.finishing is None:
                commits.finish_commit(tx, commit, error=error, force=True)

    def end_all(self, tx: PfsTransaction, pipeline: Pipeline, reason: str) -> None:
        """Kill every job of a pipeline that has not ended."""
        for row in job_rows.list_unfinished(tx.conn, pipeline.key):
            self.end(tx, row, JobState.JOB_KILLED, reason)

    def settle(self, tx: PfsTransaction, row: JobRow) -> bool:
        """End a FINISHING job once its output commit is FINISHED: SUCCESS, or FAILURE with what pfs found wrong.

        Return False when the commit is not FINISHED yet.
        """
        job = job_of(row)
        info = self._pfs.inspect_commit(job.output_commit)
        if info.finished is None:
            return False
        state = JobState.JOB_FAILURE if info.error else JobState.JOB_SUCCESS
        job_rows.finish(tx.conn, row.seq, state, info.error, rfc3339_now())
        self._after_commit(job)
        return True

    def _after_commit(self, job: Job) -> None:
        def signal() -> None:
            self._changes.notify()
            for callback in self.on_changed:
                callback(job)

        self._db.after_commit(signal)

    # Calls of clients

    def stop_job(self, job: Job, reason: str = "") -> None:
        """Kill a job; nothing happens when it has ended already. Raises JobNotFound."""
        with self._pfs.transaction() as tx:
            self.end(tx, self._row(job), JobState.JOB_KILLED, reason or DEFAULT_STOP_REASON)

    def delete_job(self, job: Job) -> None:
        """Kill a job and remove it from the lists; its output commit stays. Raises JobNotFound."""
        with self._pfs.transaction() as tx:
            row = self._row(job)
            self.end(tx, row, JobState.JOB_KILLED, "job deleted")
            job_rows.delete(tx.conn, row.seq)
            self._after_commit(job)
        self._logs.files.delete_job(job.key)

    def forget_job(self, job: Job) -> None:
        """Remove what is left of a job whose output commit is gone."""
        with self._db.transaction() as conn:
            row = job_rows.get(conn, job.key)
            if row is not None:
                job_rows.delete(conn, row.seq)
                self._after_commit(job)
            datum_rows.delete_of_job(conn, job.key)
        self._logs.files.delete_job(job.key)

    def _row(self, job: Job) -> JobRow:
        with self._db.read() as conn:
            row = job_rows.get(conn, job.key)
        if row is None:
            raise JobNotFound(job)
        return row

    def inspect_job(self, job: Job) -> JobInfo:
        """Describe a job. Raises JobNotFound."""
        return job_info(self._row(job))

    def wait_job(self, job: Job, cancelled: Callable[[], bool] = lambda: False) -> JobInfo:
        """Describe a job once it has ended or `cancelled()`. Raises JobNotFound, also when it is deleted meanwhile."""
        self._changes.wait_for(lambda: cancelled() or self.inspect_job(job).state.terminal)
        info = self.inspect_job(job)
        if not info.state.terminal and not cancelled():
            raise Unavailable(f"job {job} has not ended yet: the server is stopping")
        return info

    def list_job(self, wanted: JobFilter) -> list[JobInfo]:
        """Describe jobs, newest first. Raises PipelineNotFound, or NotFound for an unknown input commit."""
        read = {self._pfs.resolve(handle) for handle in wanted.input_commits}
        with self._db.read() as conn:
            if wanted.pipeline is None:
                rows = job_rows.list_all(conn)
            else:
                if pipeline_rows.get(conn, wanted.pipeline.key) is None:
                    raise PipelineNotFound(wanted.pipeline)
                rows = job_rows.list_of_pipeline(conn, wanted.pipeline.key)
            rows = [row for row in rows if not wanted.projects or row.project in wanted.projects]
            if wanted.history >= 0:
                current = {(row.project, row.name): row.version for row in pipeline_rows.list_current(conn)}
                rows = [
                    row for row in rows if row.version >= current.get((row.project, row.pipeline), 0) - wanted.history
                ]
            return [
                job_info(row)
                for row in rows
                if not read or read <= set(self._pfs.provenance(job_of(row).output_commit))
            ]

    def job_set(self, set_id: CommitSetId) -> list[JobInfo]:
        """Describe the jobs with this id, upstream ones first; none when there is no such job."""
        with self._db.read() as conn:
            return [job_info(row) for row in job_rows.list_of_set(conn, set_id)]

    def wait_job_set(self, set_id: CommitSetId, cancelled: Callable[[], bool] = lambda: False) -> Iterator[JobInfo]:
        """Yield the jobs of a set as each ends, once every commit of the set they read is FINISHED."""
        jobs = [info.job for info in self.job_set(set_id)]
        if not jobs:
            return
        for commit in self._pfs.commit_set(set_id):
            if commit.commit.repo.type == RepoType.USER and commit.commit.repo not in {
                job.pipeline.output_repo for job in jobs
            }:
                self._pfs.wait_commit(commit.commit, CommitState.FINISHED, cancelled=cancelled)
        for job in jobs:
            if cancelled():
                return
            yield self.wait_job(job, cancelled)

    def list_job_set(self, projects: Sequence[str] = ()) -> list[tuple[JobId, list[JobInfo]]]:
        """Return (id, jobs) of every job set, newest first."""
        sets: dict[JobId, list[JobInfo]] = {}
        for info in self.list_job(JobFilter(projects=projects, history=-1)):
            sets.setdefault(info.job.id, []).insert(0, info)
        return list(sets.items())

    def subscribe_job(self, pipeline: Pipeline, cancelled: Callable[[], bool]) -> Iterator[JobInfo]:
        """Yield every change of a pipeline's unfinished and later jobs until `cancelled()` or the server stops."""
        seen: dict[JobId, JobInfo] = {}
        first = True
        while not cancelled() and not self._changes.closed:
            version = self._changes.version
            for info in reversed(self.list_job(JobFilter(pipeline=pipeline, history=-1))):
                skip = first and info.state.terminal
                if seen.get(info.job.id) != info and not skip:
                    yield info
                seen[info.job.id] = info
            first = False
            self._changes.wait_newer(version, 5.0)

    def spec_of(self, info: JobInfo) -> tuple[Json, str]:
        """Return effective spec and salt of the pipeline version a job ran with. Raises PipelineNotFound."""
        with self._db.read() as conn:
            row = pipeline_rows.get(conn, info.job.pipeline.key, info.version)
        if row is None:
            raise PipelineNotFound(info.job.pipeline)
        return row.effective_spec, row.salt

    # Datums

    def list_datum(self, job: Job, states: Sequence[DatumState] = ()) -> list[DatumInfo]:
        """Describe the datums of a job in order; none before it runs. Raises JobNotFound."""
        image = self._image(job)
        with self._db.read() as conn:
            rows = datum_rows.list_of_job(conn, job.key, states)
        return [datum_info(job, row, image) for row in rows]

    def inspect_datum(self, job: Job, datum_id: DatumId) -> DatumInfo:
        """Describe a datum. Raises JobNotFound, DatumNotFound."""
        if not datum_id:
            raise InvalidArgument("datum id must be specified")
        image = self._image(job)
        with self._db.read() as conn:
            row = datum_rows.get(conn, job.key, datum_id)
        if row is None:
            raise DatumNotFound(job, datum_id)
        return datum_info(job, row, image)

    def _image(self, job: Job) -> str:
        effective, _ = self.spec_of(self.inspect_job(job))
        return parse_spec(effective).transform.image
