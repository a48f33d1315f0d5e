"""Wake-up signal for long polls: `InspectCommit{wait}`, preemption, watches, log following.

A signal carries no data and may be lost or doubled: waiters re-read the state they wait for. Only rows are true.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Changes:
    """A counter of changes that threads can wait on."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._version = 0
        self._closed = False

    @property
    def version(self) -> int:
        """The number of notifications so far; pass it to `wait_newer`."""
        with self._condition:
            return self._version

    @property
    def closed(self) -> bool:
        """True once the server is stopping."""
        return self._closed

    def notify(self) -> None:
        """Say that something changed."""
        with self._condition:
            self._version += 1
            self._condition.notify_all()

    def close(self) -> None:
        """Wake every waiter for good; called when the server stops."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait_newer(self, version: int, timeout: float) -> int:
        """Return the counter once it passes `version`, `timeout` seconds passed or the server stops."""
        with self._condition:
            self._condition.wait_for(lambda: self._version > version or self._closed, timeout)
            return self._version

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Call `predicate` now and after every change until it is truthy; return its last value.

        `timeout` in seconds, None = for ever. The last value may be falsy when time ran out or the server stops. The
        predicate runs without the lock held and at least every 5 seconds, so a lost signal only delays.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            version = self.version
            value = predicate()
            left = 5.0 if deadline is None else deadline - time.monotonic()
            if value or left <= 0 or self._closed:
                return value
            self.wait_newer(version, min(left, 5.0))
