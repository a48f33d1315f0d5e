"""What garbage collection must leave alone although no commit refers to it yet: chunks being written, trees being read.

Used by `chunks.py`, `filesets.py` and `garbage.py`. All in memory: after a crash nothing is in flight.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable


class Pins:
    """Counted pins on hashes.

    A pin taken off while a collection runs stays in force until that collection ends: what it protected may have been
    committed after the collection looked at the commits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[bytes] = Counter()
        self._collecting = False
        self._released: list[bytes] = []

    def add(self, digest: bytes) -> None:
        """Pin a hash, whether or not anything is stored under it. Pin before looking whether it exists."""
        with self._lock:
            self._counts[digest] += 1

    def release(self, digests: Iterable[bytes]) -> None:
        """Take off one pin of each."""
        with self._lock:
            if self._collecting:
                self._released += digests
            else:
                self._drop(digests)

    def _drop(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            self._counts[digest] -= 1
            if self._counts[digest] <= 0:
                del self._counts[digest]

    def begin_collection(self) -> bool:
        """From now on keep released pins in force; False when a collection already runs."""
        with self._lock:
            if self._collecting:
                return False
            self._collecting = True
            return True

    def end_collection(self) -> None:
        """Let go of the pins released meanwhile."""
        with self._lock:
            self._collecting = False
            released, self._released = self._released, []
            self._drop(released)

    def unless_pinned(self, digest: bytes, action: Callable[[], None]) -> bool:
        """Run `action` while nobody can pin `digest`; False, and nothing done, when it is pinned."""
        with self._lock:
            if digest in self._counts:
                return False
            action()
            return True

    def pinned(self) -> list[bytes]:
        """Return the hashes pinned now."""
        with self._lock:
            return list(self._counts)
