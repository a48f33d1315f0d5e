"""From the values of pps to the messages of `pps_v2`. Called by `pps`.

Sub-messages are always sent, even empty: pachctl reads them without looking whether they are there.
"""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf import json_format
from pachyderm_sdk.api import pfs, pps

from pdk.pachyderm.api.fields import keep, maybe, set_seconds, set_time
from pdk.pachyderm.api.messages import Messages
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pps import types
from pdk.pachyderm.pps.inputs import with_commit
from pdk.pachyderm.pps.types import Job, Json, Pipeline
from pdk.pachyderm.values import Branch, Commit, ProcessStats

M = TypeVar("M")
# The parts of an effective spec that the details of a job and of a pipeline show.
_JOB_DETAILS = (
    "transform", "parallelism_spec", "resource_requests", "resource_limits", "sidecar_resource_limits",
    "sidecar_resource_requests", "datum_set_spec", "datum_timeout", "job_timeout", "datum_tries", "scheduling_spec",
    "pod_spec", "pod_patch",
)  # fmt: skip
_PIPELINE_DETAILS = (
    *_JOB_DETAILS, "input", "output_branch", "description", "metadata", "reprocess_spec", "autoscaling", "tolerations",
    "maximum_expected_uptime",
)  # fmt: skip


def _filled(message: M, content: Json, names: Sequence[str]) -> M:
    """Fill in those of the named fields that the canonical JSON object has."""
    json_format.ParseDict({name: content[name] for name in names if name in content}, message)
    return message


