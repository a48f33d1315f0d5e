"""JSON patch (the examples of RFC 6902)."""

import copy

import pytest

from pdk.kubernetes.api.json_patches import json_patch
from pdk.kubernetes.errors import BadRequest, ObjectInvalid


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/b"}], {"a": 1}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        ({"a": {"x": 1}, "b": {}}, [{"op": "move", "from": "/a/x", "path": "/b/y"}], {"a": {}, "b": {"y": 1}}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a/b": {"~": 1}}, [{"op": "test", "path": "/a~1b/~0", "value": 1}], {"a/b": {"~": 1}}),
        ({"": {"": 1}}, [{"op": "replace", "path": "//", "value": 2}], {"": {"": 2}}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 1}}], {"b": 1}),
    ],
)
def test_json_patch(target, operations, result):
    before = copy.deepcopy(target)
    assert json_patch(target, operations) == result
    assert target == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/missing", "value": None},
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/missing/x", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "add", "path": "/a/x", "value": 1},
        {"op": "remove", "path": "/list/-"},
        {"op": "remove", "path": ""},
        {"op": "copy", "from": "/list/-", "path": "/o/x"},
        {"op": "move", "from": "/o", "path": "/o/x"},
    ],
)
def test_operations_that_do_not_fit(operation):
    with pytest.raises(ObjectInvalid) as caught:
        json_patch({"a": 1, "list": [1], "o": {}, "secret": "hidden"}, [operation])
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "operations",
    [
        {"op": "add"},
        ["x"],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/a"}],
        [{"op": "dance", "path": "/a"}],
        [{"path": "/a", "value": 1}],
        [{"op": "copy", "path": "/a"}],
        [{"op": "test", "path": "/a", "value": 1}] * 10_001,
    ],
)
def test_patches_that_cannot_be_read(operations):
    with pytest.raises(BadRequest):
        json_patch({"a": 1}, operations)


def test_a_patch_cannot_grow_without_end():
    doubling = [{"op": "add", "path": "/a/-", "value": "x" * 1000}]
    doubling += [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
    with pytest.raises(BadRequest, match="add more than"):
        json_patch({"a": []}, doubling)
