"""CA, server and client certificates."""

import datetime
import ipaddress
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pdk.kubernetes.api import pki
from pdk.kubernetes.api.kubeconfig import write_kubeconfig
from pdk.kubernetes.api.pki import make_tls_files


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def contents(files):
    return {name: getattr(files, name).read_bytes() for name in ("ca_certificate", "ca_key", "certificate", "key")}


def test_files_are_made_once_and_private(tmp_path):
    files = make_tls_files(tmp_path / "tls")
    first = contents(files)
    assert contents(make_tls_files(tmp_path / "tls")) == first
    for path in (tmp_path / "tls").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_the_server_certificate_names_the_hosts(tmp_path):
    files = make_tls_files(tmp_path)
    certificate = load(files.certificate)
    certificate.verify_directly_issued_by(load(files.ca_certificate))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


@pytest.mark.parametrize("damaged", ["certificate", "key", "both swapped"])
def test_what_a_crash_left_half_done_is_made_anew_under_the_same_ca(tmp_path, damaged):
    files = make_tls_files(tmp_path)
    authority = files.ca_certificate.read_bytes()
    if damaged == "both swapped":
        other = make_tls_files(tmp_path / "other")
        files.key.write_bytes(other.key.read_bytes())
    else:
        getattr(files, damaged).unlink()
    make_tls_files(tmp_path)
    assert files.ca_certificate.read_bytes() == authority
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    assert load(files.certificate).public_key() == key.public_key()


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_broken_ca_is_replaced_with_all_it_signed(tmp_path, damage):
    files = make_tls_files(tmp_path)
    files.ca_certificate.write_bytes(damage)
    make_tls_files(tmp_path)
    load(files.certificate).verify_directly_issued_by(load(files.ca_certificate))


def test_other_hosts_and_a_certificate_about_to_end_mean_a_new_one(tmp_path, monkeypatch):
    files = make_tls_files(tmp_path)
    first = files.certificate.read_bytes()
    make_tls_files(tmp_path, ("10.0.0.1", "example.com"))
    second = files.certificate.read_bytes()
    assert second != first
    monkeypatch.setattr(pki, "RENEW_BEFORE", datetime.timedelta(days=1000))
    make_tls_files(tmp_path, ("10.0.0.1", "example.com"))
    assert files.certificate.read_bytes() != second


def test_the_kubeconfig_is_private_yaml_with_the_ca_inside(tmp_path):
    import yaml  # noqa: PLC0415 - only this test reads YAML

    files = make_tls_files(tmp_path / "tls")
    path = tmp_path / "sub" / "kubeconfig"
    write_kubeconfig(path, "https://127.0.0.1:6443", files.ca_certificate, 'to"ken: #x', "models")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["users"][0]["user"]["token"] == 'to"ken: #x'
    assert config["contexts"][0]["context"] == {"cluster": "pdk", "user": "pdk", "namespace": "models"}
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    pki.write_private(path, b"old")
    monkeypatch.setattr(pki.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        pki.write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
