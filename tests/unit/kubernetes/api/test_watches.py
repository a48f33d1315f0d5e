"""Watch streams: bookmarks, deadlines, forms; selectors and resumption are tested through the Python client."""

import asyncio
import json
import threading

import pytest

from pdk.kubernetes.api import watches
from pdk.kubernetes.api.http import Request
from pdk.kubernetes.api.routes import Target
from pdk.kubernetes.api.watch_hub import WatchHub
from pdk.kubernetes.api.watches import Watches
from pdk.kubernetes.errors import BadRequest


def config_map(name, **labels):
    return {"metadata": {"name": name, "namespace": "models", "labels": labels}}


def collect(store, during=lambda: None, accept="*/*", resource="configmaps", namespace="models", name="", **query):
    """Return the events of a watch; `during` changes things once it is open."""

    async def main():
        hub = WatchHub(store)
        hub.start(asyncio.get_running_loop())
        request = Request("GET", (), {"watch": "true", "timeoutSeconds": "1"} | query, {"accept": accept})
        try:
            stream = Watches(store, hub).watch(Target(store.resources[resource], namespace, name), request)
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, lambda: loop.run_in_executor(None, during))
            text = b"".join([chunk async for chunk in stream.body_iterator])
        finally:
            hub.stop()
            await asyncio.to_thread(hub.join)
        return [json.loads(line) for line in text.splitlines()]

    return asyncio.run(main())


def kinds(events):
    return [(event["type"], event["object"]["metadata"].get("name")) for event in events]


def test_changes_and_bookmarks(store, monkeypatch):
    monkeypatch.setattr(watches, "BOOKMARK_SECONDS", 0.3)
    revision = str(store.revision())
    events = collect(
        store,
        lambda: store.create("configmaps", config_map("new")),
        resourceVersion=revision,
        allowWatchBookmarks="true",
    )
    assert kinds(events)[0] == ("ADDED", "new")
    assert {event["type"] for event in events[1:]} == {"BOOKMARK"}
    assert events[-1]["object"] == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": str(store.revision())},
    }


def test_no_bookmarks_unasked(store, monkeypatch):
    monkeypatch.setattr(watches, "BOOKMARK_SECONDS", 0.1)
    assert collect(store, resourceVersion=str(store.revision())) == []


def test_a_streaming_list_says_where_the_list_ends(store):
    store.create("configmaps", config_map("old"))
    events = collect(
        store,
        lambda: store.create("configmaps", config_map("new")),
        sendInitialEvents="true",
        resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks="true",
    )
    assert kinds(events)[:3] == [("ADDED", "old"), ("BOOKMARK", None), ("ADDED", "new")]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_tables_and_metadata_are_watched_as_well(store):
    store.create("configmaps", config_map("one"))
    table = collect(store, accept="application/json;as=Table;v=v1;g=meta.k8s.io")[0]
    assert table["object"]["rows"][0]["cells"][0] == "one"
    partial = collect(store, accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")[0]
    assert partial["object"]["kind"] == "PartialObjectMetadata"


def test_one_object_by_its_name(store):
    for name in ("one", "two"):
        store.create("configmaps", config_map(name))
    assert kinds(collect(store, name="two")) == [("ADDED", "two")]


def test_everything_is_seen_once_however_the_changes_race_with_the_start(store):
    revision = str(store.revision())

    def change():
        for number in range(100):
            store.create("configmaps", config_map(f"c{number}"))

    writer = threading.Thread(target=change)
    writer.start()
    events = collect(store, resourceVersion=revision, timeoutSeconds="2")
    writer.join()
    assert [event["object"]["metadata"]["name"] for event in events] == [f"c{number}" for number in range(100)]


def test_a_version_from_the_future_or_the_past_is_one_error_event(store):
    events = collect(store, resourceVersion="999999")
    assert [event["type"] for event in events] == ["ERROR"]
    assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")


def test_selectors_are_checked_before_the_stream_starts(store):
    with pytest.raises(BadRequest):
        collect(store, fieldSelector="data=x")
