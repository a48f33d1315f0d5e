"""Create, read, update, delete, optimistic concurrency, watch history."""

import pytest

from pdk.db.database import Database
from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.errors import (
    Expired,
    ObjectConflict,
    ObjectExists,
    ObjectForbidden,
    ObjectInvalid,
    ObjectNotFound,
    PathNotFound,
)
from pdk.kubernetes.store.deletion import Propagation
from pdk.kubernetes.store.objects import ObjectStore, Preconditions
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

ISVC = "inferenceservices.serving.kserve.io"


@pytest.fixture
def store(tmp_path):
    database = Database(tmp_path / "kube.db", OBJECT_MIGRATIONS)
    store = ObjectStore(database, Changes(), serving_resources(), history_rows=20)
    store.create("namespaces", {"metadata": {"name": "models"}})
    yield store
    database.close()


def update(store, resource, obj, **options):
    """Replace an object by another one, as a PUT does."""
    metadata = obj["metadata"]
    return store.edit(resource, metadata["namespace"], metadata["name"], lambda _old: obj, **options)


def isvc(name="churn", **spec):
    return {"metadata": {"name": name, "namespace": "models"}, "spec": spec or {"predictor": {"model": {}}}}


def owned(kind_resource, name, owner, **extra):
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return {"metadata": {"name": name, "namespace": "models", "ownerReferences": [reference]}, **extra}


