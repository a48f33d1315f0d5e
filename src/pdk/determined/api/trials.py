"""Routes of trials: reading them, and what their harness reports."""

import json
from collections.abc import AsyncIterator
from typing import Any

from pdk.determined.api import encode
from pdk.determined.api.call import Call, Fields
from pdk.determined.api.experiments import checkpoint_order
from pdk.determined.api.waiting import Engines
from pdk.determined.errors import BadRequest
from pdk.determined.master.master import Master
from pdk.determined.master.reports import CheckpointReport, MetricsReport
from pdk.determined.master.trials import Workload
from pdk.determined.store.states import MetricGroup, WorkloadKind

JSON = dict[str, Any]

MAX_POLL_SECONDS = 120
WORKLOAD_FILTERS = {
    "UNSPECIFIED": (),
    "CHECKPOINT": (WorkloadKind.CHECKPOINT,),
    "VALIDATION": (WorkloadKind.VALIDATION,),
    "CHECKPOINT_OR_VALIDATION": (WorkloadKind.CHECKPOINT, WorkloadKind.VALIDATION),
}


def get_trial(master: Master, call: Call) -> JSON:
    """v1GetTrialResponse."""
    return {"trial": encode.trial(master.trials.get(call.id("trialId")))}


def kill_trial(master: Master, call: Call) -> JSON:
    """End a trial at once."""
    master.trials.kill(call.id("trialId"))
    return {}


def get_workloads(master: Master, call: Call) -> JSON:
    """v1GetTrialWorkloadsResponse."""
    wanted = call.enum("filter", "FILTER_OPTION_")
    if wanted not in WORKLOAD_FILTERS:
        raise BadRequest(f"unknown filter {wanted}")
    page = master.trials.workloads(call.id("trialId"), WORKLOAD_FILTERS[wanted], bool(call.descending()), call.page())
    with_batches = bool(call.flag("includeBatchMetrics"))
    return encode.listed("workloads", page, lambda row: encode.workload(row, _batches(row) if with_batches else None))


def _batches(row: Workload) -> list[JSON] | None:
    if row.report is None or row.report.batches is None:
        return None
    batches: list[JSON] = json.loads(row.report.batches)
    return batches


def get_checkpoints(master: Master, call: Call) -> JSON:
    """v1GetTrialCheckpointsResponse."""
    page = master.checkpoints.of_trial(
        call.id("trialId"), call.enums("states", "STATE_"), checkpoint_order(call), call.page()
    )
    return encode.listed("checkpoints", page, encode.checkpoint)


async def stream_metrics(engines: Engines, call: Call) -> AsyncIterator[JSON]:
    """v1GetMetricsResponse: the reports of several trials, of one group or of all."""
    async for answer in _metrics(engines, call, call.texts("group")):
        yield answer


async def stream_training_metrics(engines: Engines, call: Call) -> AsyncIterator[JSON]:
    """v1GetTrainingMetricsResponse."""
    async for answer in _metrics(engines, call, [MetricGroup.TRAINING]):
        yield answer


async def stream_validation_metrics(engines: Engines, call: Call) -> AsyncIterator[JSON]:
    """v1GetValidationMetricsResponse."""
    async for answer in _metrics(engines, call, [MetricGroup.VALIDATION]):
        yield answer


async def _metrics(engines: Engines, call: Call, groups: list[str]) -> AsyncIterator[JSON]:
    ids = call.numbers("trialIds")
    if not ids:
        raise BadRequest("must specify at least one trialId to fetch metrics for")
    batches = engines.master.trials.metrics(ids, groups)
    while (rows := await engines.run(next, batches, None)) is not None:
        yield {"metrics": [encode.metrics_report(row) for row in rows]}


def start_run(master: Master, call: Call) -> JSON:
    """v1RunPrepareForReportingResponse; storage ids are a matter of clusters."""
    master.reports.start_run(call.caller, call.fields.number("runId") or 0)
    return {"storageId": None}


def report_metrics(master: Master, call: Call) -> JSON:
    """v1ReportTrialMetricsResponse."""
    fields = call.fields
    return _report(master, call, fields.text("group") or "", fields.fields("metrics"))


