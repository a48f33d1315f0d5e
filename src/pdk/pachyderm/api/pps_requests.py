"""From messages of `pps_v2` to what pps takes: handles, filters, jq programs. Called by `pps`."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf import json_format
from pachyderm_sdk.api import pfs, pps

from pdk.base.errors import InvalidArgument, Unimplemented
from pdk.pachyderm.api.fields import has, seconds_of, time_of
from pdk.pachyderm.api.messages import project_of
from pdk.pachyderm.pps.types import Job, JobInfo, Json, LogFilter, Pipeline
from pdk.pachyderm.values import CommitSetId, DatumId, JobId, JobState

_STATE_TERM = re.compile(r'\s*\(?\s*\.state\s*==\s*"([A-Z_]+)"\s*\)?\s*')


def pipeline_of(message: pps.Pipeline) -> Pipeline:
    """Return the pipeline handle; an empty project means `default`. Raises InvalidArgument without a name."""
    if not message.name:
        raise InvalidArgument("validate request: pipeline name must be specified")
    return Pipeline(project_of(message.project), message.name)


def job_of(message: pps.Job) -> Job:
    """Return the job handle. Raises InvalidArgument when pipeline or id are missing."""
    if not message.id:
        raise InvalidArgument("validate request: job id must be specified")
    return Job(pipeline_of(message.pipeline), JobId(CommitSetId(message.id)))


def projects_of(messages: Iterable[pfs.Project]) -> tuple[str, ...]:
    """Return the names of projects; an empty one means `default`."""
    return tuple(map(project_of, messages))


def as_json(message: Any) -> Json:
    """Return a message as JSON with the names of the .proto."""
    result: Json = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return result


def log_filter(request: pps.GetLogsRequest) -> LogFilter:
    """Return which lines are asked for; a job or datum brings its pipeline. Raises InvalidArgument, Unimplemented."""
    message = request.job if has(request, "job") and request.job.id else request.datum.job
    pipeline_message = message.pipeline if message.pipeline.name else request.pipeline
    if not pipeline_message.name:
        if message.id:
            raise InvalidArgument("pipeline must be specified for the given job")
        raise Unimplemented("pachd's own log is not served over GetLogs; name a pipeline or a job")
    pipeline = pipeline_of(pipeline_message)
    return LogFilter(
        pipeline=pipeline,
        job=Job(pipeline, JobId(CommitSetId(message.id))) if message.id else None,
        datum_id=DatumId(request.datum.id),
        data_filters=tuple(request.data_filters),
        master=request.master,
        follow=request.follow,
        tail=request.tail,
        since=seconds_of(request, "since") or None,
    )


def state_filter(program: str, states: Iterable[str]) -> Callable[[str], bool]:
    """Return a test on the name of a state for a jq program of the form `.state == "A" or .state == "B"` ("" = all).

    That is what `pachctl list job --state` sends. Raises InvalidArgument for an unknown state, Unimplemented for any
    other program.
    """
    if not program.strip():
        return lambda state: True
    wanted = set()
    for term in re.split(r"\bor\b", program):
        match = _STATE_TERM.fullmatch(term)
        if match is None:
            raise Unimplemented(f'jqFilter {program!r}: only `.state == "X" or .state == "Y"` is implemented')
        wanted.add(match[1])
    unknown = wanted - set(states)
    if unknown:
        raise InvalidArgument(f"jqFilter: no such state: {', '.join(sorted(unknown))}")
    return lambda state: state in wanted


def job_page(infos: list[JobInfo], request: pps.ListJobRequest | pps.ListJobSetRequest) -> list[JobInfo]:
    """Return one page of jobs: those beyond the marker's time, at most `number`, oldest first with `reverse`."""
    keep = state_filter(request.jq_filter, JobState.__members__)
    marker = time_of(request, "pagination_marker")
    page = [info for info in infos if keep(info.state.name)]
    if request.reverse:
        page.reverse()
    if marker is not None:
        page = [info for info in page if (info.created > marker if request.reverse else info.created < marker)]
    return page[: request.number] if request.number else page
