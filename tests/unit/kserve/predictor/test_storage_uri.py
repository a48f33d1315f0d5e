"""storageUri and where its keys land."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdk.kserve.predictor.failures import InvalidPredictorSpec, ModelLoadFailed
from pdk.kserve.predictor.storage_uri import parse_storage_uri, target_of


def test_commit_addressed_bucket():
    uri = parse_storage_uri("s3://0123abc.master.deploy.default/churn/")
    assert (uri.scheme, uri.bucket, uri.path) == ("s3", "0123abc.master.deploy.default", "churn/")


def test_keys_may_hold_what_a_url_would_cut():
    assert parse_storage_uri("s3://b/a?x#y").path == "a?x#y"
    assert parse_storage_uri("s3://b").path == ""


@pytest.mark.parametrize(
    "text", ["gs://b/x", "pvc://claim/x", "/plain/path", "", "file://host/x", "file:x", "s3:///x", "https:///x"]
)
def test_refused(text):
    with pytest.raises(InvalidPredictorSpec, match="storageUri"):
        parse_storage_uri(text)


def test_the_prefix_is_text():
    assert target_of("churn", "churn/model-store/m.mar") == "model-store/m.mar"
    assert target_of("churn/", "churn/model-store/m.mar") == "model-store/m.mar"
    assert target_of("churn", "churn-v2/x") == "-v2/x"
    assert target_of("churn/m.mar", "churn/m.mar") == "m.mar"
    assert target_of("", "a/b") == "a/b"
    assert target_of("churn", "churn/folder/") is None


@pytest.mark.parametrize("key", ["m/../../x", "m/..", "m/a/../../../x", "m/a\0b"])
def test_keys_that_leave_the_folder(key):
    with pytest.raises(ModelLoadFailed, match="outside"):
        target_of("m", key)


@given(st.text(max_size=20), st.text(max_size=40))
def test_no_key_lands_outside(prefix, rest):
    try:
        target = target_of(prefix, prefix + rest)
    except ModelLoadFailed:
        return
    assert target is None or (not target.startswith("/") and ".." not in target.split("/"))
