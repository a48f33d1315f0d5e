"""Routes of trials."""

from collections.abc import AsyncIterator

from pdk.determined.api import encode
from pdk.determined.api.call import RestCall
from pdk.determined.api.experiments import checkpoint_order
from pdk.determined.api.waiting import Engines
from pdk.determined.errors import InvalidRequest
from pdk.determined.master.master import Master
from pdk.determined.store.records import JSON, TrialId
from pdk.determined.store.states import MetricGroup, WorkloadKind
from pdk.web.routing import Kind, route

WORKLOAD_FILTERS = {
    "UNSPECIFIED": (),
    "CHECKPOINT": (WorkloadKind.CHECKPOINT,),
    "VALIDATION": (WorkloadKind.VALIDATION,),
    "CHECKPOINT_OR_VALIDATION": (WorkloadKind.CHECKPOINT, WorkloadKind.VALIDATION),
}


@route("GET", "/api/v1/trials/{trialId}", about="one trial")
def get_trial(master: Master, call: RestCall) -> JSON:
    """Return v1GetTrialResponse."""
    return {"trial": encode.trial(master.trials.get(call.id("trialId", TrialId)))}


@route("POST", "/api/v1/trials/{trialId}/kill", about="end at once")
def kill_trial(master: Master, call: RestCall) -> None:
    """End a trial at once."""
    master.trials.kill(call.id("trialId", TrialId))


@route("GET", "/api/v1/trials/{trialId}/workloads", about="its history", partial="training, validation, checkpoints")
def get_workloads(master: Master, call: RestCall) -> JSON:
    """Return v1GetTrialWorkloadsResponse."""
    wanted = call.enum("filter", "FILTER_OPTION_")
    if wanted not in WORKLOAD_FILTERS:
        raise InvalidRequest(f"unknown filter {wanted}")
    page = master.trials.workloads(
        call.id("trialId", TrialId), WORKLOAD_FILTERS[wanted], bool(call.descending()), call.page()
    )
    with_batches = bool(call.flag("includeBatchMetrics"))
    return encode.listed("workloads", page, lambda row: encode.workload(row, with_batches))


@route("GET", "/api/v1/trials/{trialId}/checkpoints", about="its checkpoints")
def get_checkpoints(master: Master, call: RestCall) -> JSON:
    """Return v1GetTrialCheckpointsResponse."""
    page = master.checkpoints.of_trial(
        call.id("trialId", TrialId), call.enums("states", "STATE_"), checkpoint_order(call), call.page()
    )
    return encode.listed("checkpoints", page, encode.checkpoint)


@route("GET", "/api/v1/trials/metrics/trial_metrics", about="metrics of trials", kind=Kind.STREAM)
async def stream_metrics(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1GetMetricsResponse: the reports of several trials, of one group or of all."""
    async for answer in _metrics(engines, call, call.texts("group")):
        yield answer


@route("GET", "/api/v1/trials/metrics/training_metrics", about="training metrics of trials", kind=Kind.STREAM)
async def stream_training_metrics(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1GetTrainingMetricsResponse."""
    async for answer in _metrics(engines, call, [MetricGroup.TRAINING]):
        yield answer


@route("GET", "/api/v1/trials/metrics/validation_metrics", about="validation metrics of trials", kind=Kind.STREAM)
async def stream_validation_metrics(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1GetValidationMetricsResponse."""
    async for answer in _metrics(engines, call, [MetricGroup.VALIDATION]):
        yield answer


async def _metrics(engines: Engines, call: RestCall, groups: list[str]) -> AsyncIterator[JSON]:
    ids = [TrialId(each) for each in call.numbers("trialIds")]
    if not ids:
        raise InvalidRequest("must specify at least one trialId to fetch metrics for")
    batches = engines.master.trials.metrics(ids, groups)
    while (rows := await engines.run(next, batches, None)) is not None:
        yield {"metrics": [encode.metrics_report(row) for row in rows]}
