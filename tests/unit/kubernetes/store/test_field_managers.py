"""managedFields and server-side apply."""

import copy

import pytest

from pdk.kubernetes.errors import FieldManagerConflict
from pdk.kubernetes.store.field_managers import apply, own, track

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c", "labels": {"a": "1"}},
    "data": {"x": "1", "y": "1"},
}


def managers(obj):
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", [])
    }


def changed(obj, **data):
    return obj | {"data": obj["data"] | data}


def applied(live, config, manager, force=False):
    return apply(live, config, manager, force, lambda obj: obj)


def test_a_writer_owns_what_it_changed():
    obj = track({}, CONFIG, "one")
    assert managers(obj) == {
        ("one", "Update"): {"f:metadata": {"f:labels": {"f:a": {}}}, "f:data": {"f:x": {}, "f:y": {}}}
    }
    obj = track(obj, changed(obj, x="2"), "two")
    assert managers(obj)["two", "Update"] == {"f:data": {"f:x": {}}}
    assert managers(obj)["one", "Update"]["f:data"] == {"f:y": {}}
    gone = obj | {"data": {"y": "1"}}
    assert ("two", "Update") not in managers(track(obj, gone, "three"))
    assert track(obj, obj, "four") is obj


def test_applying_removes_what_is_named_no_more():
    obj = own(copy.deepcopy(CONFIG), "me")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "2"}}
    obj = applied(obj, config, "me")
    assert obj["data"] == {"x": "2"}
    assert obj["metadata"].get("labels") == {}
    assert managers(obj) == {("me", "Apply"): {"f:data": {"f:x": {}}}}


def test_what_another_owns_too_stays():
    obj = own(copy.deepcopy(CONFIG), "me")
    obj = applied(obj, CONFIG, "you")
    obj = applied(obj, CONFIG | {"data": {}}, "me")
    assert obj["data"] == {"x": "1", "y": "1"}


def test_conflicts_name_manager_and_field():
    obj = own(copy.deepcopy(CONFIG), "me")
    with pytest.raises(
        FieldManagerConflict, match=r'Apply failed with 1 conflict: conflict with "me": \.data\.x'
    ) as caught:
        applied(obj, changed(CONFIG, x="2"), "you")
    assert caught.value.details.causes[0].field == ".data.x"
    with pytest.raises(FieldManagerConflict, match="Apply failed with 2 conflicts"):
        applied(obj, changed(CONFIG, x="2", y="2"), "you")
    forced = applied(obj, changed(CONFIG, x="2"), "you", force=True)
    assert forced["data"]["x"] == "2"
    assert "f:x" not in managers(forced)["me", "Apply"]["f:data"]
    assert applied(forced, changed(CONFIG, x="2"), "you")["metadata"] == forced["metadata"]


def test_values_are_compared_as_admission_leaves_them():
    def admit(obj):
        return obj | {"spec": {"model": obj["spec"].get("pytorch", obj["spec"].get("model"))}}

    config = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}, "spec": {"pytorch": 1}}
    live = admit(track({}, config, "other"))
    assert apply(live, config, "me", False, admit)["spec"] == {"model": 1}


def test_finer_entries_of_clients_are_read_as_ours():
    entry = {"manager": "csa", "operation": "Update", "fieldsV1": {"f:spec": {".": {}, "f:predictor": {"f:model": {}}}}}
    live = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x", "managedFields": [entry]}, "spec": {"a": 1}}
    with pytest.raises(FieldManagerConflict, match=r'"csa": \.spec'):
        applied(live, live | {"spec": {"a": 2}}, "me")
    strange = live | {"metadata": {"name": "x", "managedFields": [{"manager": 1}, {"fieldsV1": "no"}]}}
    assert applied(strange, live | {"spec": {"a": 2}}, "me")["spec"] == {"a": 2}


@pytest.mark.parametrize("data", [True, "text", ["x"], 1])
def test_what_should_be_a_map_and_is_something_else_is_one_field(data):
    odd = CONFIG | {"data": data}
    obj = track(CONFIG, odd, "one")
    assert managers(obj)["one", "Update"]["f:data"] == {}
    # Applying members puts a map in its place, and no longer applying it removes it.
    assert applied(obj, CONFIG, "two", force=True)["data"] == CONFIG["data"]
    assert "data" not in applied(applied(CONFIG, odd, "two"), {k: v for k, v in CONFIG.items() if k != "data"}, "two")
    assert applied(own(copy.deepcopy(CONFIG), "me") | {"data": data}, CONFIG | {"data": {}}, "me")["data"] == data
