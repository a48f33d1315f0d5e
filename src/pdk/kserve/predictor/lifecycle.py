"""The life of one revision: fetch, start, probe, serve, drain, stop. What the kubelet does for a pod.

`advance` moves a wanted revision one step on, `retire` one step towards its end; neither waits for anything longer than
a look at TorchServe, and each step is a row before its effect is relied upon. Called by the controller, one key at a time. After a
`kill -9` of the server the rows tell which processes to take over (`adopt`), and everything else that bears this
server's marker is ended.
"""

import dataclasses
import json
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pdk.base import clock
from pdk.base.errors import FailedPrecondition
from pdk.kserve.predictor import torchserve
from pdk.kserve.predictor.failures import ModelFailure, ModelLoadFailed, RuntimeUnhealthy
from pdk.kserve.predictor.fetch import INITIALIZER, Fetcher
from pdk.kserve.predictor.launch import Folders, Launch, LaunchBuilder, LaunchRequest
from pdk.kserve.predictor.model_spec import ModelSpec, parse_model_spec, resolve_environment
from pdk.kserve.predictor.probes import in_background, parse_probe
from pdk.kserve.predictor.revisions import Failure, Process, Revision, Revisions, RevisionState
from pdk.kserve.predictor.routes import Backend, Routes
from pdk.kserve.predictor.settings import PredictorSettings
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.process import tree
from pdk.process.child import Child, Launcher, SubprocessLauncher

logger = logging.getLogger(__name__)

CONTAINER = "kserve-container"
LOG_LINES = 20
HUNG_AFTER = 5
"""Looks at a serving TorchServe in a row without an answer before it is restarted."""
STABLE_SECONDS = 60.0
"""Served this long, a crash is a new misfortune, not the same one: restarted at once."""
POLL_SECONDS = 0.1
# Tried again sooner than a failure: an open commit may be finished any moment.
FIRST_WAIT, MAX_WAIT = 0.5, 5.0

LOGGING = frozenset({RevisionState.FETCHING, RevisionState.STARTING, RevisionState.READY})

# Response header -> annotation of the InferenceService.
VERSION_HEADERS = {
    "x-pdk-model-version": "pdk/model-version",
    "x-pdk-data-commit": "pdk/data-commit",
    "x-pdk-job": "pach_id",
}


