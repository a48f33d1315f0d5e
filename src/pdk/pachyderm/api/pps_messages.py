"""From the values of pps to the messages of `pps_v2`. Called by `pps`.

Sub-messages are always sent, even empty: pachctl reads them without looking whether they are there.
"""

import datetime
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format

from pdk.pachyderm.api.messages import Messages
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pps.inputs import with_commit
from pdk.pachyderm.pps.types import (
    DatumInfo,
    DatumInput,
    Job,
    JobDetails,
    JobInfo,
    Json,
    LogMessage,
    Pipeline,
    PipelineInfo,
    RunningDatum,
    SecretInfo,
)
from pdk.pachyderm.values import Branch, Commit, ProcessStats

_JOB_DETAILS = (
    "transform", "parallelism_spec", "resource_requests", "resource_limits", "sidecar_resource_limits",
    "sidecar_resource_requests", "datum_set_spec", "datum_timeout", "job_timeout", "datum_tries", "scheduling_spec",
    "pod_spec", "pod_patch",
)  # fmt: skip
_PIPELINE_DETAILS = (
    *_JOB_DETAILS, "input", "output_branch", "description", "metadata", "reprocess_spec", "autoscaling", "tolerations",
    "maximum_expected_uptime",
)  # fmt: skip
PIPELINE_TYPE_TRANSFORM = 1


