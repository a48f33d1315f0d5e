"""Writes the kubeconfig that points kubectl and the Python clients at this server.

Called by the composition root once the server's address is known.
"""

import base64
import json
from pathlib import Path

from pdk.kubernetes.api.pki import write_private

NAME = "pdk"


def write_kubeconfig(path: Path, server: str, ca: Path, token: str, namespace: str = "default") -> None:
    """Write a kubeconfig (mode 0600) for `server` (an https URL) that trusts the CA certificate in `ca`.

    The certificate is put inside, so the file works wherever it is copied to.
    """
    authority = base64.b64encode(ca.read_bytes()).decode()
    # JSON scalars are YAML scalars, so any token or URL is quoted well.
    lines = [
        "apiVersion: v1",
        "kind: Config",
        f"current-context: {NAME}",
        "preferences: {}",
        "clusters:",
        f"- name: {NAME}",
        "  cluster:",
        f"    server: {json.dumps(server)}",
        f"    certificate-authority-data: {authority}",
        "contexts:",
        f"- name: {NAME}",
        "  context:",
        f"    cluster: {NAME}",
        f"    user: {NAME}",
        f"    namespace: {json.dumps(namespace)}",
        "users:",
        f"- name: {NAME}",
        "  user:",
        f"    token: {json.dumps(token)}",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, ("\n".join(lines) + "\n").encode())