class Lifecycle:
    """Runs revisions as child processes. Safe for several threads as long as each revision is one thread's at a time."""

    def __init__(
        self,
        store: ObjectStore,
        revisions: Revisions,
        logs: PodLogs,
        routes: Routes,
        settings: PredictorSettings,
        launcher: Launcher | None = None,
    ) -> None:
        self._store = store
        self._revisions = revisions
        self._logs = logs
        self._routes = routes
        self._settings = settings
        self._builder = LaunchBuilder(settings)
        self._launcher = launcher or SubprocessLauncher()
        self._fetcher = Fetcher(store, logs, settings, self._launcher)
        self._lock = threading.Lock()
        self._children: dict[str, Child] = {}
        self._silent: dict[str, int] = {}
        self._idle_since: dict[str, float] = {}
        self._probes: dict[str, Future[None]] = {}

    # ---------------------------------------------------------------- wanted

    def advance(self, revision: Revision) -> Revision:
        """Take one step towards READY, or look whether a READY revision still is; return the row as it then is."""
        steps: dict[RevisionState, Callable[[Revision], Revision]] = {
            RevisionState.PENDING: self._begin,
            RevisionState.FAILED: self._begin,
            RevisionState.FETCHING: self._check_fetch,
            RevisionState.STARTING: self._check_start,
            RevisionState.READY: self._check_health,
        }
        step = steps.get(revision.state)
        if step is None:
            return self.retire(revision)
        try:
            return step(revision)
        except ModelFailure as failure:
            return self._fail(revision, failure)
        except (FailedPrecondition, OSError) as error:
            return self._fail(revision, RuntimeUnhealthy(str(error)))

    def seconds_to_next(self, revision: Revision) -> float | None:
        """Return after how many seconds to look at a revision again, None when it is over."""
        if revision.state in (RevisionState.PENDING, RevisionState.FAILED):
            return max(0.0, revision.retry_at - time.time()) + 0.01
        if revision.state is RevisionState.READY:
            return self._settings.limits.health_seconds
        return None if revision.state is RevisionState.STOPPED else POLL_SECONDS

    def _begin(self, revision: Revision) -> Revision:
        if time.time() < revision.retry_at:
            return revision
        spec = parse_model_spec(revision.predictor)
        if self._folders(revision).models.is_dir():
            return self._start(revision, spec)
        return self._start_fetch(revision, spec)

    def _start_fetch(self, revision: Revision, spec: ModelSpec) -> Revision:
        now = time.time()
        revision = self._put(
            revision,
            state=RevisionState.FETCHING,
            deadline=now + self._settings.limits.fetch_timeout,
            stages=revision.at("fetch", now),
        )
        self._fetcher.start(revision, spec, self._folders(revision).models)
        return revision

    def _check_fetch(self, revision: Revision) -> Revision:
        if not self._fetcher.is_known(revision):
            return self._begin(self._put(revision, state=RevisionState.PENDING, retry_at=0.0))
        outcome = self._fetcher.poll(revision)
        if outcome is None:
            if time.time() >= revision.deadline:
                limit = f"{self._settings.limits.fetch_timeout:g} s"
                raise ModelLoadFailed(f"the storage initializer did not finish within {limit}")
            return revision
        if outcome.again:
            return self._wait_for_storage(revision, outcome.cause)
        if not outcome.complete:
            raise ModelLoadFailed(f"storage initializer: {outcome.cause}", outcome.status)
        stages = revision.at("fetched", time.time())
        return self._begin(self._put(revision, state=RevisionState.PENDING, retry_at=0.0, waiting="", stages=stages))

    def _wait_for_storage(self, revision: Revision, cause: str) -> Revision:
        """Ask again soon: not a failure of the model, an open commit lists as empty until it is finished."""
        pause = min(FIRST_WAIT * 1.5 ** min(revision.fetch_restarts, 20), MAX_WAIT)
        return self._put(
            revision,
            state=RevisionState.PENDING,
            waiting=cause,
            retry_at=time.time() + pause,
            fetch_restarts=revision.fetch_restarts + 1,
        )

    def _start(self, revision: Revision, spec: ModelSpec) -> Revision:
        self._clean_run(revision)
        marker = self._marker(revision)
        tree.kill_marked(lambda other: other == marker)
        request = LaunchRequest(
            marker=marker,
            folder=self._folders(revision).root,
            log=self._log(revision),
            environment=resolve_environment(self._store, revision.namespace, spec),
            cpus=spec.cpus,
        )
        self._logs.rotate(revision.namespace, revision.pod, CONTAINER)
        launch = self._builder.prepare(request)
        for note in launch.notes:
            self._logs.append(revision.namespace, revision.pod, CONTAINER, f"[WARN ] pdk - {note}")
        now = time.time()
        # The row comes first: a server killed between the two finds a marker, and a pid it does not know.
        revision = self._put(
            revision,
            state=RevisionState.STARTING,
            deadline=now + self._settings.limits.load_timeout,
            process=_process(launch),
            waiting="",
            # A server killed between the end of the fetch and its row finds the folder complete.
            stages={"fetched": now, **revision.at("start", now)},
        )
        child = self._launcher.start(launch.child)
        with self._lock:
            self._children[revision.key] = child
        ticks = child.identity.start_ticks if child.identity is not None else 0
        return self._put(revision, process=_with(revision, pid=child.pid, start_ticks=ticks))

    def _check_start(self, revision: Revision) -> Revision:
        process = revision.process
        if process is None or process.pid is None:
            return self._begin(self._put(revision, state=RevisionState.PENDING, process=None, retry_at=0.0))
        self._raise_if_ended(revision, "before the model was loaded")
        cause = torchserve.load_failure(self._log(revision))
        if cause is not None:
            raise ModelLoadFailed(cause)
        port = process.ports["management"]
        counts = [torchserve.workers(port, model) for model in process.models]
        loaded = all(count is not None and count.ready >= count.wanted for count in counts)
        if loaded and self._has_passed_probe(revision, process):
            stages = revision.at("ready", time.time())
            return self._put(revision, state=RevisionState.READY, failure=None, waiting="", retry_at=0.0, stages=stages)
        if time.time() >= revision.deadline:
            seconds = f"{self._settings.limits.load_timeout:g} s"
            if None in counts:
                raise RuntimeUnhealthy(f"TorchServe did not answer within {seconds}")
            if loaded:
                raise ModelLoadFailed(f"the model was loaded, but did not answer its probe within {seconds}")
            raise ModelLoadFailed(
                f"the model was not loaded within {seconds}; the handler may be waiting for something"
            )
        return revision

    def _has_passed_probe(self, revision: Revision, process: Process) -> bool:
        """Ask the probe, or look whether it was answered; raise ModelLoadFailed when it was answered wrong."""
        path = self._folders(revision).probe
        if not process.probe_model or not path.is_file():
            return True
        outcome = self._probes.get(revision.key)
        if outcome is None:
            port, model, asked = (
                process.ports["inference"],
                process.probe_model,
                parse_probe(json.loads(path.read_bytes())),
            )
            outcome = in_background(lambda: torchserve.probe(port, model, asked), f"probe-{revision.name}")
            self._probes[revision.key] = outcome
        if not outcome.done():
            return False
        del self._probes[revision.key]
        outcome.result()
        return True

    def _check_health(self, revision: Revision) -> Revision:
        process = revision.process
        if process is None:
            return self._put(revision, state=RevisionState.PENDING)
        self._raise_if_ended(revision, "while it served")
        counts = [torchserve.workers(process.ports["management"], model) for model in process.models]
        described = [count for count in counts if count is not None]
        if len(described) == len(counts):
            self._silent.pop(revision.key, None)
            self._check_workers(revision, all(count.ready or not count.wanted for count in described))
            return revision
        silent = self._silent[revision.key] = self._silent.get(revision.key, 0) + 1
        if silent >= HUNG_AFTER:
            raise RuntimeUnhealthy(f"TorchServe did not answer {silent} times in a row and is restarted")
        return revision

    def _check_workers(self, revision: Revision, ready: bool) -> None:
        """Give TorchServe time to start a worker that ended again; raise RuntimeUnhealthy when it does not manage to."""
        if ready:
            self._idle_since.pop(revision.key, None)
            return
        limit = self._settings.limits.worker_timeout
        if time.monotonic() - self._idle_since.setdefault(revision.key, time.monotonic()) >= limit:
            raise RuntimeUnhealthy(f"no worker of TorchServe was ready for {limit:g} s; it is restarted")

    def _raise_if_ended(self, revision: Revision, when: str) -> None:
        child, process = self._children.get(revision.key), revision.process
        if child is not None:
            status = child.poll()
            if status is not None:
                raise RuntimeUnhealthy(f"TorchServe ended {when}, exit status {status}", status)
        elif process is None or process.pid is None or not tree.is_alive(_identity(process)):
            raise RuntimeUnhealthy(f"TorchServe ended {when}, while no server watched it")

    def _fail(self, revision: Revision, failure: ModelFailure) -> Revision:
        was_ready = revision.state is RevisionState.READY
        fetching = revision.state is RevisionState.FETCHING
        self._end(revision)
        self._copy_stdout(revision)
        now = time.time()
        stable = was_ready and now - revision.stages.get("ready", now) >= STABLE_SECONDS
        attempts = 0 if stable else revision.attempts + 1
        limits = self._settings.limits
        pause = min(limits.backoff * 2.0 ** min(attempts - 1, 20), limits.max_backoff)
        if was_ready and attempts <= 1:
            pause = 0.0
        started = revision.state in (RevisionState.READY, RevisionState.STARTING)
        logger.warning("%s: %s: %s", revision.name, failure.reason, failure)
        return self._put(
            revision,
            state=RevisionState.FAILED,
            attempts=attempts,
            restarts=revision.restarts + (1 if started else 0),
            fetch_restarts=revision.fetch_restarts + (1 if fetching else 0),
            retry_at=now + pause,
            waiting="",
            process=None,
            failure=Failure(
                failure.reason, self._explain(revision, failure, fetching), clock.rfc3339_now(), failure.exit_code
            ),
        )

    def _explain(self, revision: Revision, failure: ModelFailure, fetching: bool) -> str:
        """Return the cause and the last lines of the container that failed."""
        container = INITIALIZER if fetching else CONTAINER
        path = self._logs.path(revision.namespace, revision.pod, container)
        lines = torchserve.last_lines(path, LOG_LINES) if revision.state in LOGGING else []
        if not lines:
            return str(failure)
        return f"{failure}\nLast log lines of {revision.pod}/{container}:\n" + "\n".join(lines)

    def _copy_stdout(self, revision: Revision) -> None:
        """Put what the JVM itself wrote, such as an exception at start-up, into the pod's log."""
        if revision.state not in (RevisionState.STARTING, RevisionState.READY):
            return
        for line in torchserve.last_lines(self._folders(revision).run / "stdout.log", LOG_LINES, stamped=False):
            self._logs.append(revision.namespace, revision.pod, CONTAINER, f"[JVM  ] {line}")

    # ---------------------------------------------------------------- not wanted

    def retire(self, revision: Revision) -> Revision:
        """Take one step towards STOPPED: a serving one answers what it has accepted first."""
        now, limits = time.time(), self._settings.limits
        process = revision.process
        if revision.state is RevisionState.STOPPED:
            return revision
        if revision.state is RevisionState.READY:
            revision = self._put(revision, state=RevisionState.DRAINING, deadline=now + limits.drain_timeout)
        if revision.state is RevisionState.DRAINING and process is not None and process.pid is not None:
            left = self._routes.in_flight(revision.name, process.ports["inference"])
            if left and now < revision.deadline:
                return revision
            # After a restart of the machine or of this server the pid may be anybody's.
            if self._runs(revision):
                tree.signal_group(process.pid, signal.SIGTERM)
            return self._put(revision, state=RevisionState.STOPPING, deadline=now + limits.stop_grace)
        if revision.state is RevisionState.STOPPING and self._runs(revision) and now < revision.deadline:
            return revision
        self._end(revision)
        return self._put(revision, state=RevisionState.STOPPED, process=None)

    def forget(self, revision: Revision) -> None:
        """Delete what a STOPPED revision leaves: files, logs, row."""
        folder = self._folders(revision).root
        if folder.exists():
            shutil.rmtree(folder)
        self._logs.remove(revision.namespace, revision.pod)
        self._revisions.delete(revision)

    # ---------------------------------------------------------------- server start and stop

    def adopt(self) -> int:
        """Take over what an earlier server left running and end the rest that bears our marker; return how many live.

        A revision whose TorchServe has gone meanwhile is started again; that is no failure of the model.
        """
        rows = [row for row in self._revisions.all() if row.process is not None]
        alive = [row for row in rows if self._runs(row)]
        keep = {row.process.marker for row in alive if row.process is not None}
        prefix = self._settings.marker_prefix
        ended = tree.kill_marked(lambda marker: marker.startswith(prefix) and marker not in keep)
        for row in rows:
            if row not in alive and row.state in (RevisionState.STARTING, RevisionState.READY):
                self._put(row, state=RevisionState.PENDING, retry_at=0.0, restarts=row.restarts + 1)
        logger.info("adopted %d TorchServe processes, ended %d left-over processes", len(alive), ended)
        return len(alive)

    def stop_all(self) -> None:
        """End every process of this server; the rows say that they are to be started again by the next one."""
        rows = [row for row in self._revisions.all() if row.state is not RevisionState.STOPPED]
        for row in rows:
            if row.process is not None and row.process.pid is not None and self._runs(row):
                tree.signal_group(row.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + self._settings.limits.stop_grace
        while any(self._runs(row) for row in rows) and time.monotonic() < deadline:
            time.sleep(0.05)
        for row in rows:
            self._end(row)
            if row.state in (RevisionState.STARTING, RevisionState.READY, RevisionState.FETCHING):
                self._put(row, state=RevisionState.PENDING, process=None, retry_at=0.0)

    # ---------------------------------------------------------------- parts

    def backend(self, revision: Revision, concurrency: int = 0, timeout: float | None = None) -> Backend | None:
        """Return where requests for a READY revision go, None when it is not ready."""
        process = revision.process
        if revision.state is not RevisionState.READY or process is None:
            return None
        values = ((header, revision.annotations.get(key, "")) for header, key in VERSION_HEADERS.items())
        return Backend(
            revision=revision.name,
            port=process.ports["inference"],
            models=process.models,
            headers=tuple((header, value) for header, value in values if value),
            max_request_bytes=process.max_request_bytes,
            response_timeout=timeout or process.response_timeout,
            max_in_flight=concurrency,
        )

    def _put(self, revision: Revision, **changes: Any) -> Revision:
        return self._revisions.put(dataclasses.replace(revision, **changes))

    def _runs(self, revision: Revision) -> bool:
        child = self._children.get(revision.key)
        if child is not None:
            return child.poll() is None
        process = revision.process
        return process is not None and process.pid is not None and tree.is_alive(_identity(process))

    def _end(self, revision: Revision) -> None:
        """End whatever runs for a revision, at once, and reap it."""
        with self._lock:
            child = self._children.pop(revision.key, None)
        if child is not None:
            child.kill()
            child.wait(5.0)
        self._fetcher.end(revision)
        markers = {self._fetcher.marker(revision), self._marker(revision)}
        tree.kill_marked(lambda marker: marker in markers)
        self._silent.pop(revision.key, None)
        self._idle_since.pop(revision.key, None)
        # Its thread ends with the connection to the process that was just killed.
        self._probes.pop(revision.key, None)
        self._clean_run(revision)

    def _clean_run(self, revision: Revision) -> None:
        current = self._revisions.get(revision.uid, revision.number) or revision
        for temp in (current.process.temp if current.process else "", str(self._folders(revision).root / "t")):
            if temp and Path(temp).is_dir():
                shutil.rmtree(temp)

    def _marker(self, revision: Revision) -> str:
        return f"{self._settings.marker_prefix}{revision.key}/serve"

    def _folders(self, revision: Revision) -> Folders:
        # Short: TorchServe's sockets lie below it.
        return Folders(self._settings.root / revision.uid.replace("-", "")[:12] / str(revision.number))

    def _log(self, revision: Revision) -> Path:
        return self._logs.path(revision.namespace, revision.pod, CONTAINER)


def _process(launch: Launch) -> Process:
    probed = [model for model, archive in launch.archives.items() if archive.probe is not None]
    return Process(
        marker=launch.child.marker,
        temp=str(launch.temp),
        ports=dataclasses.asdict(launch.ports),
        models=tuple(launch.archives),
        max_request_bytes=launch.config.max_request_bytes,
        response_timeout=float(launch.config.response_timeout),
        probe_model=probed[0] if probed else "",
    )


def _with(revision: Revision, **changes: Any) -> Process | None:
    return dataclasses.replace(revision.process, **changes) if revision.process is not None else None


def _identity(process: Process) -> tree.Identity:
    return tree.Identity(process.pid or 0, process.start_ticks)