class PpsMessages:
    """Makes the messages pps answers with."""

    def __init__(self, wire: Wire) -> None:
        self._pps = wire.pps
        self._pfs = wire.pfs
        self._pfs_messages = Messages(wire)

    def commit(self, commit: Commit, branch: str) -> Any:
        """`pfs_v2.Commit` with its branch, which job and pipeline infos keep (pfs itself strips it)."""
        own, messages = Branch(commit.repo, branch), self._pfs_messages
        return self._pfs.Commit(repo=messages.repo(commit.repo), branch=messages.branch(own), id=commit.id)

    def pipeline(self, pipeline: Pipeline) -> Any:
        """`pps_v2.Pipeline`."""
        return self._pps.Pipeline(name=pipeline.name, project=self._pfs.Project(name=pipeline.project))

    def job(self, job: Job) -> Any:
        """`pps_v2.Job`."""
        return self._pps.Job(pipeline=self.pipeline(job.pipeline), id=job.id)

    # Jobs

    def job_info(self, info: JobInfo, details: JobDetails | None = None) -> Any:
        """`pps_v2.JobInfo`; `details` stays unset unless given."""
        message = self._pps.JobInfo(
            job=self.job(info.job),
            pipeline_version=info.version,
            output_commit=self.commit(info.job.output_commit, info.output_branch),
            restart=info.restart,
            data_processed=info.processed,
            data_skipped=info.skipped,
            data_total=info.total,
            data_failed=info.failed,
            data_recovered=info.recovered,
            stats=self.stats(info.stats),
            state=info.state,
            reason=info.reason,
        )
        message.stats.SetInParent()
        for name in ("created", "started", "finished"):
            _set_time(message, name, getattr(info, name))
        if details is not None:
            message.details.CopyFrom(self._job_details(info, details))
        return message

    def _job_details(self, info: JobInfo, details: JobDetails) -> Any:
        spec = details.effective_spec
        content: Json = {name: spec[name] for name in _JOB_DETAILS if name in spec}
        content["input"] = with_commit(spec["input"], info.job.id)
        message = json_format.ParseDict(content, self._pps.JobInfoDetails(salt=details.salt))
        message.worker_status.extend(self._worker_status(info.job, datum) for datum in details.running)
        message.transform.SetInParent()
        return message

    def _worker_status(self, job: Job, datum: RunningDatum) -> Any:
        status = self._pps.WorkerStatus(worker_id=f"{job.pipeline.name}-{datum.datum_id[:12]}", job_id=job.id)
        status.datum_status.started.FromDatetime(datum.started)
        status.datum_status.data.extend(self.input_file(item) for item in datum.inputs)
        return status

    def job_set_info(self, set_id: str, jobs: Iterable[Any]) -> Any:
        """`pps_v2.JobSetInfo` of ready-made job infos."""
        return self._pps.JobSetInfo(job_set=self._pps.JobSet(id=set_id), jobs=jobs)

    def stats(self, stats: ProcessStats) -> Any:
        """`pps_v2.ProcessStats`."""
        message = self._pps.ProcessStats(download_bytes=stats.download_bytes, upload_bytes=stats.upload_bytes)
        for name in ("download", "process", "upload"):
            seconds = getattr(stats, f"{name}_seconds")
            getattr(message, f"{name}_time").FromTimedelta(datetime.timedelta(seconds=seconds))
        return message

    # Datums

    def datum_info(self, info: DatumInfo, job: Job | None) -> Any:
        """`pps_v2.DatumInfo`; without a job (a preview) there is no state yet."""
        message = self._pps.DatumInfo(
            datum=self._pps.Datum(id=info.datum.id),
            state=info.state,
            stats=self.stats(info.stats),
            data=[self._pfs_messages.file_info(item) for item in info.data],
            image_id=info.image,
        )
        message.pfs_state.SetInParent()
        if job is not None:
            message.datum.job.CopyFrom(self.job(job))
            message.pfs_state.commit.CopyFrom(self._pfs_messages.commit(job.meta_commit))
            message.pfs_state.path = f"/pfs/{info.datum.id}"
        return message

    def input_file(self, item: DatumInput) -> Any:
        """`pps_v2.InputFile`."""
        return self._pps.InputFile(path=item.path, hash=item.hash)

    # Pipelines

    def pipeline_info(self, info: PipelineInfo, effective_json: str, details: bool) -> Any:
        """`pps_v2.PipelineInfo`."""
        message = self._pps.PipelineInfo(
            pipeline=self.pipeline(info.pipeline),
            version=info.version,
            spec_commit=self.commit(info.spec_commit, "master"),
            stopped=info.stopped,
            state=info.state,
            reason=info.reason,
            last_job_state=info.last_job_state,
            parallelism=info.parallelism,
            type=PIPELINE_TYPE_TRANSFORM,
            user_spec_json=info.user_spec_json,
            effective_spec_json=effective_json,
        )
        if details:
            message.details.CopyFrom(self._pipeline_details(info))
        return message

    def _pipeline_details(self, info: PipelineInfo) -> Any:
        spec = info.effective_spec
        content = {name: spec[name] for name in _PIPELINE_DETAILS if name in spec}
        message = json_format.ParseDict(content, self._pps.PipelineInfoDetails(salt=info.salt, reason=info.reason))
        message.created_at.FromDatetime(info.created)
        message.updated_at.FromDatetime(info.updated)
        message.workers_requested = info.parallelism
        message.workers_available = 0 if info.stopped else info.parallelism
        message.parallelism_spec.constant = info.parallelism
        message.transform.SetInParent()
        return message

    # Logs and secrets

    def log_message(self, message: LogMessage) -> Any:
        """`pps_v2.LogMessage`."""
        pipeline = message.pipeline or Pipeline("", "")
        result = self._pps.LogMessage(
            project_name=pipeline.project,
            pipeline_name=pipeline.name,
            job_id=message.job_id,
            worker_id="" if message.master else f"{pipeline.name}-worker",
            datum_id=message.datum_id,
            master=message.master,
            data=[self.input_file(item) for item in message.inputs],
            user=message.user,
            message=message.message,
        )
        result.ts.FromDatetime(message.moment)
        return result

    def secret_info(self, info: SecretInfo) -> Any:
        """`pps_v2.SecretInfo`."""
        message = self._pps.SecretInfo(secret=self._pps.Secret(name=info.name), type=info.type)
        message.creation_timestamp.FromDatetime(info.created)
        return message


def _set_time(message: Any, name: str, moment: datetime.datetime | None) -> None:
    if moment is not None:
        getattr(message, name).FromDatetime(moment)
