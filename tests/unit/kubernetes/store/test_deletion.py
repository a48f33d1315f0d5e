"""Deletion under less usual circumstances; the usual ones are in test_objects.py."""

import pytest

from pdk.db.database import Database
from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.store.deletion import Propagation
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes


@pytest.fixture
def store(tmp_path):
    database = Database(tmp_path / "kube.db", OBJECT_MIGRATIONS)
    store = ObjectStore(database, Changes(), serving_resources())
    store.create("namespaces", {"metadata": {"name": "models"}})
    yield store
    database.close()


def update(store, resource, obj, **options):
    """Replace an object by another one, as a PUT does."""
    metadata = obj["metadata"]
    return store.edit(resource, metadata["namespace"], metadata["name"], lambda _old: obj, **options)


def make(store, name, *owners):
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        for owner in owners
    ]
    return store.create(
        "configmaps", {"metadata": {"name": name, "namespace": "models", "ownerReferences": references}}
    )


def names(store):
    return [obj["metadata"]["name"] for obj in store.list("configmaps")[0]]


def test_one_owner_left_is_enough(store):
    first, second = make(store, "first"), make(store, "second")
    make(store, "shared", first, second)
    store.delete("configmaps", "models", "first")
    shared = store.get("configmaps", "models", "shared")
    assert [reference["name"] for reference in shared["metadata"]["ownerReferences"]] == ["second"]
    store.delete("configmaps", "models", "second")
    assert names(store) == []


def test_chains_and_circles_of_owners_end(store):
    first = make(store, "a")
    second = make(store, "b", first)
    make(store, "c", second)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": second["metadata"]["uid"]}
    store.edit(
        "configmaps", "models", "a", lambda a: a | {"metadata": a["metadata"] | {"ownerReferences": [reference]}}
    )
    store.delete("configmaps", "models", "c", propagation=Propagation.FOREGROUND)
    assert names(store) == ["a", "b"]
    store.delete("configmaps", "models", "a")
    assert names(store) == []


def test_foreground_deletion_goes_down_the_chain_first(store):
    top = make(store, "top")
    middle = make(store, "middle", top)
    make(store, "leaf", middle)
    start = store.revision()
    store.delete("configmaps", "models", "top", propagation=Propagation.FOREGROUND)
    deleted = [e.object["metadata"]["name"] for e in store.changes_since(start) if e.type == "DELETED"]
    assert deleted == ["leaf", "middle", "top"]


def test_a_deletion_is_one_change_on_disk(store):
    top = make(store, "top")
    make(store, "leaf", top)
    head = store.revision()
    with pytest.raises(RuntimeError), store.transaction():
        store.delete("configmaps", "models", "top")
        raise RuntimeError
    assert names(store) == ["leaf", "top"]
    assert store.revision() == head


def test_an_owner_whose_dependent_was_given_away_is_not_stuck(store):
    top = make(store, "top")
    leaf = make(store, "leaf", top)
    held = leaf | {"metadata": leaf["metadata"] | {"finalizers": ["x/y"]}}
    update(store, "configmaps", held)
    store.delete("configmaps", "models", "top", propagation=Propagation.FOREGROUND)
    store.edit(
        "configmaps", "models", "leaf", lambda obj: obj | {"metadata": obj["metadata"] | {"ownerReferences": []}}
    )
    assert "top" in names(store)
    store.sweep()
    assert names(store) == ["leaf"]


def test_a_deletion_that_reaches_an_object_on_two_ways_deletes_it_once(store):
    top = make(store, "top")
    first = make(store, "first", top)
    make(store, "second", top, first)
    start = store.revision()
    store.delete("configmaps", "models", "top")
    deleted = [e.object["metadata"]["name"] for e in store.changes_since(start) if e.type == "DELETED"]
    assert deleted == ["top", "first", "second"]
