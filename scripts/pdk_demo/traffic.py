"""Sends the ten-row request through the ingress: once, or all the time while a version is replaced.

Used by the demonstration, the end-to-end tests and the loop benchmark.
"""

import collections
import http.client
import json
import threading
import time
from dataclasses import dataclass, field

from pdk_demo.systems import MODEL, Systems

VERSION_HEADER, COMMIT_HEADER, REVISION_HEADER = "x-pdk-model-version", "x-pdk-data-commit", "x-pdk-revision"


@dataclass(frozen=True)
class Answer:
    """One answer: HTTP status, decoded body, which version gave it, how long it took in seconds."""

    status: int
    body: dict[str, object]
    version: str
    data_commit: str
    revision: str
    seconds: float


class Caller:
    """One keep-alive connection to the ingress that sends the same prediction request."""

    def __init__(self, systems: Systems, body: bytes, timeout: float = 30.0) -> None:
        self._body = body
        self._host = systems.service_hostname
        self._connection = http.client.HTTPConnection(systems.ingress_host, systems.ingress_port, timeout=timeout)

    def call(self) -> Answer:
        """Send one request; raise OSError or http.client.HTTPException when no answer comes."""
        headers = {"Host": self._host, "Content-Type": "application/json"}
        started = time.perf_counter()
        try:
            self._connection.request("POST", f"/v1/models/{MODEL}:predict", self._body, headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        header = {name.lower(): value for name, value in response.getheaders()}
        return Answer(
            status=response.status,
            body=json.loads(body) if body else {},
            version=header.get(VERSION_HEADER, ""),
            data_commit=header.get(COMMIT_HEADER, ""),
            revision=header.get(REVISION_HEADER, ""),
            seconds=time.perf_counter() - started,
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass
class Tally:
    """What a client saw: answers by model version, when each version first answered, failures with their reason."""

    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    first_seen: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Traffic:
    """A client that keeps sending requests from its own thread until it is stopped; use as a context manager."""

    def __init__(self, systems: Systems, body: bytes, pause_seconds: float = 0.02) -> None:
        self.tally = Tally()
        self._caller = Caller(systems, body)
        self._pause = pause_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self._caller.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._count(self._caller.call())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.tally.failures.append(f"{type(error).__name__}: {error}")
            self._stop.wait(self._pause)

    def _count(self, answer: Answer) -> None:
        predictions = answer.body.get("predictions")
        if answer.status != 200 or not isinstance(predictions, list) or len(predictions) != 10:
            self.tally.failures.append(f"status {answer.status}: {str(answer.body)[:200]}")
            return
        self.tally.answers[answer.version] += 1
        self.tally.first_seen.setdefault(answer.version, time.time())
        self.tally.slowest = max(self.tally.slowest, answer.seconds)
