"""The certificates of the API server: a CA of its own and a server certificate, made once, in the owner's files.

Called by the composition root before the server starts. kubectl sends no token over plain http, so TLS is not optional.
"""

import contextlib
import datetime
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pdk.base import clock

CA_LIFETIME = datetime.timedelta(days=3650)
LIFETIME = datetime.timedelta(days=825)
RENEW_BEFORE = datetime.timedelta(days=30)
HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the CA that clients trust, and what the server presents."""

    ca_certificate: Path
    ca_key: Path
    certificate: Path
    key: Path


def make_tls_files(folder: Path, hosts: Sequence[str] = HOSTS) -> TlsFiles:
    """Return the TLS files in `folder`, made (mode 0600) where they are missing, for other hosts or nearly expired.

    The CA stays as long as it can, so that kubeconfigs written before go on working.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = TlsFiles(folder / "ca.crt", folder / "ca.key", folder / "server.crt", folder / "server.key")
    authority = _load_authority(files) or _make_authority(files)
    if not _is_current(files, authority, hosts):
        certificate, key = authority.issue("kubernetes", hosts)
        # The key first: a certificate without its key is made anew, after a crash between the two as well.
        write_private(files.key, key)
        write_private(files.certificate, certificate)
    return files


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


class _Authority:
    """The CA: its certificate and key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self.key = key

    def issue(self, name: str, hosts: Sequence[str]) -> tuple[bytes, bytes]:
        """Return (certificate, key) of a server as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.certificate.subject, key.public_key(), LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), _key_bytes(key)


def _make_authority(files: TlsFiles) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("pdk Kubernetes CA")
    builder = _builder(subject, subject, key.public_key(), CA_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_ca_usage(), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    write_private(files.ca_key, _key_bytes(key))
    write_private(files.ca_certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return _Authority(certificate, key)


def _load_authority(files: TlsFiles) -> _Authority | None:
    """Return the CA in the files, None when it is missing, broken, half written or nearly expired."""
    try:
        certificate = x509.load_pem_x509_certificate(files.ca_certificate.read_bytes())
        key = serialization.load_pem_private_key(files.ca_key.read_bytes(), None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return _Authority(certificate, key) if _lasts(certificate) else None


def _is_current(files: TlsFiles, authority: _Authority, hosts: Sequence[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        certificate.verify_directly_issued_by(authority.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    same_key = certificate.public_key() == key.public_key()
    return same_key and _lasts(certificate) and list(names) == [_general_name(host) for host in hosts]


def _lasts(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc > clock.now() + RENEW_BEFORE


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = clock.now()
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), now - datetime.timedelta(minutes=5), now + lifetime
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())
