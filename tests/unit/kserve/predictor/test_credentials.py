"""S3 credentials: annotation, service account, defaults."""

import base64

import pytest

from pdk.db.database import Database
from pdk.kserve.predictor.credentials import resolve_s3
from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.storage_uri import S3Access
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

DEFAULTS = S3Access("http://127.0.0.1:30600", "def", "ault")
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}


@pytest.fixture
def store(tmp_path):
    store = ObjectStore(Database(tmp_path / "db", OBJECT_MIGRATIONS), Changes())
    store.create("namespaces", {"metadata": {"name": "ns"}})
    return store


def secret(store, name, data, **annotations):
    prefixed = {f"serving.kserve.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": "ns", "annotations": prefixed}
    store.create("secrets", {"metadata": metadata, "data": encoded})


def account(store, name, *secrets):
    metadata = {"name": name, "namespace": "ns"}
    store.create("serviceaccounts", {"metadata": metadata, "secrets": [{"name": each} for each in secrets]})


def resolve(store, service_account="default", **annotations):
    named = {f"serving.kserve.io/{key}": value for key, value in annotations.items()}
    return resolve_s3(store, "ns", service_account, named, DEFAULTS)


def test_without_any_secret_the_defaults_count(store):
    assert resolve(store) == S3Access("http://127.0.0.1:30600", "def", "ault")
    assert resolve(store, "missing") == S3Access("http://127.0.0.1:30600", "def", "ault")


def test_the_secret_of_the_service_account(store):
    secret(store, "other", {"password": "x"})
    secret(store, "s3", KEYS, s3_endpoint="pachd:30600", s3_usehttps="0", s3_region="eu-west-1")
    account(store, "pach-deploy", "other", "s3")
    assert resolve(store, "pach-deploy") == S3Access("http://pachd:30600", "id", "key", region="eu-west-1")


def test_https_is_the_default_and_a_scheme_wins(store):
    secret(store, "a", KEYS, s3_endpoint="host")
    secret(store, "b", KEYS, s3_endpoint="http://host", s3_usehttps="1")
    account(store, "a", "a")
    account(store, "b", "b")
    assert resolve(store, "a").endpoint_url == "https://host"
    assert resolve(store, "b").endpoint_url == "http://host"


def test_the_annotation_comes_before_the_service_account(store):
    secret(store, "one", KEYS, s3_endpoint="one")
    secret(store, "two", KEYS, s3_endpoint="two")
    account(store, "sa", "one")
    assert resolve(store, "sa", storageSecretName="two").endpoint_url == "https://two"


def test_the_other_settings(store):
    secret(
        store,
        "s3",
        {**KEYS, "AWS_SESSION_TOKEN": "t"},
        s3_endpoint="h",
        s3_verifyssl="0",
        s3_usevirtualbucket="true",
        s3_useanoncredential="1",
        s3_cabundle="/ca.pem",
    )
    account(store, "sa", "s3")
    access = resolve(store, "sa")
    assert (access.verify_ssl, access.virtual_bucket, access.anonymous) == (False, True, True)
    assert (access.session_token, access.ca_bundle) == ("t", "/ca.pem")


def test_settings_as_keys_of_the_secret(store):
    secret(store, "s3", {**KEYS, "S3_ENDPOINT": "h", "S3_USE_HTTPS": "0"})
    account(store, "sa", "s3")
    assert resolve(store, "sa").endpoint_url == "http://h"


def test_missing_and_broken_secrets_say_so(store):
    account(store, "sa", "gone")
    with pytest.raises(ModelLoadFailed, match='secrets "gone" not found in namespace ns'):
        resolve(store, "sa")
    with pytest.raises(ModelLoadFailed, match='secrets "gone" not found'):
        resolve(store, storageSecretName="gone")
    raw = {"AWS_ACCESS_KEY_ID": base64.b64encode(b"\xff\xfe").decode()}
    store.create("secrets", {"metadata": {"name": "binary", "namespace": "ns"}, "data": raw})
    with pytest.raises(ModelLoadFailed, match="not base64 of text"):
        resolve(store, storageSecretName="binary")
