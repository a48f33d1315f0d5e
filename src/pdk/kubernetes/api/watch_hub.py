"""Hands every change of the object store to the watches that are open, reading each from the database once.

One thread waits for the store's signal and reads the new rows; the event loop puts them into the queue of each watch
they concern. A watch that cannot keep up is told to list again, so no client can make the server hold its backlog.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from pdk.kubernetes.errors import Expired, TooManyRequests
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import WatchEvent

logger = logging.getLogger(__name__)

# Changes a watch may be behind before it has to list again.
QUEUE_LIMIT = 2000
# Watches open at one time.
WATCH_LIMIT = 1000
IDLE_SECONDS = 5.0


@dataclass
class Change:
    """One change and its encodings: watches of one kind that see it the same way share the bytes."""

    event: WatchEvent
    encoded: dict[object, bytes] = field(default_factory=dict)


class Subscription:
    """The changes of one resource (in one namespace, "" = all) for one watch, in order."""

    def __init__(self, resource: str, namespace: str) -> None:
        self.resource = resource
        self.namespace = namespace
        # None: nothing more comes; list again or reconnect.
        self.queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self.overflowed = False

    def wants(self, event: WatchEvent) -> bool:
        """Tell whether a change concerns this watch."""
        return event.resource == self.resource and self.namespace in ("", event.namespace)

    def offer(self, change: Change) -> None:
        """Queue a change, unless the watch is too far behind."""
        if self.overflowed:
            return
        if self.queue.qsize() >= QUEUE_LIMIT:
            self.end()
            return
        self.queue.put_nowait(change)

    def end(self) -> None:
        """Say that the watch misses changes from here on."""
        self.overflowed = True
        self.queue.put_nowait(None)


class WatchHub:
    """Fans changes out. Everything but `start` and `stop` runs on the event loop."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._subscriptions: set[Subscription] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._read_changes, name="watch-hub", daemon=True)
        # Every change up to this resourceVersion has been queued.
        self.revision = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start reading changes for watches on `loop`."""
        self._loop = loop
        self.revision = self._store.revision()
        self._thread.start()

    def stop(self) -> None:
        """End every watch; called on the event loop."""
        self.stopping.set()
        self._store.changes.notify()
        for subscription in list(self._subscriptions):
            subscription.queue.put_nowait(None)

    def join(self) -> None:
        """Wait for the reading thread to end."""
        self._thread.join(IDLE_SECONDS + 1)

    def check_room(self) -> None:
        """Raise TooManyRequests when no further watch may be opened."""
        if len(self._subscriptions) >= WATCH_LIMIT:
            raise TooManyRequests(f"{WATCH_LIMIT} watches are open already; close some or try again later")

    @contextlib.contextmanager
    def subscribe(self, resource: str, namespace: str) -> Iterator[Subscription]:
        """Queue the changes of a resource from now on."""
        subscription = Subscription(resource, namespace)
        self._subscriptions.add(subscription)
        if self.stopping.is_set():
            subscription.queue.put_nowait(None)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def _read_changes(self) -> None:
        revision = self.revision
        version = -1
        while not self.stopping.is_set() and not self._store.changes.closed:
            version = self._store.changes.wait_newer(version, IDLE_SECONDS)
            try:
                events = self._store.changes_since(revision)
            except Expired:
                # More changed since the last look than the history holds: only a new list can help.
                revision = self._store.revision()
                self._call(self._end_all, revision)
                continue
            if events:
                revision = events[-1].revision
                self._call(self._publish, [Change(event) for event in events])

    def _call(self, function: object, argument: object) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function, argument)  # type: ignore[arg-type]

    def _publish(self, changes: list[Change]) -> None:
        for change in changes:
            for subscription in self._subscriptions:
                if subscription.wants(change.event):
                    subscription.offer(change)
        self.revision = changes[-1].event.revision

    def _end_all(self, revision: int) -> None:
        logger.warning("more changes than the watch history holds: %d watches end", len(self._subscriptions))
        for subscription in self._subscriptions:
            subscription.end()
        self.revision = revision
