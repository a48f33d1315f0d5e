"""One revision on this server: fetch, start, probe, serve, drain, stop. What the kubelet does for a pod.

`advance` moves a wanted revision one step on, `retire` one step towards its end; neither waits for anything longer than
a look at TorchServe, and each step is a row before its effect is relied upon. Called by the controller through
`lifecycle`, by one thread at a time.
"""

import dataclasses
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdk.base import clock
from pdk.base.errors import FailedPrecondition
from pdk.kserve.kinds.names import CONTAINER
from pdk.kserve.predictor import torchserve
from pdk.kserve.predictor.failures import ModelFailure, ModelLoadFailed, RuntimeUnhealthy
from pdk.kserve.predictor.fetch import Fetch, start_fetch
from pdk.kserve.predictor.launch import LaunchRequest
from pdk.kserve.predictor.model_spec import ModelSpec, parse_model_spec, resolve_environment
from pdk.kserve.predictor.node import INITIALIZER, Node
from pdk.kserve.predictor.revisions import Failure, Revision, RevisionState, Stage
from pdk.kserve.predictor.storage_initializer import TRANSIENT, FetchStatus
from pdk.kserve.predictor.torchserve import TorchServe
from pdk.process import tree

logger = logging.getLogger(__name__)

# How many lines of the container's log are told with a failure.
LOG_LINES = 20
# Served this many seconds, a crash is a new misfortune, not the same one: restarted at once.
STABLE_SECONDS = 60.0
# Between two looks at a revision that is on its way.
POLL_SECONDS = 0.1
# Storage that is empty is asked again sooner than a failure: an open commit may be finished any moment. Seconds.
FIRST_WAIT, MAX_WAIT = 0.5, 5.0

STARTED = frozenset({RevisionState.STARTING, RevisionState.READY})


