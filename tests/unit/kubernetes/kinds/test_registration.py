"""A kind of somebody else's, registered as those of Kubernetes are: what the API does with it."""

import dataclasses

import pytest

from pdk.db.database import Database
from pdk.kubernetes.errors import AdmissionDenied, MethodNotAllowed, ObjectInvalid, PathNotFound
from pdk.kubernetes.kinds.builtin import BUILT_IN
from pdk.kubernetes.kinds.columns import NAME, Column, at
from pdk.kubernetes.kinds.names import required
from pdk.kubernetes.kinds.pods import POD
from pdk.kubernetes.kinds.resource import Resource, Resources
from pdk.kubernetes.kinds.schemas import any_object, integer, obj
from pdk.kubernetes.store.definitions import DEFINITIONS, install_definitions
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes


def admit(old, new):
    if at(new, "spec", "size") == 13:
        raise AdmissionDenied("widgets.example.com", "13 is unlucky")
    return new | {"spec": {"size": 1} | new["spec"]}


def settle(widget):
    if at(widget, "spec", "size") == 0:
        raise ObjectInvalid("Widget.example.com", widget["metadata"]["name"], [required("spec.size")])


WIDGET = Resource(
    "example.com",
    "v1",
    "Widget",
    "widgets",
    short_names=("wd",),
    has_status=True,
    is_custom=True,
    fields={"spec": obj({"size": integer()}), "status": any_object()},
    columns=(NAME, Column("Size", lambda widget: at(widget, "spec", "size"), "integer", path=".spec.size")),
    selectable=frozenset({"spec.size"}),
    admit=admit,
    settle=settle,
)


def widget(name, **spec):
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


@pytest.fixture
def store(tmp_path):
    database = Database(tmp_path / "kube.db", OBJECT_MIGRATIONS)
    resources = Resources([*BUILT_IN, dataclasses.replace(POD, refusal="pods are widgets' own"), WIDGET])
    store = ObjectStore(database, Changes(), resources)
    store.create("namespaces", {"metadata": {"name": "default"}})
    yield store
    database.close()


def test_the_store_keeps_its_rules_and_selectors(store):
    store.create(WIDGET.key, widget("a", size=3) | {"status": {"x": 1}})
    store.create(WIDGET.key, widget("b", size=4))
    assert [each["metadata"]["name"] for each in store.list(WIDGET.key, field_selector="spec.size=4")[0]] == ["b"]
    assert "status" not in store.get(WIDGET.key, "default", "a")
    with pytest.raises(ObjectInvalid):
        store.create(WIDGET.key, widget("c", size=0))


def test_a_definition_shows_it_to_clients(store):
    install_definitions(store)
    spec = store.get(DEFINITIONS, "", "widgets.example.com")["spec"]
    assert spec["names"]["shortNames"] == ["wd"]
    version = spec["versions"][0]
    assert version["additionalPrinterColumns"] == [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    assert version["subresources"] == {"status": {}}


def test_a_later_registration_takes_the_place_of_an_earlier_one(store):
    resources = store.resources
    assert resources["pods"].refusal == "pods are widgets' own"
    assert [each.key for each in resources] == [each.key for each in (*BUILT_IN, WIDGET) if not each.view_of]
    with pytest.raises(PathNotFound):
        Resources(BUILT_IN)[WIDGET.key]


def test_the_api_admits_validates_and_refuses_as_it_says(api, store):
    path = "/apis/example.com/v1/namespaces/default/widgets"
    assert api.call("POST", path, widget("a"))[1]["spec"] == {"size": 1}
    code, status = api.call("POST", path, widget("b", size=13))
    assert (code, status["message"]) == (
        403,
        'admission webhook "widgets.example.com" denied the request: 13 is unlucky',
    )
    assert api.call("GET", f"{path}/a", accept="application/json;as=Table;v=v1;g=meta.k8s.io")[1]["rows"][0][
        "cells"
    ] == ["a", 1]
    pod = {"metadata": {"name": "p", "namespace": "default"}}
    code, status = api.call("POST", "/api/v1/namespaces/default/pods", pod)
    assert (code, status["message"]) == (
        405,
        'create is not supported on resources of kind "pods": pods are widgets\' own',
    )
    assert MethodNotAllowed.reason == status["reason"]
