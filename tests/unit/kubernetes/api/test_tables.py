"""Which form of objects a client gets."""

import pytest

from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.api.tables import Form, NotAcceptable, View, negotiate, show_list

PODS = serving_resources()["pods"]
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "resourceVersion": "3"}, "spec": {}}


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.WHOLE),
        ("*/*", Form.WHOLE),
        ("application/json, */*", Form.WHOLE),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Form.TABLE),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.WHOLE),
        ("application/json; as=PartialObjectMetadataList; g=meta.k8s.io; v=v1", Form.METADATA),
        ("application/vnd.kubernetes.protobuf,application/json", Form.WHOLE),
    ],
)
def test_accept(accept, form):
    assert negotiate(accept).form == form


@pytest.mark.parametrize("accept", ["text/html", "application/json;as=Picture", "application/yaml"])
def test_nothing_fits(accept):
    with pytest.raises(NotAcceptable):
        negotiate(accept)


def test_rows_carry_what_was_asked_for():
    def row(include):
        return show_list(negotiate("application/json;as=Table;v=v1;g=meta.k8s.io", include), PODS, [POD], 9)["rows"][0]

    assert "object" not in row("None")
    assert row("")["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": POD["metadata"],
    }
    assert row("Object")["object"] == POD


def test_lists_say_where_a_watch_continues():
    for form in (Form.WHOLE, Form.TABLE, Form.METADATA):
        listed = show_list(View(form), PODS, [POD], 9)
        assert listed["metadata"] == {"resourceVersion": "9"}
        assert listed["kind"]
        assert listed["apiVersion"]
