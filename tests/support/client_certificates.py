"""Client certificates of a server's own authority, as `openssl` would make them."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pdk.base import clock


def client_certificate(tls, user, groups=()):
    """Return (certificate, key) as PEM that let a client in as `user` (CN) with `groups` (O)."""
    authority = x509.load_pem_x509_certificate(tls.ca_certificate.read_bytes())
    authority_key = serialization.load_pem_private_key(tls.ca_key.read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [*(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups)]
    subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    now, day = clock.now(), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(authority.subject, subject, key.public_key(), 7, now - day, now + day)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding), private
