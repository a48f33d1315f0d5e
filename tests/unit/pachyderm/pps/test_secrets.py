import base64
import json

import pytest

from pdk.base.errors import InvalidArgument
from pdk.db.database import Database
from pdk.pachyderm.pps.errors import MissingSecret, SecretExists, SecretNotFound
from pdk.pachyderm.pps.secrets import MASK, SecretMask, Secrets, is_confidential, parse_secret
from pdk.pachyderm.pps.types import SecretMount
from pdk.pachyderm.store.pps_schema import MIGRATIONS


@pytest.fixture
def secrets(tmp_path):
    db = Database(tmp_path / "pachd.db", MIGRATIONS)
    yield Secrets(db)
    db.close()


def secret_file(name="s", **data):
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return json.dumps({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "data": encoded}).encode()


def test_a_secret_lives_from_create_to_delete(secrets):
    secrets.create_secret(secret_file(token="abc"))
    info = secrets.inspect_secret("s")
    assert (info.name, info.type) == ("s", "Opaque")
    assert secrets.list_secret() == [info]
    assert secrets.values(SecretMount("s", key="token", env_var="T")) == {"token": b"abc"}
    assert secrets.values(SecretMount("s", mount_path="/x")) == {"token": b"abc"}
    with pytest.raises(SecretExists):
        secrets.create_secret(secret_file())
    secrets.delete_secret("s")
    for call in (secrets.inspect_secret, secrets.delete_secret):
        with pytest.raises(SecretNotFound):
            call("s")


def test_a_missing_secret_or_key_is_named(secrets):
    with pytest.raises(MissingSecret, match=r"^missing Kubernetes secret s"):
        secrets.check([SecretMount("s", key="k", env_var="K")])
    secrets.create_secret(secret_file())
    with pytest.raises(MissingSecret, match=r'^missing Kubernetes secret s with key "k"'):
        secrets.check([SecretMount("s", key="k", env_var="K")])


def test_string_data_needs_no_base64():
    row = parse_secret(b'{"kind":"Secret","metadata":{"name":"s"},"stringData":{"a":"b"}}')
    assert base64.b64decode(row.data["a"]) == b"b"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"hunter2-not-json", "must be the JSON"),
        (b"[]", 'kind "Secret"'),
        (b'{"kind":"Pod","metadata":{"name":"s"}}', 'kind "Secret"'),
        (b'{"kind":"Secret"}', "metadata.name"),
        (b'{"kind":"Secret","metadata":{"name":"A/B"}}', "metadata.name"),
        (b'{"kind":"Secret","metadata":{"name":"s"},"data":{"a":"hunter2!"}}', "data.a is not base64"),
        (b'{"kind":"Secret","metadata":{"name":"s"},"data":{"a b":""}}', r"key \(a b\) invalid"),
        (b'{"kind":"Secret","metadata":{"name":"s"},"data":{"a":1}}', "data.a must be a string"),
        (b'{"kind":"Secret","metadata":{"name":"s"},"data":[1]}', "data must be an object"),
        (b"x" * ((1 << 20) + 1), "larger than"),
    ],
)
def test_a_bad_secret_is_refused_without_showing_a_value(file, message):
    with pytest.raises(InvalidArgument, match=message) as caught:
        parse_secret(file)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_values_are_masked_longest_first_and_line_by_line():
    mask = SecretMask([b"secret", b"secret-longer", b"first line\nsecond line", b"short"])
    assert mask.mask("a secret-longer b secret c") == f"a {MASK} b {MASK} c"
    assert mask.mask("second line, short") == f"{MASK}, short"


@pytest.mark.parametrize(
    ("key", "value", "confidential"),
    [
        ("det_password", b"determined", True),
        ("token", b"x", True),
        ("det_user", b"determined", False),
        ("kserve_namespace", b"models", False),
        ("det-master", b"http://localhost", False),
        ("git_url", b"https://me:pass@host/x", True),
    ],
)
def test_names_and_addresses_are_not_confidential(key, value, confidential):
    assert is_confidential(key, value) is confidential