class PpsMessages:
    """Makes the messages pps answers with."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._pfs = Messages(wire)

    def _commit(self, commit: Commit, branch: str) -> pfs.Commit:
        """Make a `pfs_v2.Commit` with its branch, which job and pipeline infos keep (pfs itself strips it)."""
        own = self._pfs.branch(Branch(commit.repo, branch))
        return self._wire[pfs.Commit](repo=self._pfs.repo(commit.repo), branch=own, id=commit.id)

    def pipeline(self, pipeline: Pipeline) -> pps.Pipeline:
        """Make a `pps_v2.Pipeline`."""
        return self._wire[pps.Pipeline](name=pipeline.name, project=self._wire[pfs.Project](name=pipeline.project))

    def _job(self, job: Job) -> pps.Job:
        return self._wire[pps.Job](pipeline=self.pipeline(job.pipeline), id=job.id)

    # Jobs

    def job_info(self, info: types.JobInfo, details: types.JobDetails | None = None) -> pps.JobInfo:
        """Make a `pps_v2.JobInfo`; `details` stays unset unless given."""
        message = self._wire[pps.JobInfo](
            job=self._job(info.job),
            pipeline_version=info.version,
            output_commit=self._commit(info.job.output_commit, info.output_branch),
            restart=info.restart,
            data_processed=info.processed,
            data_skipped=info.skipped,
            data_total=info.total,
            data_failed=info.failed,
            data_recovered=info.recovered,
            stats=self._stats(info.stats),
            state=pps.JobState(info.state),
            reason=info.reason,
            details=maybe(lambda details: self._job_details(info.job, details), details),
        )
        set_time(message, "created", info.created)
        set_time(message, "started", info.started)
        set_time(message, "finished", info.finished)
        return message

    def _job_details(self, job: Job, details: types.JobDetails) -> pps.JobInfoDetails:
        spec = {**details.effective_spec, "input": with_commit(details.effective_spec["input"], job.id)}
        statuses = [self._worker_status(job, datum) for datum in details.running]
        message = self._wire[pps.JobInfoDetails](salt=details.salt, worker_status=statuses)
        keep(message, "transform")
        return _filled(message, spec, (*_JOB_DETAILS, "input"))

    def _worker_status(self, job: Job, datum: types.RunningDatum) -> pps.WorkerStatus:
        status = self._wire[pps.DatumStatus](data=[self._input_file(item) for item in datum.inputs])
        set_time(status, "started", datum.started)
        worker = f"{job.pipeline.name}-{datum.datum_id[:12]}"
        return self._wire[pps.WorkerStatus](worker_id=worker, job_id=job.id, datum_status=status)

    def job_set_info(self, set_id: str, jobs: list[pps.JobInfo]) -> pps.JobSetInfo:
        """Make a `pps_v2.JobSetInfo` of ready-made job infos."""
        return self._wire[pps.JobSetInfo](job_set=self._wire[pps.JobSet](id=set_id), jobs=jobs)

    def _stats(self, stats: ProcessStats) -> pps.ProcessStats:
        message = self._wire[pps.ProcessStats](download_bytes=stats.download_bytes, upload_bytes=stats.upload_bytes)
        set_seconds(message, "download_time", stats.download_seconds)
        set_seconds(message, "process_time", stats.process_seconds)
        set_seconds(message, "upload_time", stats.upload_seconds)
        return message

    # Datums

    def datum_info(self, info: types.DatumInfo, job: Job | None) -> pps.DatumInfo:
        """Make a `pps_v2.DatumInfo`; without a job (a preview) there is no state yet."""
        message = self._wire[pps.DatumInfo](
            datum=self._wire[pps.Datum](id=info.datum.id, job=maybe(self._job, job)),
            state=pps.DatumState(info.state),
            stats=self._stats(info.stats),
            data=[self._pfs.file_info(item) for item in info.data],
            image_id=info.image,
            pfs_state=self._wire[pfs.File](
                commit=maybe(self._pfs.commit, job.meta_commit if job is not None else None),
                path=f"/pfs/{info.datum.id}" if job is not None else "",
            ),
        )
        keep(message, "pfs_state")
        return message

    def _input_file(self, item: types.DatumInput) -> pps.InputFile:
        return self._wire[pps.InputFile](path=item.path, hash=item.hash)

    # Pipelines

    def pipeline_info(self, info: types.PipelineInfo, effective_json: str, details: bool) -> pps.PipelineInfo:
        """Make a `pps_v2.PipelineInfo`."""
        return self._wire[pps.PipelineInfo](
            pipeline=self.pipeline(info.pipeline),
            version=info.version,
            spec_commit=self._commit(info.spec_commit, "master"),
            stopped=info.stopped,
            state=pps.PipelineState(info.state),
            reason=info.reason,
            last_job_state=pps.JobState(info.last_job_state),
            parallelism=info.parallelism,
            type=pps.PipelineInfoPipelineType.PIPELINE_TYPE_TRANSFORM,
            user_spec_json=info.user_spec_json,
            effective_spec_json=effective_json,
            details=maybe(self._pipeline_details, info if details else None),
        )

    def _pipeline_details(self, info: types.PipelineInfo) -> pps.PipelineInfoDetails:
        message = self._wire[pps.PipelineInfoDetails](
            salt=info.salt,
            reason=info.reason,
            workers_requested=info.parallelism,
            workers_available=0 if info.stopped else info.parallelism,
        )
        set_time(message, "created_at", info.created)
        set_time(message, "updated_at", info.updated)
        keep(message, "transform")
        _filled(message, info.effective_spec, _PIPELINE_DETAILS)
        message.parallelism_spec.constant = info.parallelism
        return message

    # Logs and secrets

    def log_message(self, message: types.LogMessage) -> pps.LogMessage:
        """Make a `pps_v2.LogMessage`."""
        pipeline = message.pipeline
        result = self._wire[pps.LogMessage](
            project_name=pipeline.project,
            pipeline_name=pipeline.name,
            job_id=message.job_id,
            worker_id="" if message.master else f"{pipeline.name}-worker",
            datum_id=message.datum_id,
            master=message.master,
            data=[self._input_file(item) for item in message.inputs],
            user=message.user,
            message=message.message,
        )
        set_time(result, "ts", message.moment)
        return result

    def secret_info(self, info: types.SecretInfo) -> pps.SecretInfo:
        """Make a `pps_v2.SecretInfo`."""
        message = self._wire[pps.SecretInfo](secret=self._wire[pps.Secret](name=info.name), type=info.type)
        set_time(message, "creation_timestamp", info.created)
        return message
