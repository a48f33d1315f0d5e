"""`kubectl logs`: the log subresource of pods, at once or followed.

Called by the router. Mirrors kube-apiserver's LogLocation (which container, or which error text) and kubelet's options.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator

from starlette.responses import Response

from pdk.kubernetes.api.http import Request, response, stream_response
from pdk.kubernetes.api.routes import Target
from pdk.kubernetes.errors import BadRequest
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import LogOptions, LogReader, PodLogs
from pdk.web.routing import route

TEXT = "text/plain"
POLL_SECONDS = 0.2


class LogStreams:
    """Reads the logs of containers for clients."""

    def __init__(self, store: ObjectStore, logs: PodLogs, stopping: threading.Event) -> None:
        self._store = store
        self._logs = logs
        self._stopping = stopping

    @route("GET", "{collection}/{name}/log")
    def log(self, target: Target, request: Request) -> Response:
        """Answer the log of one container of a pod as plain text. Raises ObjectNotFound, BadRequest."""
        pod = self._store.get("pods", target.namespace, target.name)
        container = _container(pod, request.query.get("container", ""))
        options = _options(request)
        reader = self._logs.follow(target.namespace, target.name, container, options)
        if not reader.exists:
            _refuse_without_log(pod, container, options.previous)
        if request.flag("follow") and not options.previous:
            return stream_response(self._follow(pod, container, reader), TEXT)
        try:
            return response(b"".join(reader.read_new()), TEXT)
        finally:
            reader.close()

    async def _follow(self, pod: JsonObject, container: str, reader: LogReader) -> AsyncGenerator[bytes, None]:
        """Yield what is there and what is appended, until the container has ended and everything is read."""
        try:
            while not reader.exhausted and not self._stopping.is_set():
                # Looked up before reading: what was written before the end is then read, too.
                ended = await asyncio.to_thread(self._has_ended, pod, container)
                text = await asyncio.to_thread(lambda: b"".join(reader.read_new()))
                yield text
                if ended:
                    return
                if not text:
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            reader.close()

    def _has_ended(self, pod: JsonObject, container: str) -> bool:
        metadata = pod["metadata"]
        present = self._store.find("pods", metadata.get("namespace", ""), metadata["name"])
        if present is None or present["metadata"]["uid"] != metadata["uid"]:
            return True
        return "terminated" in _state(present, container)


def _container(pod: JsonObject, wanted: str) -> str:
    """Return the container to read. Raises BadRequest when it is not one of the pod's, or not clear."""
    name = pod["metadata"]["name"]
    spec = pod.get("spec") or {}
    containers = [container["name"] for container in spec.get("containers") or []]
    init_containers = [container["name"] for container in spec.get("initContainers") or []]
    if wanted:
        if wanted not in containers + init_containers:
            raise BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(containers) == 1:
        return str(containers[0])
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
    if init_containers:
        message += f" or one of the init containers: [{' '.join(init_containers)}]"
    raise BadRequest(message)


def _options(request: Request) -> LogOptions:
    tail, since, limit = (request.number(name) for name in ("tailLines", "sinceSeconds", "limitBytes"))
    if tail is not None and tail < 0:
        raise BadRequest(
            f'PodLogOptions "" is invalid: tailLines: Invalid value: {tail}: must be greater than or equal to 0'
        )
    for name, value in (("sinceSeconds", since), ("limitBytes", limit)):
        if value is not None and value < 1:
            raise BadRequest(f'PodLogOptions "" is invalid: {name}: Invalid value: {value}: must be greater than 0')
    return LogOptions(
        tail_lines=tail,
        since_seconds=since,
        since_time=request.query.get("sinceTime") or None,
        timestamps=request.flag("timestamps"),
        limit_bytes=limit,
        previous=request.flag("previous"),
    )


def _refuse_without_log(pod: JsonObject, container: str, previous: bool) -> None:
    """Raise BadRequest where kubelet has no log to give: no previous run, or not started yet."""
    name = pod["metadata"]["name"]
    if previous:
        raise BadRequest(f'previous terminated container "{container}" in pod "{name}" not found')
    waiting = _state(pod, container).get("waiting")
    if waiting:
        reason = waiting.get("reason") or "ContainerCreating"
        raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start: {reason}')


def _state(pod: JsonObject, container: str) -> JsonObject:
    status = pod.get("status") or {}
    for entry in [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]:
        if entry.get("name") == container:
            state: JsonObject = entry.get("state") or {}
            return state
    return {}
