"""The keyed, level-triggered work loop behind pipelines and jobs, trials, and InferenceServices.

`enqueue(key)` only says "look again at this key": `reconcile(key)` must read the present state and move it one step
nearer to what is wanted. One key is handled by one worker at a time; a key enqueued while it is being handled is
handled once more. A periodic resync enqueues every key, which repairs lost signals and resumes after a restart.

Mirrors the shape of a Kubernetes controller's work queue and of Pachyderm's pipeline controller.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

# The longest pause before a key whose look failed is looked at again.
MAX_BACKOFF_SECONDS = 30.0


class Reconciler:
    """Worker threads over a queue of distinct keys.

    `reconcile(key)` returns None when the key is settled for now, or seconds after which to look again. What it raises
    is logged with its traceback and retried with growing delay (0.5 s doubled up to MAX_BACKOFF_SECONDS).
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[str], float | None],
        list_keys: Callable[[], Iterable[str]],
        resync_seconds: float = 10.0,
        workers: int = 2,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._list_keys = list_keys
        self._resync_seconds = resync_seconds
        self._condition = threading.Condition()
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._stopping = False
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True) for i in range(workers)]
        self._threads.append(threading.Thread(target=self._resync, name=f"{name}-resync", daemon=True))

    def start(self) -> None:
        """Start the workers and the resync thread (whose first round runs at once)."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Ask the workers to end after their present key and wait up to `timeout` seconds in all."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def enqueue(self, key: str, delay: float = 0.0) -> None:
        """Look at `key` after `delay` seconds, or sooner if it is already due sooner."""
        due = time.monotonic() + delay
        with self._condition:
            if key in self._due and self._due[key] <= due:
                return
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            # All: the resync thread waits on the same condition, and a worker waiting for a later key must look again.
            self._condition.notify_all()

    def _next_key(self) -> str | None:
        with self._condition:
            while not self._stopping:
                delay = self._pop_stale()
                if delay is not None and delay <= 0:
                    key = heapq.heappop(self._heap)[1]
                    del self._due[key]
                    self._busy.add(key)
                    return key
                self._condition.wait(delay)
            return None

    def _pop_stale(self) -> float | None:
        """Drop heap entries superseded by a sooner one, put busy keys off; return seconds to the first one left."""
        while self._heap:
            due, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)
            elif key in self._busy and due <= time.monotonic():
                # Its worker re-queues it when done (see _work): until then the entry stays in _due, off the heap.
                heapq.heappop(self._heap)
            else:
                return due - time.monotonic()
        return None

    def _work(self) -> None:
        while (key := self._next_key()) is not None:
            delay = self._handle(key)
            with self._condition:
                self._busy.discard(key)
                if key in self._due:
                    heapq.heappush(self._heap, (self._due[key], key))
                self._condition.notify_all()
            if delay is not None:
                self.enqueue(key, delay)

    def _handle(self, key: str) -> float | None:
        try:
            delay = self._reconcile(key)
        except Exception:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = min(0.5 * 2.0 ** min(failures - 1, 10), MAX_BACKOFF_SECONDS)
            logger.exception("%s %s failed; again in %.1f s", self.name, key, delay)
            return delay
        self._failures.pop(key, None)
        return delay

    def _resync(self) -> None:
        while not self._stopping:
            try:
                for key in self._list_keys():
                    self.enqueue(key)
            except Exception:
                logger.exception("%s: resync failed", self.name)
            with self._condition:
                self._condition.wait_for(lambda: self._stopping, self._resync_seconds)
