"""Who is calling: a bearer token, or a client certificate signed by the server's CA.

Called by `app.py` for every request but the public ones. Mirrors kube-apiserver's x509 and token authenticators.
"""

import hmac
from collections.abc import Mapping
from typing import Any

from pdk.base.errors import Unauthenticated
from pdk.kubernetes.api.http import UserInfo

ADMIN = "kubernetes-admin"
ADMINS = "system:masters"
AUTHENTICATED = "system:authenticated"


class Authenticator:
    """Knows the one token of this server."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def user(self, headers: Mapping[str, str], peer_certificate: Mapping[str, Any] | None) -> UserInfo:
        """Return who sent a request. Raises Unauthenticated (401) when nobody known did."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token):
            return UserInfo(ADMIN, (ADMINS, AUTHENTICATED))
        if peer_certificate:
            return _certificate_user(peer_certificate)
        raise Unauthenticated("Unauthorized")


def _certificate_user(certificate: Mapping[str, Any]) -> UserInfo:
    """Return CN as the name and O as the groups of a verified certificate (`ssl.SSLSocket.getpeercert`)."""
    pairs = [pair for relative in certificate.get("subject", ()) for pair in relative]
    names = [value for key, value in pairs if key == "commonName"]
    if not names:
        raise Unauthenticated("Unauthorized")
    groups = tuple(value for key, value in pairs if key == "organizationName")
    return UserInfo(names[-1], (*groups, AUTHENTICATED))