def report_training_metrics(master: Master, call: Call) -> JSON:
    """The older route for the group training."""
    return _report(master, call, MetricGroup.TRAINING, call.fields)


def report_validation_metrics(master: Master, call: Call) -> JSON:
    """The older route for the group validation."""
    return _report(master, call, MetricGroup.VALIDATION, call.fields)


def _report(master: Master, call: Call, group: str, report: Fields) -> JSON:
    values = report.fields("metrics")
    batches = values.get("batchMetrics")
    if batches is not None and not isinstance(batches, list):
        raise BadRequest("batchMetrics: must be a list")
    master.reports.metrics(
        call.caller,
        call.id("trialId"),
        MetricsReport(
            group=group,
            run_id=report.number("trialRunId") or 0,
            steps_completed=report.number("stepsCompleted") or 0,
            averages=values.object("avgMetrics") or {},
            batches=batches or None,
        ),
    )
    return {}


def report_progress(master: Master, call: Call) -> JSON:
    """Take a trial's progress; the harness sends it between 0 and 1 (`is_raw`)."""
    progress = call.body if isinstance(call.body, int | float) else call.fields.real("progress")
    master.reports.progress(call.caller, call.id("trialId"), float(progress or 0.0))
    return {}


def report_runner_metadata(master: Master, call: Call) -> JSON:
    """Take what the harness is doing."""
    master.reports.runner_state(call.caller, call.id("trialId"), call.fields.text("state") or "")
    return {}


def report_early_exit(master: Master, call: Call) -> JSON:
    """Take the reason the harness will exit for."""
    master.reports.early_exit(call.caller, call.id("trialId"), call.fields.text("reason") or "")
    return {}


def report_checkpoint(master: Master, call: Call) -> JSON:
    """Take a checkpoint of a trial."""
    fields = call.fields
    report = CheckpointReport(
        uuid=fields.required("uuid"),
        allocation_id=fields.text("allocationId") or "",
        task_id=fields.required("taskId"),
        state=(fields.text("state") or "").removeprefix("STATE_"),
        resources=file_sizes(fields.object("resources") or {}),
        metadata=fields.object("metadata") or {},
    )
    master.reports.checkpoint(call.caller, report)
    return {}


def file_sizes(resources: JSON) -> dict[str, int]:
    """Return the sizes of a checkpoint's files; they travel as text and may pass 32 bits."""
    sizes = {}
    for path, size in resources.items():
        if (
            isinstance(size, bool)
            or not isinstance(size, int | str)
            or not str(size).isdecimal()
            or len(str(size)) > 18
        ):
            raise BadRequest(f"resources: the size of {path[:60]!r} must be a number of bytes")
        sizes[path] = int(size)
    return sizes


async def preemption(engines: Engines, call: Call) -> JSON:
    """v1AllocationPreemptionSignalResponse: held until the trial shall stop, or for timeoutSeconds."""
    reports, caller, allocation_id = engines.master.reports, call.caller, call.path["allocationId"]
    timeout = min(MAX_POLL_SECONDS, max(0, call.number("timeoutSeconds")))
    signal = await engines.until(engines.tasks, lambda: reports.must_preempt(caller, allocation_id), timeout)
    return {"preempt": bool(signal)}


def ack_preemption(master: Master, call: Call) -> JSON:
    """Take the harness's word that it exits because it was asked to."""
    master.reports.acknowledge_preemption(call.caller, call.path["allocationId"])
    return {}


def of_allocation(master: Master, call: Call) -> JSON:
    """Take note of something only a cluster needs (accelerators, readiness, pending preemption)."""
    master.reports.allocation(call.caller, call.path["allocationId"])
    return {}


def rendezvous(master: Master, call: Call) -> JSON:
    """v1AllocationRendezvousInfoResponse: the one machine, one slot."""
    master.reports.allocation(call.caller, call.path["allocationId"])
    return {"rendezvousInfo": {"addresses": ["127.0.0.1"], "rank": 0, "slots": [1]}}
