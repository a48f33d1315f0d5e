"""What clients need to reach this stack: a pachctl configuration, a kubeconfig, environment variables.

Written by `pdk up`, printed by `pdk env`. The kubeconfig is written by the Kubernetes API server itself.
"""

import json
from pathlib import Path
from typing import Any

from pdk.stack.settings import Settings

CONTEXT = "pdk"


def active_context(config: dict[str, Any]) -> dict[str, Any]:
    """Return the active context of a pachctl configuration, empty when it names none."""
    v2 = config.get("v2") or {}
    context = (v2.get("contexts") or {}).get(v2.get("active_context") or "") or {}
    return dict(context)


def write_pachyderm_config(path: Path, host: str, port: int) -> None:
    """Write (or bring up to date, keeping the default project) the configuration pachctl and pachyderm_sdk read."""
    context = active_context(json.loads(path.read_text())) if path.exists() else {}
    context["pachd_address"] = f"grpc://{host}:{port}"
    config = {"v2": {"active_context": CONTEXT, "contexts": {CONTEXT: context}, "metrics": False}}
    _replace(path, json.dumps(config, indent=2) + "\n")


def set_project(path: Path, project: str) -> None:
    """Set the default project of the active context; raise FileNotFoundError when there is no configuration."""
    config = json.loads(path.read_text())
    name = config["v2"]["active_context"]
    config["v2"]["contexts"][name]["project"] = project
    _replace(path, json.dumps(config, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(0o600)
    temporary.replace(path)


def environment(settings: Settings, master_port: int, ingress_port: int) -> dict[str, str]:
    """Return the variables that point pachctl, det, kubectl and the SDKs at this stack.

    INGRESS_HOST and INGRESS_PORT are the names KServe's own documents use for where models are called.
    """
    return {
        "PACH_CONFIG": str(settings.pachyderm_config),
        "DET_MASTER": f"http://{settings.host}:{master_port}",
        "KUBECONFIG": str(settings.kubeconfig),
        "INGRESS_HOST": settings.host,
        "INGRESS_PORT": str(ingress_port),
    }
