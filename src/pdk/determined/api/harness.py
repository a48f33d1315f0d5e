"""Routes of what the harness inside a trial reports and waits for."""

from pdk.determined.api.call import Fields, RestCall
from pdk.determined.api.waiting import Engines
from pdk.determined.errors import InvalidRequest
from pdk.determined.master.master import Master
from pdk.determined.master.reports import CheckpointReport, MetricsReport
from pdk.determined.store.records import JSON, AllocationId, CheckpointUuid, TaskId, TrialId
from pdk.determined.store.states import MetricGroup
from pdk.web.routing import Kind, route

MAX_POLL_SECONDS = 120
ONE_SLOT = "accepted and without effect: every trial has one slot on one machine"


@route("POST", "/api/v1/runs/start", about="the harness begins to report")
def start_run(master: Master, call: RestCall) -> JSON:
    """Return v1RunPrepareForReportingResponse; storage ids are a matter of clusters."""
    master.reports.start_run(call.caller, call.fields.id("runId", TrialId) or TrialId(0))
    return {"storageId": None}


@route("POST", "/api/v1/trials/{trialId}/metrics", about="report metrics of a group")
def report_metrics(master: Master, call: RestCall) -> None:
    """Return v1ReportTrialMetricsResponse."""
    fields = call.fields
    _report(master, call, fields.text("group") or "", fields.fields("metrics"))


@route("POST", "/api/v1/trials/{trialId}/training_metrics", about="report training metrics")
def report_training_metrics(master: Master, call: RestCall) -> None:
    """The older route for the group training."""
    _report(master, call, MetricGroup.TRAINING, call.fields)


@route("POST", "/api/v1/trials/{trialId}/validation_metrics", about="report validation metrics")
def report_validation_metrics(master: Master, call: RestCall) -> None:
    """The older route for the group validation."""
    _report(master, call, MetricGroup.VALIDATION, call.fields)


def _report(master: Master, call: RestCall, group: str, report: Fields) -> None:
    values = report.fields("metrics")
    batches = values.get("batchMetrics")
    if batches is not None and not isinstance(batches, list):
        raise InvalidRequest("batchMetrics: must be a list")
    master.reports.metrics(
        call.caller,
        call.id("trialId", TrialId),
        MetricsReport(
            group=group,
            run_id=report.number("trialRunId") or 0,
            steps_completed=report.number("stepsCompleted") or 0,
            averages=values.object("avgMetrics") or {},
            batches=batches or None,
        ),
    )


@route("POST", "/api/v1/trials/{trialId}/progress", about="report progress")
def report_progress(master: Master, call: RestCall) -> None:
    """Take a trial's progress; the harness sends it between 0 and 1 (`is_raw`)."""
    progress = call.body if isinstance(call.body, int | float) else call.fields.real("progress")
    master.reports.progress(call.caller, call.id("trialId", TrialId), float(progress or 0.0))


@route("POST", "/api/v1/trials/{trialId}/runner/metadata", about="report what the harness does")
def report_runner_metadata(master: Master, call: RestCall) -> None:
    """Take what the harness is doing."""
    master.reports.runner_state(call.caller, call.id("trialId", TrialId), call.fields.text("state") or "")


@route("POST", "/api/v1/trials/{trialId}/early_exit", about="report invalid hyperparameters")
def report_early_exit(master: Master, call: RestCall) -> None:
    """Take the reason the harness will exit for."""
    master.reports.early_exit(call.caller, call.id("trialId", TrialId), call.fields.text("reason") or "")


@route("POST", "/api/v1/checkpoints", about="report a checkpoint")
def report_checkpoint(master: Master, call: RestCall) -> None:
    """Take a checkpoint of a trial."""
    fields = call.fields
    report = CheckpointReport(
        uuid=CheckpointUuid(fields.required("uuid")),
        allocation_id=AllocationId(fields.text("allocationId") or ""),
        task_id=TaskId(fields.required("taskId")),
        state=(fields.text("state") or "").removeprefix("STATE_"),
        resources=file_sizes(fields.object("resources") or {}),
        metadata=fields.object("metadata") or {},
    )
    master.reports.checkpoint(call.caller, report)


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
            raise InvalidRequest(f"resources: the size of {path[:60]!r} must be a number of bytes")
        sizes[path] = int(size)
    return sizes


@route(
    "GET", "/api/v1/allocations/{allocationId}/signals/preemption", about="wait for the wish to stop", kind=Kind.POLL
)
async def preemption(engines: Engines, call: RestCall) -> JSON:
    """Return v1AllocationPreemptionSignalResponse: held until the trial shall stop, or for timeoutSeconds."""
    reports, caller, allocation_id = engines.master.reports, call.caller, AllocationId(call.path["allocationId"])
    timeout = min(MAX_POLL_SECONDS, max(0, call.number("timeoutSeconds")))
    signal = await engines.until(engines.tasks, lambda: reports.must_preempt(caller, allocation_id), timeout)
    return {"preempt": bool(signal)}


@route("POST", "/api/v1/allocations/{allocationId}/signals/ack_preemption", about="acknowledge the wish to stop")
def ack_preemption(master: Master, call: RestCall) -> None:
    """Take the harness's word that it exits because it was asked to."""
    master.reports.acknowledge_preemption(call.caller, AllocationId(call.path["allocationId"]))


@route(
    "POST", "/api/v1/allocations/{allocationId}/signals/pending_preemption", about="announce SIGTERM", partial=ONE_SLOT
)
@route("POST", "/api/v1/allocations/{allocationId}/acceleratorData", about="report accelerators", partial=ONE_SLOT)
@route("POST", "/api/v1/allocations/{allocationId}/ready", about="report readiness", partial=ONE_SLOT)
@route("POST", "/api/v1/allocations/{allocationId}/waiting", about="report waiting", partial=ONE_SLOT)
def of_allocation(master: Master, call: RestCall) -> None:
    """Take note of something only a cluster needs (accelerators, readiness, pending preemption)."""
    master.reports.allocation(call.caller, AllocationId(call.path["allocationId"]))


@route(
    "GET", "/api/v1/allocations/{allocationId}/resources/{resourcesId}/rendezvous", about="addresses of the machines"
)
def rendezvous(master: Master, call: RestCall) -> JSON:
    """Return v1AllocationRendezvousInfoResponse: the one machine, one slot."""
    master.reports.allocation(call.caller, AllocationId(call.path["allocationId"]))
    return {"rendezvousInfo": {"addresses": ["127.0.0.1"], "rank": 0, "slots": [1]}}
