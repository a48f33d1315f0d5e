"""Tokens and certificates."""

import pytest

from pdk.base.errors import Unauthenticated
from pdk.kubernetes.api.authentication import Authenticator

CERTIFICATE = {"subject": ((("organizationName", "team"),), (("commonName", "jane"),))}


def test_the_token():
    user = Authenticator("secret").user({"authorization": "bearer secret"}, None)
    assert (user.name, user.groups[0]) == ("kubernetes-admin", "system:masters")


def test_a_certificate_when_there_is_no_token():
    user = Authenticator("secret").user({}, CERTIFICATE)
    assert (user.name, user.groups) == ("jane", ("team", "system:authenticated"))


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer Secret", "Bearer secret2", "Basic secret", "Bearer \xe9"]
)
def test_nobody(header):
    with pytest.raises(Unauthenticated):
        Authenticator("secret").user({"authorization": header}, {"subject": ()})
