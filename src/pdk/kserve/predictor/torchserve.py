"""A running TorchServe: does its process live, is it ready, does it answer over its loopback ports, what does it log?

Short blocking calls with short time-outs, made from the controller's workers; only a probe may take long. Facts of
TorchServe 0.12.0: `/ping` says Healthy with no worker at all, a worker that is starting is called UNLOADING, and
registering over the API is switched off.
"""

import http.client
import json
import math
import re
import signal
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from pdk.base import clock
from pdk.kserve.predictor.failures import ModelLoadFailed, RuntimeUnhealthy
from pdk.kserve.predictor.probes import Probe, difference, in_background, parse_probe
from pdk.kserve.predictor.revisions import Process
from pdk.process import tree
from pdk.process.child import Child

# Seconds for an answer of the management API, and of a probe.
POLL_TIMEOUT = 2.0
PROBE_TIMEOUT = 60.0
# Looks at a serving TorchServe in a row without an answer before it is restarted.
HUNG_AFTER = 5
MAX_ANSWER_BYTES = 64 << 20
LOAD_ERROR = re.compile(r"Failed to load model \S+, exception (.*)")
WORKER_DIED = "Backend worker process died."
WORKER_FAILED_AGAIN = "Auto recovery failed again"
OVERSIZED = re.compile(r"^(\S+) .*TooLongFrameException: Message size exceed limit: (\d+)", re.MULTILINE)
# Times in the log are cut to milliseconds.
LOG_RESOLUTION = 0.001
MAX_LOG_SCAN = 256 * 1024


@dataclass(frozen=True)
class Workers:
    """How many workers of a model are READY, and how many there should be."""

    ready: int
    wanted: int


