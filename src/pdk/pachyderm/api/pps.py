"""`pps_v2.API`: decode, call pps, encode. Mirrors `src/server/pps/server/api_server.go` of the original.

Methods without a handler here (RunLoadTest, ListTask, GetKubeEvents, UpdateJobState, ...) answer UNIMPLEMENTED.
"""

import itertools
import json
from collections.abc import Iterator

from betterproto.lib.google.protobuf import Empty
from google.protobuf.json_format import ParseDict
from pachyderm_sdk.api import pps

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.api.fields import has
from pdk.pachyderm.api.messages import commit_of
from pdk.pachyderm.api.pps_messages import PpsMessages
from pdk.pachyderm.api.pps_requests import (
    as_json,
    job_of,
    job_page,
    log_filter,
    pipeline_of,
    projects_of,
    state_filter,
)
from pdk.pachyderm.api.server import RpcCall, rpc
from pdk.pachyderm.api.spec_json import canonicalise, decode, render
from pdk.pachyderm.api.templates import pipelines_of, render_template
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs.types import DEFAULT_PROJECT
from pdk.pachyderm.pps.datum_values import file_infos
from pdk.pachyderm.pps.engine import Pps
from pdk.pachyderm.pps.jobs import JobFilter
from pdk.pachyderm.pps.spec import BUILT_IN_DEFAULTS
from pdk.pachyderm.pps.types import (
    DatumInfo,
    Job,
    JobInfo,
    Json,
    PipelineInfo,
)
from pdk.pachyderm.values import CommitSetId, DatumId, DatumState, JobId, PipelineState

# How many datums CreateDatum sends when a request does not say.
DATUM_BATCH = 100


