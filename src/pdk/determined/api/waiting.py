"""Long polls and followed streams without a thread each: asyncio waiters that the engines' signals wake.

One thread per signal waits for it and hands it to the event loop; whoever waits there looks again. Work on the database
runs in a small pool of threads that live as long as the server (each keeps one SQLite connection).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from pdk.determined.master.master import Master
from pdk.reconcile.changes import Changes

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 5.0


class Waker:
    """Lets coroutines wait for a `Changes`."""

    def __init__(self, changes: Changes, loop: asyncio.AbstractEventLoop) -> None:
        self._changes = changes
        self._loop = loop
        self._event = asyncio.Event()
        self._thread = threading.Thread(target=self._watch, name="waker", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """True once the server is stopping."""
        return self._changes.closed

    @property
    def event(self) -> asyncio.Event:
        """The event the next change sets; take it before looking at the state."""
        return self._event

    def _watch(self) -> None:
        version = self._changes.version
        while not self._changes.closed:
            newest = self._changes.wait_newer(version, LOOK_AGAIN_SECONDS)
            if newest != version or self._changes.closed:
                version = newest
                try:
                    self._loop.call_soon_threadsafe(self._fire)
                except RuntimeError:
                    return  # the event loop has ended, and with it everybody who could wait

    def _fire(self) -> None:
        fired, self._event = self._event, asyncio.Event()
        fired.set()


class Engines:
    """The master as coroutines use it."""

    def __init__(self, master: Master, pool: Executor, loop: asyncio.AbstractEventLoop) -> None:
        self.master = master
        self.pool = pool
        self._loop = loop
        self.tasks = Waker(master.signals.tasks, loop)
        self.logs = Waker(master.signals.logs, loop)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run blocking work in the pool."""
        return await self._loop.run_in_executor(self.pool, function, *arguments)

    async def until(self, waker: Waker, look: Callable[[], T | None], timeout: float) -> T | None:
        """Return what `look` finds, now or after a change; None after `timeout` seconds or when the server stops."""
        deadline = time.monotonic() + timeout
        while True:
            event = waker.event
            value = await self.run(look)
            left = deadline - time.monotonic()
            if value is not None or left <= 0 or waker.closed:
                return value
            await self.wait(event, left)

    async def wait(self, event: asyncio.Event, timeout: float = LOOK_AGAIN_SECONDS) -> None:
        """Wait for a change at most `timeout` seconds (and never longer than a lost signal may cost)."""
        try:
            await asyncio.wait_for(event.wait(), min(timeout, LOOK_AGAIN_SECONDS))
        except TimeoutError:
            return
