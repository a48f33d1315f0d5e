"""The check of V1 bodies at the ingress, held against that of KServe's own model server."""

import pytest
from kserve import Model
from kserve.errors import InvalidInput
from kserve.model_repository import ModelRepository
from kserve.protocol.dataplane import DataPlane

from pdk.kserve.ingress.v1_body import problem

BODIES = [
    b'{"instances": [1]}',
    b'{"instances": []}',
    b'{"instances": "abc"}',
    b'{"instances": {"a": 1}}',
    b'{"instances": null}',
    b'{"instances": 0}',
    b'{"inputs": {}}',
    b"{}",
    b"[]",
    b'"text"',
    b"3",
    b"",
    b" ",
    b"{",
    b'{"a": 1,}',
    b"{'a': 1}",
    b'{"a": 01}',
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": 1e-999}',
    b'{"a": ' + b"9" * 400 + b"}",
    b'{"a": "\\ud800"}',
    b'{"a": "\xff"}',
    b'{"instances": [1], "instances": 2}',
    b'{"instances": 2, "instances": [1]}',
    b"\xef\xbb\xbf{}",
    '{"instances": [1]}'.encode("utf-16"),
    '{"instances": [1]}'.encode("utf-16-le"),
    b"[" * 1000 + b"]" * 1000,
    b"[" * 2000 + b"]" * 2000,
]


def kserve_problem(body):
    try:
        decoded, _ = DataPlane(ModelRepository()).decode(body, {})
        Model("m").validate(decoded)
    except InvalidInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:24]))
def test_a_body_is_refused_when_kserve_refuses_it(body):
    ours, theirs = problem(body), kserve_problem(body)
    assert bool(ours) == bool(theirs)
    assert ours.partition(":")[0] == theirs.partition(":")[0]
