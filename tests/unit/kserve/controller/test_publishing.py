"""Events are written, counted, cut."""

import pytest

from pdk.db.database import Database
from pdk.kserve.controller.publishing import MAX_MESSAGE, EventType, record_event
from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes


@pytest.fixture
def store(tmp_path):
    store = ObjectStore(Database(tmp_path / "db", OBJECT_MIGRATIONS), Changes(), serving_resources())
    store.create("namespaces", {"metadata": {"name": "ns"}})
    return store


@pytest.fixture
def isvc(store):
    return store.create(
        "inferenceservices.serving.kserve.io", {"metadata": {"name": "churn", "namespace": "ns"}, "spec": {}}
    )


def test_the_same_event_is_counted(store, isvc):
    record_event(store, isvc, EventType.NORMAL, "Ready", "it is")
    record_event(store, isvc, EventType.NORMAL, "Ready", "it is")
    record_event(store, isvc, EventType.WARNING, "NotReady", "it is not")
    events = {event["reason"]: event for event in store.list("events", "ns")[0]}
    assert events["Ready"]["count"] == 2
    assert events["NotReady"]["type"] == "Warning"
    assert events["Ready"]["involvedObject"]["uid"] == isvc["metadata"]["uid"]
    found, _ = store.list("events", "ns", field_selector=f"involvedObject.uid={isvc['metadata']['uid']}")
    assert len(found) == 2


def test_long_messages_are_cut(store, isvc):
    record_event(store, isvc, EventType.WARNING, "Long", "x" * 5000)
    (event,) = store.list("events", "ns")[0]
    assert len(event["message"]) == MAX_MESSAGE


def test_no_event_goes_into_a_namespace_that_is_gone(store, isvc):
    gone = {**isvc, "metadata": {**isvc["metadata"], "namespace": "gone"}}
    record_event(store, gone, EventType.NORMAL, "Ready", "it is")
    assert store.list("events")[0] == []
