"""Host headers: the name in them, and whether it can be this machine's.

Pure: engines may import it. The master asks before it routes a request, the ingress finds a service by it.
"""

import ipaddress


def host_name(host: str) -> str:
    """Return a Host header without its port and trailing dot, in lower case; an IPv6 address keeps its brackets."""
    name = host.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".")


def is_local_name(host: str) -> bool:
    """Tell whether a Host header can name this machine: an address, localhost, or a name without dots.

    A web page whose own host name is made to point at 127.0.0.1 (DNS rebinding) could otherwise log in with the blank
    passwords of the first-run users.
    """
    name = host_name(host).strip("[]")
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False