def test_a_new_object_gets_identity_and_loses_its_status(store):
    created = store.create(ISVC, isvc() | {"status": {"url": "http://forged"}})
    metadata = created["metadata"]
    assert (created["apiVersion"], created["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert metadata["generation"] == 1
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"].endswith("Z")
    assert len(metadata["creationTimestamp"]) == 20
    assert metadata["resourceVersion"] == str(store.revision())
    assert "status" not in created
    assert store.get(ISVC, "models", "churn") == created


def test_the_texts_of_missing_and_existing_objects(store):
    with pytest.raises(ObjectNotFound, match=r'^inferenceservices\.serving\.kserve\.io "churn" not found$'):
        store.get(ISVC, "models", "churn")
    store.create(ISVC, isvc())
    with pytest.raises(ObjectExists, match=r'^inferenceservices\.serving\.kserve\.io "churn" already exists$'):
        store.create(ISVC, isvc())
    with pytest.raises(ObjectNotFound, match=r'^namespaces "nowhere" not found$'):
        store.create("secrets", {"metadata": {"name": "s", "namespace": "nowhere"}})
    with pytest.raises(PathNotFound):
        store.get("widgets.example.com", "models", "x")


def test_generate_name_adds_five_letters(store):
    names = {
        store.create("secrets", {"metadata": {"generateName": "kserve-secret-", "namespace": "models"}})["metadata"][
            "name"
        ]
        for _ in range(3)
    }
    assert len(names) == 3
    assert all(name.startswith("kserve-secret-") and len(name) == 19 for name in names)


@pytest.mark.parametrize("name", ["", "../../etc", "Upper", "a/b", "a" * 254, "-a", "a\0b", "ä"])
def test_names_that_are_not_dns_names_are_refused(store, name):
    with pytest.raises(ObjectInvalid, match=r"metadata\.name: "):
        store.create("configmaps", {"metadata": {"name": name, "namespace": "models"}})


def test_generation_counts_spec_changes_only(store):
    obj = store.create(ISVC, isvc())
    obj["metadata"]["labels"] = {"a": "b"}
    obj = update(store, ISVC, obj)
    assert obj["metadata"]["generation"] == 1
    obj = store.update_status(ISVC, obj | {"status": {"url": "u"}, "spec": {"ignored": True}})
    assert obj["metadata"]["generation"] == 1
    assert obj["spec"] == isvc()["spec"]
    obj = update(store, ISVC, obj | {"spec": {"predictor": {"minReplicas": 0}}, "status": {"url": "ignored"}})
    assert obj["metadata"]["generation"] == 2
    assert obj["status"] == {"url": "u"}


def test_a_stale_writer_gets_a_conflict_and_a_custom_resource_needs_a_version(store):
    first = store.create(ISVC, isvc())
    update(store, ISVC, first | {"spec": {"predictor": {"minReplicas": 2}}})
    with pytest.raises(ObjectConflict, match="the object has been modified; please apply your changes"):
        update(store, ISVC, first | {"spec": {"predictor": {"minReplicas": 3}}})
    with pytest.raises(ObjectInvalid, match=r"metadata\.resourceVersion: Invalid value: 0: must be specified"):
        update(store, ISVC, isvc())
    store.create("configmaps", {"metadata": {"name": "c", "namespace": "models"}})
    changed = update(store, "configmaps", {"metadata": {"name": "c", "namespace": "models"}, "data": {"k": "v"}})
    assert changed["data"] == {"k": "v"}


def test_an_update_of_nothing_keeps_the_resource_version(store):
    obj = store.create(ISVC, isvc())
    head = store.revision()
    assert update(store, ISVC, obj) == obj
    assert store.apply_owned(ISVC, isvc()) == obj
    assert store.revision() == head


def test_dry_run_changes_nothing(store):
    head = store.revision()
    assert store.create(ISVC, isvc(), dry_run=True)["metadata"]["uid"]
    assert store.find(ISVC, "models", "churn") is None
    obj = store.create(ISVC, isvc())
    assert update(store, ISVC, obj | {"spec": {"a": 1}}, dry_run=True)["metadata"]["generation"] == 2
    store.delete(ISVC, "models", "churn", dry_run=True)
    assert store.get(ISVC, "models", "churn") == obj
    assert store.revision() == head + 1


def test_edit_is_atomic_and_rolls_back_when_the_change_fails(store):
    store.create(ISVC, isvc())

    def fail(obj):
        obj["spec"] = {}
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.edit(ISVC, "models", "churn", fail)
    assert store.get(ISVC, "models", "churn")["spec"] == isvc()["spec"]
    edited = store.edit(ISVC, "models", "churn", lambda obj: obj | {"status": {"url": "u"}}, status=True)
    assert edited["status"] == {"url": "u"}


def test_apply_owned_replaces_labels_and_status_and_keeps_identity(store):
    pod = {"metadata": {"name": "p", "namespace": "models", "labels": {"a": "1"}}, "status": {"phase": "Pending"}}
    first = store.apply_owned("pods", pod)
    second = store.apply_owned(
        "pods", {"metadata": {"name": "p", "namespace": "models", "labels": {"b": "2"}}, "status": {"phase": "Running"}}
    )
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["metadata"]["labels"] == {"b": "2"}
    assert second["status"] == {"phase": "Running"}


def test_a_finalizer_holds_a_deleted_object_until_it_is_taken_off(store):
    obj = isvc()
    obj["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
    store.create(ISVC, obj)
    marked = store.delete(ISVC, "models", "churn")
    assert marked["metadata"]["deletionTimestamp"]
    assert store.delete(ISVC, "models", "churn") == marked
    del marked["metadata"]["finalizers"]
    update(store, ISVC, marked)
    assert store.find(ISVC, "models", "churn") is None


def test_deletion_collects_what_the_object_owned(store):
    service = store.create(ISVC, isvc())
    deployment = store.apply_owned("deployments.apps", owned("deployments.apps", "d", service))
    store.apply_owned("pods", owned("pods", "p", deployment))
    store.apply_owned("pods", {"metadata": {"name": "other", "namespace": "models"}})
    store.delete(ISVC, "models", "churn")
    assert [pod["metadata"]["name"] for pod in store.list("pods")[0]] == ["other"]
    assert store.list("deployments.apps")[0] == []


def test_orphan_and_foreground_propagation(store):
    service = store.create(ISVC, isvc())
    store.apply_owned("pods", owned("pods", "p", service))
    store.delete(ISVC, "models", "churn", propagation=Propagation.ORPHAN)
    assert "ownerReferences" not in store.get("pods", "models", "p")["metadata"]
    service = store.create(ISVC, isvc())
    held = owned("pods", "held", service)
    held["metadata"]["finalizers"] = ["x/drain"]
    store.apply_owned("pods", held)
    store.delete(ISVC, "models", "churn", propagation=Propagation.FOREGROUND)
    assert store.get(ISVC, "models", "churn")["metadata"]["finalizers"] == ["foregroundDeletion"]
    store.edit("pods", "models", "held", lambda pod: pod | {"metadata": pod["metadata"] | {"finalizers": []}})
    assert store.find("pods", "models", "held") is None
    assert store.find(ISVC, "models", "churn") is None


def test_sweep_collects_dependents_of_an_owner_that_went_before(store):
    service = store.create(ISVC, isvc())
    store.delete(ISVC, "models", "churn")
    store.apply_owned("pods", owned("pods", "late", service))
    assert store.sweep() == 1
    assert store.find("pods", "models", "late") is None


def test_sweep_forgets_old_events(store):
    for name, last in (("old", "2020-01-01T00:00:00Z"), ("new", None), ("odd", "yesterday")):
        store.create("events", {"metadata": {"name": name, "namespace": "models"}, "lastTimestamp": last})
    store.sweep()
    assert [event["metadata"]["name"] for event in store.list("events")[0]] == ["new", "odd"]


def test_preconditions(store):
    obj = store.create(ISVC, isvc())
    with pytest.raises(ObjectConflict, match="UID in precondition: other"):
        store.delete(ISVC, "models", "churn", Preconditions(uid="other"))
    store.delete(ISVC, "models", "churn", Preconditions(obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]))
    assert store.find(ISVC, "models", "churn") is None


def test_a_deleted_namespace_takes_its_content_along(store):
    held = isvc()
    held["metadata"]["finalizers"] = ["x/y"]
    store.create(ISVC, held)
    store.create("secrets", {"metadata": {"name": "s", "namespace": "models"}})
    store.delete("namespaces", "", "models")
    assert store.list("secrets", "models")[0] == []
    assert store.get("namespaces", "", "models")["status"] == {"phase": "Terminating"}
    with pytest.raises(ObjectForbidden, match="because it is being terminated"):
        store.create("secrets", {"metadata": {"name": "t", "namespace": "models"}})
    store.edit(ISVC, "models", "churn", lambda obj: obj | {"metadata": obj["metadata"] | {"finalizers": None}})
    assert store.find("namespaces", "", "models") is None
    store.create("namespaces", {"metadata": {"name": "default"}})
    with pytest.raises(ObjectForbidden, match="this namespace may not be deleted"):
        store.delete("namespaces", "", "default")


def test_changes_since_gives_every_change_in_order(store):
    start = store.revision()
    obj = store.create(ISVC, isvc())
    store.create("secrets", {"metadata": {"name": "s", "namespace": "models"}})
    update(store, ISVC, obj | {"spec": {"x": 1}})
    store.delete(ISVC, "models", "churn")
    events = store.changes_since(start, ISVC, "models")
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert [str(event.revision) for event in events] == [e.object["metadata"]["resourceVersion"] for e in events]
    assert events[1].previous == obj
    assert store.changes_since(store.revision()) == []


def test_a_watcher_too_far_behind_or_ahead_is_told_to_list_again(store):
    start = store.revision()
    for index in range(25):
        store.create("configmaps", {"metadata": {"name": f"c{index}", "namespace": "models"}})
    with pytest.raises(Expired, match=rf"^too old resource version: {start} \("):
        store.changes_since(start)
    assert len(store.changes_since(store.revision() - 20)) == 20
    with pytest.raises(Expired):
        store.changes_since(store.revision() + 1)


def test_every_commit_notifies_once_it_can_be_read(store):
    before = store.changes.version
    with store.transaction():
        store.create(ISVC, isvc())
        assert store.changes.version == before
    assert store.changes.version > before


def test_state_survives_reopening(tmp_path):
    first = Database(tmp_path / "k.db", OBJECT_MIGRATIONS)
    store = ObjectStore(first, Changes(), serving_resources())
    store.create("namespaces", {"metadata": {"name": "models"}})
    created = store.create(ISVC, isvc())
    first.close()
    second = Database(tmp_path / "k.db", OBJECT_MIGRATIONS)
    reopened = ObjectStore(second, Changes(), serving_resources())
    assert reopened.get(ISVC, "models", "churn") == created
    assert [event.type for event in reopened.changes_since(0, ISVC)] == ["ADDED"]
    second.close()
