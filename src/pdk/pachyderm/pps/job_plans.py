"""What a job has to do, worked out when its inputs are FINISHED, and recorded with its state RUNNING.

Called by `job_runs`. The datum rows, the removal of stale output and the state change together: a job is RUNNING
exactly when it is decided which datums it has.
"""

from collections.abc import Sequence

from pdk.base.clock import rfc3339_now
from pdk.db.database import Database
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import CommitInfo
from pdk.pachyderm.pps.datum_values import inputs_to_json
from pdk.pachyderm.pps.datums import DatumLister, Plan, plan
from pdk.pachyderm.pps.inputs import pfs_inputs
from pdk.pachyderm.pps.job_infos import job_of
from pdk.pachyderm.pps.types import Job, PipelineInfo, PipelineSpec
from pdk.pachyderm.store import datums as datum_rows
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.store.datums import NewDatum
from pdk.pachyderm.store.jobs import JobRow
from pdk.pachyderm.values import DatumId, DatumState, JobId, JobState, RepoType

CAUSE = "; cause: "
_DONE = (DatumState.SUCCESS, DatumState.SKIPPED)


class JobPlans:
    """Plans the jobs of this pachd."""

    def __init__(self, db: Database, pfs: Pfs) -> None:
        self._db = db
        self._pfs = pfs

    def work_out(self, job: Job, info: PipelineInfo, spec: PipelineSpec, output: CommitInfo) -> Plan:
        """Return datums, skipped ones and stale ones. Raises PdkError when the inputs cannot be split into datums."""
        commits = {commit.repo: commit for commit in output.direct_provenance}
        datums = DatumLister(self._pfs, commits).list_datums(spec.input, info.salt)
        return plan(datums, self._processed_before(job, output), spec.reprocess_every_job)

    def _processed_before(self, job: Job, output: CommitInfo) -> dict[DatumId, tuple[str, JobId]]:
        """Return what is processed in the commit this one builds on: its nearest ancestor without an error."""
        base = output.parent
        while base is not None:
            info = self._pfs.inspect_commit(base)
            if not info.error:
                with self._db.read() as conn:
                    return datum_rows.hashes(conn, Job(job.pipeline, JobId(base.id)).key, _DONE)
            base = info.parent
        return {}

    def record(self, row: JobRow, work: Plan) -> bool:
        """Store the plan and take the job from STARTING to RUNNING; False when it is no longer STARTING."""
        job = job_of(row)
        rows = [
            NewDatum(
                id=datum.id,
                hash=datum.hash,
                inputs=inputs_to_json(datum.inputs),
                state=DatumState.SKIPPED if datum.id in work.skipped else DatumState.STARTING,
                processed_by=work.skipped.get(datum.id, job.id),
            )
            for datum in work.datums
        ]
        with self._db.transaction() as conn:
            if not job_rows.set_state(conn, row.seq, JobState.JOB_RUNNING, JobState.JOB_STARTING):
                return False
            if work.stale:
                self._remove_stale(job, frozenset(work.stale))
            datum_rows.insert_all(conn, job.key, rows)
            job_rows.set_started(conn, row.seq, rfc3339_now(), len(rows), len(work.skipped))
        return True

    def _remove_stale(self, job: Job, stale: frozenset[DatumId]) -> None:
        """Take the files of stale datums, known by their tag, out of what the output commit has from its base."""
        with self._pfs.file_writer(job.output_commit) as writer:
            for info in self._pfs.files(job.output_commit).walk("/"):
                if info.datum in stale:
                    writer.delete(info.path, datum=info.datum)


def unrunnable(spec: PipelineSpec, failed: Sequence[CommitInfo]) -> str:
    """Return why a job with these errored input commits cannot run: the original's text, then the first cause.

    The cause is handed on from pipeline to pipeline, so the last one of a chain still names the first.
    """
    repos = {info.commit.repo for info in failed if info.commit.repo.type != RepoType.SPEC}
    names = sorted({leaf.name for leaf in pfs_inputs(spec.input) if leaf.branch.repo in repos})
    error = failed[0].error
    cause = error.partition(CAUSE)[2] or error
    return f"unrunnable because the following upstream pipelines failed: {', '.join(names)}{CAUSE}{cause}"
