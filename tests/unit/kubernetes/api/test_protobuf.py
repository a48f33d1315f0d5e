"""kubectl's protobuf bodies. The bytes are built by hand; the real ones come from kubectl in tests/compat."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdk.base.errors import PdkError
from pdk.kubernetes.api.protobuf import decode
from pdk.kubernetes.errors import BadRequest, UnsupportedMediaType


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def body(kind, raw, api_version="v1"):
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


METADATA = field(1, field(1, "x") + field(3, "models") + field(2, "") + field(11, field(1, "a") + field(2, "b")))


def test_a_secret():
    raw = METADATA + field(2, field(1, "k") + field(2, b"\0\1")) + field(2, field(1, "empty")) + field(3, "Opaque")
    assert decode(body("Secret", raw)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x", "namespace": "models", "labels": {"a": "b"}},
        "data": {"k": base64.b64encode(b"\0\1").decode(), "empty": ""},
        "type": "Opaque",
    }


def test_a_service_account_with_lists_and_a_bool():
    raw = METADATA + field(2, field(3, "s1")) + field(2, field(3, "s2")) + field(4, 1)
    decoded = decode(body("ServiceAccount", raw))
    assert decoded["secrets"] == [{"name": "s1"}, {"name": "s2"}]
    assert decoded["automountServiceAccountToken"] is True


def test_an_access_review():
    raw = field(2, field(1, field(2, "create") + field(3, "serving.kserve.io") + field(5, "inferenceservices")))
    decoded = decode(body("SelfSubjectAccessReview", raw, "authorization.k8s.io/v1"))
    attributes = {"verb": "create", "group": "serving.kserve.io", "resource": "inferenceservices"}
    assert decoded["spec"] == {"resourceAttributes": attributes}


def test_fields_that_are_not_known_are_skipped():
    raw = METADATA + field(99, "x") + varint(98 << 3 | 5) + b"1234" + varint(97 << 3 | 1) + b"12345678"
    assert decode(body("ConfigMap", raw))["metadata"]["name"] == "x"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"k8s",
        b"{}",
        b"k8s\0\x0a",
        b"k8s\0" + b"\xff" * 20,
        b"k8s\0\x0b",
        body("Secret", field(1, 7)),
        body("Secret", field(1, field(1, b"\xff"))),
        body("Secret", field(1, field(1, "x"))[:-1]),
        b"k8s\0" + varint(1 << 3 | 2) + varint(2**60) + b"x",
    ],
)
def test_broken_bodies(data):
    with pytest.raises((BadRequest, UnsupportedMediaType)):
        decode(data)


def test_other_kinds_are_asked_for_as_json():
    with pytest.raises(UnsupportedMediaType, match="send it as application/json"):
        decode(body("Deployment", METADATA, "apps/v1"))


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data):
    for kind in ("Secret", "ConfigMap"):
        try:
            decode(body(kind, data))
        except PdkError:
            continue
