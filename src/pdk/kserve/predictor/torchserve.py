"""Talks to a running TorchServe over its loopback ports: is it ready, and does it answer?

Short blocking calls with short time-outs, made from the controller's workers; only a probe may take long. Facts of TorchServe 0.12.0: `/ping` says
Healthy with no worker at all, a worker that is starting is called UNLOADING, and registering over the API is switched off.
"""

import http.client
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.probes import Probe, difference

POLL_TIMEOUT = 2.0
PROBE_TIMEOUT = 60.0
MAX_ANSWER_BYTES = 64 << 20
LOAD_ERROR = re.compile(r"Failed to load model \S+, exception (.*)")
WORKER_DIED = "Backend worker process died."
WORKER_FAILED_AGAIN = "Auto recovery failed again"
MAX_LOG_SCAN = 256 * 1024


@dataclass(frozen=True)
class Workers:
    """How many workers of a model are READY, and how many there should be."""

    ready: int
    wanted: int


def workers(port: int, model: str) -> Workers | None:
    """Ask the management API; None while it does not answer (starting, or hung)."""
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
    """Send a V1 predict; raise ModelLoadFailed unless it is answered 200 with the expected, or any finite, predictions."""
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
    """Tell whether a JSON value holds no NaN and no infinity."""
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
