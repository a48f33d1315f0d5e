"""What this process runs of one job: which datums are being processed, and how to end their user code from outside.

Made by `job_runs`, one per job; `user_code` shows it each child for as long as that runs.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pdk.base.clock import now
from pdk.pachyderm.pps.datum_values import names_inputs
from pdk.pachyderm.pps.types import Datum, RunningDatum
from pdk.pachyderm.values import DatumId
from pdk.process.child import Child


class Stopped(Exception):
    """The job was stopped, or the server is stopping: nothing is to be recorded for the datum."""


class Restarted(Exception):
    """A client asked for this datum to begin anew; the try does not count."""


@dataclass
class _Processing:
    """A datum that is being processed; `child` only while user code runs."""

    datum: RunningDatum
    child: Child | None = None
    restarting: bool = False


class RunningJob:
    """The datums of a job that are being processed; safe for several threads, and against a child that just starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processing: dict[DatumId, _Processing] = {}
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._cancelled

    @property
    def datums(self) -> tuple[RunningDatum, ...]:
        """The datums that are being processed now."""
        with self._lock:
            return tuple(each.datum for each in self._processing.values())

    def cancel(self) -> None:
        """Kill what runs now and whatever is started later."""
        with self._lock:
            self._cancelled = True
            children = [each.child for each in self._processing.values() if each.child is not None]
        for child in children:
            child.kill()

    def restart(self, data_filters: Sequence[str]) -> bool:
        """Kill the user code of the datums that match every filter, so that they begin anew; False when none runs."""
        children = []
        with self._lock:
            for each in self._processing.values():
                if each.child is not None and names_inputs(data_filters, each.datum.inputs):
                    each.restarting = True
                    children.append(each.child)
        for child in children:
            child.kill()
        return bool(children)

    @contextmanager
    def processing(self, datum: Datum) -> Iterator[None]:
        """Show the datum as being processed."""
        with self._lock:
            self._processing[datum.id] = _Processing(RunningDatum(datum.id, now(), datum.inputs))
        try:
            yield
        finally:
            with self._lock:
                del self._processing[datum.id]

    @contextmanager
    def watch(self, datum_id: DatumId, child: Child) -> Iterator[None]:
        """Let `cancel` and `restart` reach `child` for as long as it runs. Raises Stopped or Restarted if they did."""
        with self._lock:
            processing = self._processing[datum_id]
            processing.child = child
            cancelled = self._cancelled
        if cancelled:
            child.kill()
        try:
            yield
        finally:
            with self._lock:
                processing.child = None
                restarted, processing.restarting = processing.restarting, False
        if self._cancelled:
            raise Stopped
        if restarted:
            raise Restarted