class PpsService:
    """The handlers of pipelines, jobs, datums, logs and secrets."""

    service = "pps_v2.API"

    def __init__(self, wire: Wire, pps: Pps) -> None:
        self._wire = wire
        self._pps = pps
        self._messages = PpsMessages(wire)

    # Pipelines

    @rpc("CreatePipeline")
    def create_pipeline(self, request: pps.CreatePipelineRequest, call: RpcCall) -> None:
        """Create or update a pipeline; like the original, by way of the message's JSON, as in V2."""
        self._create(json.dumps(as_json(request)))

    def _create(self, user_json: str, update: bool = False, reprocess: bool = False, dry_run: bool = False) -> str:
        canonical = canonicalise(decode(user_json), self._wire.descriptor(pps.CreatePipelineRequest))
        return self._spec_json(self._pps.pipelines.create_pipeline(user_json, canonical, update, reprocess, dry_run))

    def _spec_json(self, effective: Json) -> str:
        return json.dumps(render(effective, self._wire.descriptor(pps.CreatePipelineRequest)))

    @rpc("CreatePipelineV2")
    def create_pipeline_v2(self, request: pps.CreatePipelineV2Request, call: RpcCall) -> pps.CreatePipelineV2Response:
        """Create or update a pipeline from JSON; tells the spec with the defaults filled in."""
        effective = self._create(
            request.create_pipeline_request_json, request.update, request.reprocess, request.dry_run
        )
        return self._wire[pps.CreatePipelineV2Response](effective_create_pipeline_request_json=effective)

    @rpc("RenderTemplate")
    def render_template(self, request: pps.RenderTemplateRequest, call: RpcCall) -> pps.RenderTemplateResponse:
        """Evaluate a jsonnet template: its JSON, and the pipelines it gives; nothing is created."""
        text = render_template(request.template, request.args)
        descriptor = self._wire.descriptor(pps.CreatePipelineRequest)
        specs = [
            ParseDict(canonicalise(decode(each), descriptor), self._wire[pps.CreatePipelineRequest]())
            for each in pipelines_of(text)
        ]
        return self._wire[pps.RenderTemplateResponse](json=text, specs=specs)

    @rpc("InspectPipeline")
    def inspect_pipeline(self, request: pps.InspectPipelineRequest, call: RpcCall) -> pps.PipelineInfo:
        """Describe a pipeline; details only when asked for."""
        info = self._pps.pipelines.inspect_pipeline(pipeline_of(request.pipeline))
        return self._pipeline_info(info, request.details)

    def _pipeline_info(self, info: PipelineInfo, details: bool) -> pps.PipelineInfo:
        return self._messages.pipeline_info(info, self._spec_json(info.effective_spec), details)

    @rpc("ListPipeline")
    def list_pipeline(self, request: pps.ListPipelineRequest, call: RpcCall) -> Iterator[pps.PipelineInfo]:
        """Describe pipelines, perhaps one page of them; details always, as in the original."""
        keep = state_filter(request.jq_filter, PipelineState.__members__)
        infos = self._pps.pipelines.list_pipeline(
            pipeline_of(request.pipeline) if request.pipeline.name else None,
            projects_of(request.projects),
            request.history,
            JobId(CommitSetId(request.commit_set.id)),
        )
        chosen = [info for info in infos if keep(info.state.name)]
        if request.page.page_size:
            start = request.page.page_index * request.page.page_size
            chosen = chosen[start : start + request.page.page_size]
        for info in chosen:
            yield self._pipeline_info(info, details=True)

    @rpc("DeletePipeline")
    def delete_pipeline(self, request: pps.DeletePipelineRequest, call: RpcCall) -> None:
        """Remove a pipeline; the deprecated `all` means every pipeline of project `default`."""
        if request.all:
            self._pps.pipelines.delete_pipelines([DEFAULT_PROJECT], False, request.force, request.keep_repo)
            return
        pipeline = pipeline_of(request.pipeline)
        self._pps.pipelines.delete_pipeline(pipeline, request.force, request.keep_repo, request.must_exist)

    @rpc("DeletePipelines")
    def delete_pipelines(self, request: pps.DeletePipelinesRequest, call: RpcCall) -> pps.DeletePipelinesResponse:
        """Remove the pipelines of some projects (or all), downstream ones first; tells which."""
        deleted = self._pps.pipelines.delete_pipelines(
            projects_of(request.projects), request.all, request.force, request.keep_repo
        )
        return self._wire[pps.DeletePipelinesResponse](pipelines=[self._messages.pipeline(each) for each in deleted])

    @rpc("StartPipeline")
    def start_pipeline(self, request: pps.StartPipelineRequest, call: RpcCall) -> None:
        """Connect a stopped pipeline with its inputs again, which gives a new job."""
        self._pps.pipelines.start_pipeline(pipeline_of(request.pipeline))

    @rpc("StopPipeline")
    def stop_pipeline(self, request: pps.StopPipelineRequest, call: RpcCall) -> None:
        """Kill a pipeline's jobs and cut it off from its inputs."""
        self._pps.pipelines.stop_pipeline(pipeline_of(request.pipeline), request.must_exist)

    @rpc("RerunPipeline")
    def rerun_pipeline(self, request: pps.RerunPipelineRequest, call: RpcCall) -> None:
        """Run a pipeline again on its present inputs: an update with the same spec, as in the original."""
        user_json = self._pps.pipelines.user_spec(pipeline_of(request.pipeline))
        self._create(user_json, update=True, reprocess=request.reprocess)

    @rpc("RunCron", refuses=True)
    def run_cron(self, request: pps.RunCronRequest, call: RpcCall) -> None:
        """No pipeline has a cron input here, and that is what the original answers for one without."""
        self._pps.pipelines.run_cron(pipeline_of(request.pipeline))

    @rpc("GetClusterDefaults")
    def get_cluster_defaults(
        self, request: pps.GetClusterDefaultsRequest, call: RpcCall
    ) -> pps.GetClusterDefaultsResponse:
        """Tell the built-in defaults; they cannot be changed here."""
        text = f'{{"createPipelineRequest": {self._spec_json(BUILT_IN_DEFAULTS)}}}'
        return self._wire[pps.GetClusterDefaultsResponse](cluster_defaults_json=text)

    @rpc("GetProjectDefaults")
    def get_project_defaults(
        self, request: pps.GetProjectDefaultsRequest, call: RpcCall
    ) -> pps.GetProjectDefaultsResponse:
        """Tell a project's defaults: none beyond the cluster's."""
        return self._wire[pps.GetProjectDefaultsResponse](project_defaults_json='{"createPipelineRequest": {}}')

    # Jobs

    def _job_info(self, info: JobInfo, details: bool) -> pps.JobInfo:
        return self._messages.job_info(info, self._pps.job_details(info) if details else None)

    @rpc("InspectJob")
    def inspect_job(self, request: pps.InspectJobRequest, call: RpcCall) -> pps.JobInfo:
        """Describe a job; with `wait` once it has ended."""
        job = job_of(request.job)
        jobs = self._pps.jobs
        info = jobs.wait_job(job, call.cancelled) if request.wait else jobs.inspect_job(job)
        return self._job_info(info, request.details)

    @rpc("ListJob")
    def list_job(self, request: pps.ListJobRequest, call: RpcCall) -> Iterator[pps.JobInfo]:
        """Describe jobs, newest first; details only when asked for (the SDK's own tests rely on their absence)."""
        wanted = JobFilter(
            pipeline=pipeline_of(request.pipeline) if request.pipeline.name else None,
            projects=projects_of(request.projects),
            input_commits=tuple(map(commit_of, request.input_commit)),
            history=request.history,
        )
        for info in job_page(self._pps.jobs.list_job(wanted), request):
            yield self._job_info(info, request.details)

    @rpc("InspectJobSet")
    def inspect_job_set(self, request: pps.InspectJobSetRequest, call: RpcCall) -> Iterator[pps.JobInfo]:
        """Describe the jobs of a set; with `wait` each as it ends."""
        if not request.job_set.id:
            raise InvalidArgument("validate request: job set id must be specified")
        jobs, set_id = self._pps.jobs, CommitSetId(request.job_set.id)
        for info in jobs.wait_job_set(set_id, call.cancelled) if request.wait else jobs.job_set(set_id):
            yield self._job_info(info, request.details)

    @rpc("ListJobSet")
    def list_job_set(self, request: pps.ListJobSetRequest, call: RpcCall) -> Iterator[pps.JobSetInfo]:
        """Describe all job sets, paged by the creation of each set's first job."""
        sets = {jobs[0]: jobs for _, jobs in self._pps.jobs.list_job_set(projects_of(request.projects))}
        for first in job_page(list(sets), request):
            jobs = [self._job_info(info, request.details) for info in sets[first]]
            yield self._messages.job_set_info(first.job.id, jobs)

    @rpc("SubscribeJob")
    def subscribe_job(self, request: pps.SubscribeJobRequest, call: RpcCall) -> Iterator[pps.JobInfo]:
        """Follow a pipeline's jobs: those that run, then every change."""
        for info in self._pps.jobs.subscribe_job(pipeline_of(request.pipeline), call.cancelled):
            yield self._job_info(info, request.details)

    @rpc("StopJob")
    def stop_job(self, request: pps.StopJobRequest, call: RpcCall) -> None:
        """Kill a job."""
        self._pps.jobs.stop_job(job_of(request.job), request.reason)

    @rpc("DeleteJob")
    def delete_job(self, request: pps.DeleteJobRequest, call: RpcCall) -> None:
        """Kill a job and remove it from the lists; its output commit stays."""
        self._pps.jobs.delete_job(job_of(request.job))

    # Datums

    @rpc("InspectDatum")
    def inspect_datum(self, request: pps.InspectDatumRequest, call: RpcCall) -> pps.DatumInfo:
        """Describe a datum of a job."""
        job = job_of(request.datum.job)
        return self._datum_info(self._pps.jobs.inspect_datum(job, DatumId(request.datum.id)))

    def _datum_info(self, info: DatumInfo) -> pps.DatumInfo:
        # A skipped datum names the job that processed it.
        job = Job(info.job.pipeline, info.processed_by) if info.job is not None else None
        return self._messages.datum_info(info, job)

    @rpc("ListDatum")
    def list_datum(self, request: pps.ListDatumRequest, call: RpcCall) -> Iterator[pps.DatumInfo]:
        """Describe the datums of a job, or those an input would have now."""
        states = [DatumState(state) for state in request.filter.state]
        if has(request, "input") and not request.job.id:
            infos = self._preview(request.input)
        else:
            infos = self._pps.jobs.list_datum(job_of(request.job), states)
        if request.reverse:
            infos = infos[::-1]
        if request.pagination_marker:
            infos = list(itertools.dropwhile(lambda info: info.datum.id != request.pagination_marker, infos))[1:]
        for info in infos[: request.number or None]:
            yield self._datum_info(info)

    def _preview(self, message: pps.Input) -> list[DatumInfo]:
        tree = canonicalise(as_json(message), self._wire.descriptor(pps.Input), "input")
        datums = self._pps.preview_datums(tree, DEFAULT_PROJECT)
        return [
            DatumInfo(job=None, datum=datum, state=DatumState.UNKNOWN, data=file_infos(datum.inputs))
            for datum in datums
        ]

    @rpc("CreateDatum")
    def create_datum(self, requests: Iterator[pps.CreateDatumRequest], call: RpcCall) -> Iterator[pps.DatumInfo]:
        """List the datums of an input in batches, as many as each request asks for."""
        datums: Iterator[DatumInfo] = iter(())
        for number, request in enumerate(requests):
            start = has(request, "start")
            if start != (number == 0):
                raise InvalidArgument("first message must be start, all others continue")
            body = request.start if start else getattr(request, "continue")
            if start:
                datums = iter(self._preview(body.input))
            for info in itertools.islice(datums, body.number or DATUM_BATCH):
                yield self._datum_info(info)

    @rpc("RestartDatum")
    def restart_datum(self, request: pps.RestartDatumRequest, call: RpcCall) -> None:
        """Begin running datums anew; the try does not count."""
        self._pps.restart_datum(job_of(request.job), list(request.data_filters))

    # Logs and secrets

    @rpc("GetLogs")
    def get_logs(self, request: pps.GetLogsRequest, call: RpcCall) -> Iterator[pps.LogMessage]:
        """Read the log of a pipeline or job, perhaps following it."""
        for message in self._pps.logs.get_logs(log_filter(request), call.cancelled):
            yield self._messages.log_message(message)

    @rpc("CreateSecret")
    def create_secret(self, request: pps.CreateSecretRequest, call: RpcCall) -> None:
        """Store a Kubernetes Secret."""
        self._pps.secrets.create_secret(request.file)

    @rpc("InspectSecret")
    def inspect_secret(self, request: pps.InspectSecretRequest, call: RpcCall) -> pps.SecretInfo:
        """Describe a secret, without its values."""
        return self._messages.secret_info(self._pps.secrets.inspect_secret(request.secret.name))

    @rpc("ListSecret")
    def list_secret(self, request: Empty, call: RpcCall) -> pps.SecretInfos:
        """Describe all secrets, without their values."""
        infos = [self._messages.secret_info(info) for info in self._pps.secrets.list_secret()]
        return self._wire[pps.SecretInfos](secret_info=infos)

    @rpc("DeleteSecret")
    def delete_secret(self, request: pps.DeleteSecretRequest, call: RpcCall) -> None:
        """Remove a secret."""
        self._pps.secrets.delete_secret(request.secret.name)
