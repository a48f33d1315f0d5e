"""Routes of task logs: read, followed while the trial runs, and sent by tasks."""

from collections.abc import AsyncIterator, Callable

from pdk.base.clock import from_rfc3339, rfc3339_now, to_rfc3339
from pdk.determined.api import encode
from pdk.determined.api.call import Fields, RestCall
from pdk.determined.api.waiting import Engines
from pdk.determined.errors import InvalidRequest, NotAllowed
from pdk.determined.master.logs import NEWEST
from pdk.determined.master.master import Master
from pdk.determined.master.master_log import MasterLogEntry
from pdk.determined.master.paging import PageRequest
from pdk.determined.master.settings import AGENT_ID
from pdk.determined.store.logs import TaskLogFilter
from pdk.determined.store.records import JSON, AllocationId, LogLine, TaskId, TrialId
from pdk.determined.store.states import LogLevel
from pdk.web.routing import Kind, route

BATCH_LINES = 500
MAX_POSTED_LINES = 10_000
MASTER_LOG_SECONDS = 1.0
LEVELS = set(LogLevel)


@route(
    "GET", "/api/v1/trials/{trialId}/logs", about="its log, also followed", kind=Kind.STREAM, partial="no regex search"
)
async def trial_logs(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1TrialLogsResponse, one per line."""
    trial_id = call.id("trialId", TrialId)
    await engines.run(engines.master.trials.get, trial_id)
    async for line in _lines(engines, call, _filter(call, trial_id=trial_id)):
        yield encode.trial_log(line, AGENT_ID)


@route("GET", "/api/v1/tasks/{taskId}/logs", about="its log, also followed", kind=Kind.STREAM)
async def task_logs(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1TaskLogsResponse, one per line."""
    task_id = TaskId(call.path["taskId"])
    await engines.run(engines.master.cluster.task, task_id)
    async for line in _lines(engines, call, _filter(call, task_id=task_id)):
        yield encode.task_log(line, AGENT_ID)


@route("GET", "/api/v1/trials/{trialId}/logs/fields", about="values to filter the log by", kind=Kind.STREAM)
async def trial_log_fields(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1TrialLogsFieldsResponse: the distinct values of a log's columns."""
    fields = await _fields(engines, TaskLogFilter(trial_id=call.id("trialId", TrialId)))
    yield {name: values for name, values in fields.items() if name != "allocationIds"}


@route("GET", "/api/v1/tasks/{taskId}/logs/fields", about="values to filter by", kind=Kind.STREAM)
async def task_log_fields(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1TaskLogsFieldsResponse: the distinct values of a log's columns."""
    yield await _fields(engines, TaskLogFilter(task_id=TaskId(call.path["taskId"])))


async def _fields(engines: Engines, wanted: TaskLogFilter) -> JSON:
    read = engines.master.logs.distinct
    return {
        "agentIds": [AGENT_ID],
        "allocationIds": await engines.run(read, wanted, "allocation_id"),
        "containerIds": await engines.run(read, wanted, "container_id"),
        "rankIds": await engines.run(read, wanted, "rank_id"),
        "sources": await engines.run(read, wanted, "source"),
        "stdtypes": await engines.run(read, wanted, "stdtype"),
    }


async def _lines(engines: Engines, call: RestCall, wanted: TaskLogFilter) -> AsyncIterator[LogLine]:
    limit = call.number("limit")
    if wanted.agent_ids and AGENT_ID not in wanted.agent_ids:
        return
    if call.descending():
        for line in await engines.run(engines.master.logs.read, wanted, NEWEST, limit or BATCH_LINES, True):
            yield line
        return
    async for line in _ascending(engines, wanted, limit, follow=bool(call.flag("follow"))):
        yield line


async def _ascending(engines: Engines, wanted: TaskLogFilter, limit: int, follow: bool) -> AsyncIterator[LogLine]:
    """Yield the lines in order; when following, wait for more until the trial has ended and everything was read."""
    logs, last, left = engines.master.logs, 0, limit or NEWEST
    while left > 0:
        event = engines.logs.event
        # Asked before reading: what was stored before the end is then read for certain.
        ended = not follow or await engines.run(logs.ended, wanted)
        lines = await engines.run(logs.read, wanted, last, min(BATCH_LINES, left))
        for line in lines:
            yield line
        if lines:
            last, left = lines[-1].id, left - len(lines)
        elif ended or engines.logs.closed:
            return
        else:
            await engines.wait(event)


@route("GET", "/api/v1/master/logs", about="the master's own log, also followed", kind=Kind.STREAM)
async def master_logs(engines: Engines, call: RestCall) -> AsyncIterator[JSON]:
    """Return v1MasterLogsResponse: the latest records, followed if asked for; a negative offset counts from the end."""
    entries = engines.master.own_log.read(0)
    start, end = PageRequest(min(call.number("offset"), len(entries)), call.number("limit")).window(len(entries))
    entries, last = entries[start:end], 0
    while True:
        for entry in entries:
            last = entry.id
            yield {"logEntry": _master_entry(entry)}
        if not call.flag("follow") or engines.tasks.closed:
            return
        await engines.wait(engines.tasks.event, MASTER_LOG_SECONDS)
        entries = engines.master.own_log.read(last)


def _master_entry(entry: MasterLogEntry) -> JSON:
    level = entry.level if entry.level in LEVELS else "UNSPECIFIED"
    return {"id": entry.id, "timestamp": entry.timestamp, "level": f"LOG_LEVEL_{level}", "message": entry.message}


def _filter(call: RestCall, trial_id: TrialId | None = None, task_id: TaskId | None = None) -> TaskLogFilter:
    return TaskLogFilter(
        trial_id=trial_id,
        task_id=task_id,
        levels=call.enums("levels", "LOG_LEVEL_"),
        rank_ids=call.numbers("rankIds"),
        stdtypes=call.texts("stdtypes"),
        sources=call.texts("sources"),
        container_ids=call.texts("containerIds"),
        agent_ids=call.texts("agentIds"),
        allocation_ids=call.texts("allocationIds"),
        before=_moment(call.text("timestampBefore"), "timestampBefore"),
        after=_moment(call.text("timestampAfter"), "timestampAfter"),
        search_text=call.text("searchText"),
    )


def _moment(text: str, name: str) -> str:
    if not text:
        return ""
    try:
        return to_rfc3339(from_rfc3339(text))
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}") from error


@route("POST", "/api/v1/task/logs", about="send log lines")
@route("POST", "/task-logs", about="send log lines (bare list)")
def post_task_logs(master: Master, call: RestCall) -> None:
    """Take lines a task sends: {"logs": [...]} on /api/v1, a bare list on /task-logs."""
    posted = call.body if isinstance(call.body, list) else call.fields.get("logs") or []
    if not isinstance(posted, list) or len(posted) > MAX_POSTED_LINES:
        raise InvalidRequest(f"logs: must be a list of at most {MAX_POSTED_LINES} lines")
    trial_of = _trial_finder(master, call)
    master.logs.store_now([_posted_line(Fields(line), trial_of) for line in posted])


def _trial_finder(master: Master, call: RestCall) -> Callable[[TaskId], TrialId]:
    found: dict[TaskId, TrialId] = {}
    own = call.caller.allocation_id

    def trial_of(task_id: TaskId) -> TrialId:
        if own is not None and not own.startswith(f"{task_id}."):
            raise NotAllowed("a task may only write its own log")
        if task_id not in found:
            found[task_id] = master.cluster.task(task_id).trial.id
        return found[task_id]

    return trial_of


def _posted_line(fields: Fields, trial_of: Callable[[TaskId], TrialId]) -> LogLine:
    task_id = TaskId(fields.required("taskId"))
    level = (fields.text("level") or "").removeprefix("LOG_LEVEL_")
    return LogLine(
        id=0,
        task_id=task_id,
        trial_id=trial_of(task_id),
        allocation_id=AllocationId(fields.text("allocationId") or "") or None,
        container_id=fields.text("containerId"),
        rank_id=fields.number("rankId"),
        timestamp=_moment(fields.text("timestamp") or "", "timestamp") or rfc3339_now(),
        level=LogLevel(level) if level in LEVELS else None,
        source=fields.text("source"),
        stdtype=fields.text("stdtype"),
        log=(fields.text("log") or "").removesuffix("\n"),
    )
