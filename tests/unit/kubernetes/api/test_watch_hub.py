"""Fan-out of changes, and its limits."""

import asyncio

import pytest
from waiting import wait_until

from pdk.db.database import Database
from pdk.kubernetes.api import watch_hub
from pdk.kubernetes.api.watch_hub import WatchHub
from pdk.kubernetes.errors import TooManyRequests
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes


def config_map(name):
    return {"metadata": {"name": name, "namespace": "models"}}


def run(scenario, store):
    """Run a coroutine with a started hub."""

    async def main():
        hub = WatchHub(store)
        hub.start(asyncio.get_running_loop())
        try:
            return await scenario(hub)
        finally:
            hub.stop()
            await asyncio.to_thread(hub.join)

    return asyncio.run(main())


def test_every_subscription_gets_what_it_asked_for_in_order(store, monkeypatch):
    async def scenario(hub):
        with hub.subscribe("configmaps", "") as everything, hub.subscribe("configmaps", "default") as elsewhere:
            await asyncio.to_thread(lambda: [store.create("configmaps", config_map(f"c{n}")) for n in range(50)])
            await asyncio.to_thread(store.create, "secrets", config_map("s"))
            await asyncio.to_thread(store.create, "configmaps", {"metadata": {"name": "last", "namespace": "default"}})
            first = [await asyncio.wait_for(everything.queue.get(), 5) for _ in range(51)]
            second = await asyncio.wait_for(elsewhere.queue.get(), 5)
        assert [change.event.object["metadata"]["name"] for change in first] == [*(f"c{n}" for n in range(50)), "last"]
        assert second is first[-1]
        monkeypatch.setattr(watch_hub, "WATCH_LIMIT", 1)
        hub.check_room()
        assert hub.revision == store.revision()

    run(scenario, store)


def test_a_watch_that_falls_behind_ends(store, monkeypatch):
    monkeypatch.setattr(watch_hub, "QUEUE_LIMIT", 3)

    async def scenario(hub):
        with hub.subscribe("configmaps", "models") as slow, hub.subscribe("secrets", "") as other:
            await asyncio.to_thread(lambda: [store.create("configmaps", config_map(f"c{n}")) for n in range(9)])
            await asyncio.to_thread(wait_until, lambda: slow.overflowed)
            queued = [slow.queue.get_nowait() for _ in range(slow.queue.qsize())]
        assert queued[-1] is None
        assert len(queued) == 4
        assert not other.overflowed

    run(scenario, store)


def test_more_changes_than_the_history_holds_end_every_watch(tmp_path):
    store = ObjectStore(Database(tmp_path / "short.db", OBJECT_MIGRATIONS), Changes(), history_rows=5)
    store.create("namespaces", {"metadata": {"name": "models"}})

    async def scenario(hub):
        with hub.subscribe("configmaps", "models") as watch, store.transaction():
            for number in range(20):
                store.create("configmaps", config_map(f"c{number}"))
        with hub.subscribe("configmaps", "models") as watch:
            with store.transaction():
                for number in range(20):
                    store.create("configmaps", config_map(f"d{number}"))
            assert await asyncio.wait_for(watch.queue.get(), 5) is None
            assert watch.overflowed

    run(scenario, store)


def test_there_is_a_limit_of_watches(store, monkeypatch):
    monkeypatch.setattr(watch_hub, "WATCH_LIMIT", 1)

    async def scenario(hub):
        hub.check_room()
        with hub.subscribe("pods", ""), pytest.raises(TooManyRequests):
            hub.check_room()
        hub.check_room()

    run(scenario, store)


def test_stopping_ends_watches_that_come_later_too(store):
    async def scenario(hub):
        with hub.subscribe("pods", "") as before:
            hub.stop()
            assert await before.queue.get() is None
        with hub.subscribe("pods", "") as after:
            assert await after.queue.get() is None

    run(scenario, store)
