"""Label and field selectors."""

import pytest

from pdk.kubernetes.errors import BadRequest
from pdk.kubernetes.kinds.pods import POD as POD_RESOURCE
from pdk.kubernetes.store.selectors import compile_selectors, parse_label_selector

POD = {
    "metadata": {"name": "p", "namespace": "n", "labels": {"app": "x", "tier": "db"}},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("app=x", True),
        ("app==x,tier=db", True),
        ("app=y", False),
        ("app!=y", True),
        ("missing!=y", True),
        ("app in (x, y)", True),
        ("app in (y)", False),
        ("app notin (y)", True),
        ("missing notin (y)", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("app in (x),tier notin (web),!missing", True),
        ("app=", False),
    ],
)
def test_label_selectors(selector, selected):
    assert compile_selectors(POD_RESOURCE, selector, None)(POD) is selected


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("metadata.name=p", True),
        ("metadata.name!=p", False),
        ("status.phase=Running,metadata.namespace=n", True),
        ("spec.nodeName=", True),
    ],
)
def test_field_selectors(selector, selected):
    assert compile_selectors(POD_RESOURCE, None, selector)(POD) is selected


def test_selecting_nothing_costs_nothing():
    assert compile_selectors(POD_RESOURCE, "", None) is None


@pytest.mark.parametrize("selector", ["app in x", "a b", "=x", "a=b=c", "in (x)", "a/b/c=d"])
def test_label_selectors_that_cannot_be_read(selector):
    with pytest.raises(BadRequest):
        parse_label_selector(selector)


def test_fields_that_cannot_be_selected_by():
    with pytest.raises(BadRequest, match=r"field label not supported: spec\.foo"):
        compile_selectors(POD_RESOURCE, None, "spec.foo=1")
    with pytest.raises(BadRequest, match="can't understand"):
        compile_selectors(POD_RESOURCE, None, "metadata.name")
