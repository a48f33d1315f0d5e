"""From rows to the values of `types`: jobs, datums, pipelines. Called by whatever in pps answers a question."""

import sqlite3

from pdk.base.clock import from_rfc3339
from pdk.pachyderm.pps.datum_values import file_infos, inputs_from_json
from pdk.pachyderm.pps.spec import parse_spec
from pdk.pachyderm.pps.types import (
    Datum,
    DatumInfo,
    Job,
    JobInfo,
    Pipeline,
    PipelineInfo,
)
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.store.datums import DatumRow
from pdk.pachyderm.store.jobs import JobRow
from pdk.pachyderm.store.pipelines import PipelineRow
from pdk.pachyderm.values import Commit, JobState, PipelineState, ProcessStats

NOTHING_TO_RUN = "nothing to run: no transform.cmd"


def job_of(row: JobRow) -> Job:
    """Return the handle of a job row."""
    return Job(Pipeline(row.project, row.pipeline), row.id)


def job_info(row: JobRow) -> JobInfo:
    """Describe a job."""
    return JobInfo(
        job=job_of(row),
        version=row.version,
        output_branch=row.output_branch,
        state=row.state,
        reason=row.reason,
        created=from_rfc3339(row.created),
        started=from_rfc3339(row.started) if row.started else None,
        finished=from_rfc3339(row.finished) if row.finished else None,
        total=row.total,
        processed=row.processed,
        skipped=row.skipped,
        failed=row.failed,
        recovered=row.recovered,
        restart=row.restart,
        stats=_stats(row),
    )


def _stats(row: JobRow | DatumRow) -> ProcessStats:
    return ProcessStats(
        row.download_seconds, row.process_seconds, row.upload_seconds, row.download_bytes, row.upload_bytes
    )


def datum_of(row: DatumRow) -> Datum:
    """Return the datum of a row."""
    return Datum(row.id, row.hash, inputs_from_json(row.inputs))


def datum_info(job: Job, row: DatumRow, image: str) -> DatumInfo:
    """Describe a datum of a job."""
    datum = datum_of(row)
    return DatumInfo(
        job=job,
        datum=datum,
        state=row.state,
        reason=row.reason,
        stats=_stats(row),
        data=file_infos(datum.inputs),
        image=image,
        processed_by=row.processed_by,
    )


def pipeline_of(row: PipelineRow) -> Pipeline:
    """Return the handle of a pipeline row."""
    return Pipeline(row.project, row.name)


def pipeline_info(conn: sqlite3.Connection, row: PipelineRow) -> PipelineInfo:
    """Describe a version of a pipeline; its state follows from the rows as they are now."""
    pipeline = pipeline_of(row)
    spec = parse_spec(row.effective_spec)
    last = job_rows.latest(conn, pipeline.key)
    state, reason = PipelineState.PIPELINE_RUNNING, ""
    if row.stopped:
        state = PipelineState.PIPELINE_PAUSED
    elif not spec.transform.cmd:
        state, reason = PipelineState.PIPELINE_FAILURE, NOTHING_TO_RUN
    elif spec.autoscaling and not job_rows.has_unfinished(conn, pipeline.key):
        state = PipelineState.PIPELINE_STANDBY
    return PipelineInfo(
        pipeline=pipeline,
        version=row.version,
        spec_commit=Commit(pipeline.spec_repo, row.spec_commit),
        created=from_rfc3339(row.created),
        updated=from_rfc3339(row.updated),
        stopped=row.stopped,
        state=state,
        reason=reason,
        last_job_state=last.state if last else JobState.JOB_STATE_UNKNOWN,
        parallelism=spec.parallelism,
        salt=row.salt,
        user_spec_json=row.user_spec,
        effective_spec=row.effective_spec,
    )
