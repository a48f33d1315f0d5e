"""The names in Host headers."""

import pytest

from pdk.web.hosts import host_name, is_local_name


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.example.com:80", "a.example.com"), ("A.Example.com.", "a.example.com"), ("[::1]:8080", "[::1]"), ("", "")],
)
def test_names_have_no_port(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:8080", True),
        ("localhost", True),
        ("[::1]:8080", True),
        ("10.0.0.5:80", True),
        ("master:8080", True),
        ("pdk.localhost:8080", True),
        ("", True),
        ("evil.example.com:8080", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_host_names_of_this_machine(host, local):
    assert is_local_name(host) == local