class TorchServe:
    """A TorchServe that this server, or an earlier one, started, and what was seen of it since."""

    def __init__(self, process: Process, child: Child | None = None) -> None:
        """`child` is None for one that is taken over from an earlier server."""
        self._process = process
        self._child = child
        self._silent_looks = 0
        self._idle_since: float | None = None
        self._probe: Future[None] | None = None

    @property
    def port(self) -> int:
        """Where it answers predictions."""
        return self._process.ports["inference"]

    def is_alive(self) -> bool:
        """Return whether exactly this process runs; another one may have its pid."""
        if self._child is not None:
            return self._child.poll() is None
        return tree.is_alive(tree.Identity(self._process.pid or 0, self._process.start_ticks))

    def terminate(self) -> None:
        """Ask it to end, if it runs."""
        if self._process.pid is not None and self.is_alive():
            tree.signal_group(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End and reap it, if it is this server's own; of another's, the caller ends what bears its marker."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(5.0)

    def raise_if_ended(self, when: str) -> None:
        """Raise RuntimeUnhealthy when the process is no more."""
        if self.is_alive():
            return
        status = self._child.poll() if self._child is not None else None
        why = "while no server watched it" if status is None else f"exit status {status}"
        raise RuntimeUnhealthy(f"TorchServe ended {when}, {why}", status)

    def workers(self) -> list[Workers | None]:
        """Return the workers of each model, None for one it does not tell of (it starts, or hangs)."""
        return [workers(self._process.ports["management"], model) for model in self._process.models]

    def has_passed_probe(self, path: Path) -> bool:
        """Return whether the probe in the file `path`, if there is one, was answered; ask it when it was not asked yet.

        Raises ModelLoadFailed when it was answered wrong.
        """
        model = self._process.probe_model
        if not model or not path.is_file():
            return True
        if self._probe is None:
            asked = parse_probe(json.loads(path.read_bytes()))
            self._probe = in_background(lambda: probe(self.port, model, asked), f"probe-{model}")
        if not self._probe.done():
            return False
        answer, self._probe = self._probe, None
        answer.result()
        return True

    def check_health(self, worker_timeout: float) -> None:
        """Raise RuntimeUnhealthy when it ended, hangs, or has had no READY worker for `worker_timeout` seconds.

        Its workers may end: it has that long to start them again by itself.
        """
        self.raise_if_ended("while it served")
        counts = [count for count in self.workers() if count is not None]
        if len(counts) < len(self._process.models):
            self._silent_looks += 1
            if self._silent_looks >= HUNG_AFTER:
                raise RuntimeUnhealthy(f"TorchServe did not answer {HUNG_AFTER} times in a row and is restarted")
            return
        self._silent_looks = 0
        if all(count.ready or not count.wanted for count in counts):
            self._idle_since = None
            return
        self._idle_since = self._idle_since or time.monotonic()
        if time.monotonic() - self._idle_since >= worker_timeout:
            raise RuntimeUnhealthy(f"no worker of TorchServe was ready for {worker_timeout:g} s; it is restarted")


def workers(port: int, model: str) -> Workers | None:
    """Return what the management API tells of a model, None while it does not answer (starting, or hung)."""
    try:
        status, body = _call(port, "GET", f"/models/{model}", None, POLL_TIMEOUT)
        described = json.loads(body)[0] if status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return None
    if not isinstance(described, Mapping):
        return None
    states = [worker.get("status") for worker in described.get("workers", [])]
    return Workers(states.count("READY"), int(described.get("minWorkers", 1)))


def probe(port: int, model: str, asked: Probe) -> None:
    """Send a V1 predict, and wait for its answer.

    Raises ModelLoadFailed unless it is answered 200 with the expected predictions or, without those, any finite ones.
    """
    body = json.dumps(asked.request).encode()
    try:
        status, answer = _call(port, "POST", f"/v1/models/{model}:predict", body, PROBE_TIMEOUT)
    except (OSError, http.client.HTTPException) as error:
        raise ModelLoadFailed(f"the probe (probe.json of model {model}) got no answer: {error}") from error
    text = answer[:500].decode("utf-8", "replace").strip()
    if status != 200:
        raise ModelLoadFailed(f"the probe (probe.json of model {model}) was answered {status}: {text}")
    problem = _problem(asked, answer)
    if problem:
        raise ModelLoadFailed(f"the probe (probe.json of model {model}) {problem}: {text}")


def _problem(asked: Probe, answer: bytes) -> str:
    try:
        value = json.loads(answer)
        if not isinstance(value, dict) or "predictions" not in value or not is_finite(value):
            return "got no finite predictions"
        found = "" if asked.predictions is None else difference(asked.predictions, value["predictions"])
    except (ValueError, RecursionError):
        return "was answered no JSON"
    return f"got other predictions than the build of the model ({found})" if found else ""


def is_finite(value: object) -> bool:
    """Return whether a JSON value holds no NaN and no infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(is_finite(item) for item in value.values())
    return all(is_finite(item) for item in value) if isinstance(value, list) else True


def load_failure(log: Path) -> str | None:
    """Return why a handler did not load, from the log of this start; None while nothing says so.

    TorchServe itself would go on trying for five minutes with a growing pause.
    """
    text = _tail_text(log, MAX_LOG_SCAN)
    cause = LOAD_ERROR.search(text)
    if cause and WORKER_DIED in text:
        return f"the handler failed to load: {cause[1].strip()}"
    if WORKER_FAILED_AGAIN in text:
        return "the worker process ended twice while loading the model"
    return None


def oversized_answer(log: Path, since: float) -> int | None:
    """Return the bytes of the last answer since Unix second `since` that was over `max_response_size`, if there is one.

    TorchServe then ends the connection to its worker, and tells the client the same as if the worker had ended.
    """
    found = OVERSIZED.findall(_tail_text(log, MAX_LOG_SCAN))
    if not found:
        return None
    time_text, size = found[-1]
    recent = clock.from_rfc3339(time_text).timestamp() >= since - LOG_RESOLUTION
    return int(size) if recent else None


def last_lines(log: Path, count: int, stamped: bool = True) -> list[str]:
    """Return the last lines of a log; of a `stamped` one (a pod log) without their times."""
    lines = _tail_text(log, 64 * 1024).splitlines()[-count:]
    return [line.partition(" ")[2] for line in lines] if stamped else lines


def _tail_text(path: Path, size: int) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read(size).decode("utf-8", "replace")


def _call(port: int, method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body is not None else {})
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER_BYTES)
    finally:
        connection.close()
