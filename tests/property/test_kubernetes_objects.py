"""Random writes to the object store: a watcher that replays the history always sees what a list shows."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from pdk.base.errors import PdkError
from pdk.db.database import Database
from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.store.deletion import Propagation
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

NAMES = ("a", "b", "c", "d")
CONFIG_MAPS = "configmaps"

name = st.sampled_from(NAMES)
operation = st.one_of(
    st.tuples(st.just("create"), name, st.sets(name), st.booleans()),
    st.tuples(st.just("update"), name, st.sampled_from(["x", "y"])),
    st.tuples(st.just("delete"), name, st.sampled_from(Propagation)),
    st.tuples(st.just("release"), name),
    st.tuples(st.just("sweep")),
)


def create(store, name, owners, held):
    references = []
    for owner in sorted(owners):
        known = store.find(CONFIG_MAPS, "models", owner)
        uid = known["metadata"]["uid"] if known else f"gone-{owner}"
        references.append({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid})
    metadata = {"name": name, "namespace": "models", "ownerReferences": references}
    store.create(CONFIG_MAPS, {"metadata": metadata | ({"finalizers": ["x/y"]} if held else {})})


def update(store, name, value):
    store.edit(CONFIG_MAPS, "models", name, lambda obj: obj | {"data": {"value": value}})


def delete(store, name, propagation):
    store.delete(CONFIG_MAPS, "models", name, propagation=propagation)


def release(store, name):
    def without_finalizer(obj):
        left = [finalizer for finalizer in obj["metadata"].get("finalizers", []) if finalizer != "x/y"]
        return obj | {"metadata": obj["metadata"] | {"finalizers": left}}

    store.edit(CONFIG_MAPS, "models", name, without_finalizer)


ACTIONS = {
    "create": create,
    "update": update,
    "delete": delete,
    "release": release,
    "sweep": lambda store: store.sweep(),
}


def replay(seen, events):
    for event in events:
        key = event.object["metadata"]["name"]
        if event.type == "ADDED":
            assert key not in seen
        else:
            assert key in seen
        if event.type == "MODIFIED":
            assert event.previous == seen[key]
        if event.type == "DELETED":
            del seen[key]
        else:
            seen[key] = event.object


@settings(max_examples=60, deadline=None)
@given(st.lists(operation, max_size=25))
def test_watching_and_listing_agree(tmp_path_factory, operations):
    database = Database(tmp_path_factory.mktemp("objects") / "kube.db", OBJECT_MIGRATIONS)
    try:
        store = ObjectStore(database, Changes(), serving_resources())
        store.create("namespaces", {"metadata": {"name": "models"}})
        revision, seen = store.revision(), {}
        for action, *arguments in operations:
            with contextlib.suppress(PdkError):
                ACTIONS[action](store, *arguments)
            replay(seen, store.changes_since(revision, CONFIG_MAPS))
            objects, revision = store.list(CONFIG_MAPS)
            assert sorted(seen) == [obj["metadata"]["name"] for obj in objects]
            assert list(seen[obj["metadata"]["name"]] for obj in objects) == objects
            check(store, objects)
    finally:
        database.close()


def check(store, objects):
    """Nothing that is marked for deletion stays unless a finalizer holds it."""
    for obj in objects:
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            assert metadata.get("finalizers"), "marked, held by nothing, and still there"