class RunningRevision:
    """A revision's row, and what runs for it: the fetch of its model, then its TorchServe."""

    def __init__(self, node: Node, row: Revision) -> None:
        """Take over the TorchServe of an earlier server, if the row tells of one."""
        self.row = row
        self._node = node
        self._folders = node.folders(row)
        self._fetch: Fetch | None = None
        self.server = None if row.process is None or row.process.pid is None else TorchServe(row.process)

    def advance(self) -> Revision:
        """Take one step towards READY, or look whether a READY revision still is; return the row as it then is."""
        steps: dict[RevisionState, Callable[[], object]] = {
            RevisionState.PENDING: self._begin,
            RevisionState.FAILED: self._begin,
            RevisionState.FETCHING: self._check_fetch,
            RevisionState.STARTING: self._check_start,
            RevisionState.READY: self._check_health,
        }
        before = self.row
        try:
            steps.get(before.state, self.retire)()
        except ModelFailure as failure:
            self._fail(before, failure)
        except (FailedPrecondition, OSError) as error:
            self._fail(before, RuntimeUnhealthy(str(error)))
        return self.row

    def seconds_to_next(self) -> float | None:
        """Return after how many seconds to look at it again, None when it is over."""
        if self.row.state in (RevisionState.PENDING, RevisionState.FAILED):
            return max(0.0, self.row.retry_at - time.time()) + 0.01
        if self.row.state is RevisionState.READY:
            return self._node.settings.limits.health_seconds
        return None if self.row.state is RevisionState.STOPPED else POLL_SECONDS

    def _begin(self) -> None:
        if time.time() < self.row.retry_at:
            return
        spec = parse_model_spec(self.row.predictor)
        if self._folders.models.is_dir():
            self._start(spec)
            return
        now = time.time()
        self._put(
            state=RevisionState.FETCHING,
            deadline=now + self._node.settings.limits.fetch_timeout,
            stages=self.row.at(Stage.FETCH, now),
        )
        self._fetch = start_fetch(self._node, self.row, spec, self._folders.models)

    def _begin_again(self, **changes: Any) -> None:
        self.start_later(**changes)
        self._begin()

    def _check_fetch(self) -> None:
        if self._fetch is None:
            # Started by a server that was killed, and ended with it.
            self._begin_again()
            return
        outcome = self._fetch.poll()
        if outcome is None:
            if time.time() >= self.row.deadline:
                limit = f"{self._node.settings.limits.fetch_timeout:g} s"
                raise ModelLoadFailed(f"the storage initializer did not finish within {limit}")
            return
        self._fetch = None
        if outcome.status == FetchStatus.COMPLETE:
            self._begin_again(waiting="", stages=self.row.at(Stage.FETCHED, time.time()))
        elif outcome.status in TRANSIENT:
            # Not a failure of the model: an open commit lists as empty until it is finished.
            pause = min(FIRST_WAIT * 1.5 ** min(self.row.fetch_restarts, 20), MAX_WAIT)
            self._put(
                state=RevisionState.PENDING,
                waiting=outcome.cause,
                retry_at=time.time() + pause,
                fetch_restarts=self.row.fetch_restarts + 1,
            )
        else:
            raise ModelLoadFailed(f"storage initializer: {outcome.cause}", outcome.status)

    def _start(self, spec: ModelSpec) -> None:
        node, row = self._node, self.row
        self._clean_run()
        marker, log = node.marker(row, "serve"), node.log(row, CONTAINER)
        tree.kill_marked(lambda other: other == marker)
        environment = resolve_environment(node.store, row.namespace, spec)
        request = LaunchRequest(marker, self._folders, log, environment, spec.cpus)
        node.logs.rotate(row.namespace, row.pod, CONTAINER)
        launch = node.builder.prepare(request)
        for note in launch.notes:
            node.logs.append(row.namespace, row.pod, CONTAINER, f"[WARN ] pdk - {note}")
        now = time.time()
        process = launch.process()
        # The row comes first: a server killed between the two finds a marker, and a pid it does not know.
        self._put(
            state=RevisionState.STARTING,
            deadline=now + node.settings.limits.load_timeout,
            process=process,
            waiting="",
            # A server killed between the end of the fetch and its row finds the folder complete.
            stages={Stage.FETCHED: now, **row.at(Stage.START, now)},
        )
        child = node.launcher.start(launch.child)
        ticks = child.identity.start_ticks if child.identity is not None else 0
        process = dataclasses.replace(process, pid=child.pid, start_ticks=ticks)
        self.server = TorchServe(process, child)
        self._put(process=process)

    def _check_start(self) -> None:
        if self.server is None:
            self._begin_again(process=None)
            return
        self.server.raise_if_ended("before the model was loaded")
        cause = torchserve.load_failure(self._node.log(self.row, CONTAINER))
        if cause is not None:
            raise ModelLoadFailed(cause)
        counts = self.server.workers()
        loaded = all(count is not None and count.ready >= count.wanted for count in counts)
        if loaded and self.server.has_passed_probe(self._folders.probe):
            stages = self.row.at(Stage.READY, time.time())
            self._put(state=RevisionState.READY, failure=None, waiting="", retry_at=0.0, stages=stages)
        elif time.time() >= self.row.deadline:
            seconds = f"{self._node.settings.limits.load_timeout:g} s"
            if None in counts:
                raise RuntimeUnhealthy(f"TorchServe did not answer within {seconds}")
            if loaded:
                raise ModelLoadFailed(f"the model was loaded, but did not answer its probe within {seconds}")
            raise ModelLoadFailed(
                f"the model was not loaded within {seconds}; the handler may be waiting for something"
            )

    def _check_health(self) -> None:
        if self.server is None:
            self._put(state=RevisionState.PENDING)
        else:
            self.server.check_health(self._node.settings.limits.worker_timeout)

    def _fail(self, before: Revision, failure: ModelFailure) -> None:
        """Note a failure of the step that began at `before`, and when to try again."""
        self.end()
        if before.state in STARTED:
            self._copy_stdout()
        now, limits, was_ready = time.time(), self._node.settings.limits, before.state is RevisionState.READY
        stable = was_ready and now - before.stages.get(Stage.READY, now) >= STABLE_SECONDS
        attempts = 0 if stable else before.attempts + 1
        pause = min(limits.backoff * 2.0 ** min(attempts - 1, 20), limits.max_backoff)
        logger.warning("%s: %s: %s", before.name, failure.reason, failure)
        self.row = before
        self._put(
            state=RevisionState.FAILED,
            attempts=attempts,
            restarts=before.restarts + (before.state in STARTED),
            fetch_restarts=before.fetch_restarts + (before.state is RevisionState.FETCHING),
            retry_at=now if was_ready and attempts <= 1 else now + pause,
            waiting="",
            process=None,
            failure=Failure(failure.reason, self._explain(before, failure), clock.rfc3339_now(), failure.exit_code),
        )

    def _explain(self, before: Revision, failure: ModelFailure) -> str:
        """Return the cause and the last lines of the container that failed."""
        container = INITIALIZER if before.state is RevisionState.FETCHING else CONTAINER
        ran = before.state in STARTED or before.state is RevisionState.FETCHING
        lines = torchserve.last_lines(self._node.log(before, container), LOG_LINES) if ran else []
        if not lines:
            return str(failure)
        return f"{failure}\nLast log lines of {before.pod}/{container}:\n" + "\n".join(lines)

    def _copy_stdout(self) -> None:
        """Put what the JVM itself wrote, such as an exception at start-up, into the pod's log."""
        for line in torchserve.last_lines(self._folders.run / "stdout.log", LOG_LINES, stamped=False):
            self._node.logs.append(self.row.namespace, self.row.pod, CONTAINER, f"[JVM  ] {line}")

    def retire(self) -> Revision:
        """Take one step towards STOPPED and return the row; a serving revision answers first what it has accepted."""
        now, server = time.time(), self.server
        if self.row.state is RevisionState.STOPPED:
            return self.row
        if self.row.state is RevisionState.READY:
            self._put(state=RevisionState.DRAINING, deadline=now + self._node.settings.limits.drain_timeout)
        waits = now < self.row.deadline
        if self.row.state is RevisionState.DRAINING and server is not None:
            if not (waits and self._node.routes.in_flight(self.row.name, server.port)):
                server.terminate()
                self._put(state=RevisionState.STOPPING, deadline=now + self._node.settings.limits.stop_grace)
        elif not (self.row.state is RevisionState.STOPPING and waits and server is not None and server.is_alive()):
            self.end()
            self._put(state=RevisionState.STOPPED, process=None)
        return self.row

    def end(self) -> None:
        """End whatever runs for it, at once, and reap it."""
        if self.server is not None:
            self.server.kill()
        if self._fetch is not None:
            self._fetch.end()
        self.server = self._fetch = None
        markers = {self._node.marker(self.row, "fetch"), self._node.marker(self.row, "serve")}
        tree.kill_marked(lambda marker: marker in markers)
        self._clean_run()

    def start_later(self, **changes: Any) -> None:
        """Leave it to the next look, or the next server, to start it again: that it does not run is no failure."""
        self._put(state=RevisionState.PENDING, retry_at=0.0, **changes)

    def _put(self, **changes: Any) -> None:
        self.row = self._node.revisions.put(dataclasses.replace(self.row, **changes))

    def _clean_run(self) -> None:
        temp = self.row.process.temp if self.row.process else ""
        for folder in (temp, str(self._folders.root / "t")):
            if folder and Path(folder).is_dir():
                shutil.rmtree(folder)
