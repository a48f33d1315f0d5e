"""Names and hosts of an InferenceService in KServe's two deployment modes.

Knative (the default; the old name is Serverless): `<name>.<namespace>.<domain>`. Standard (RawDeployment):
`<name>-<namespace>.<domain>`. The mode only changes what the status looks like: revisions are run in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODE_ANNOTATION = "serving.kserve.io/deploymentMode"
KNATIVE, STANDARD = "Knative", "Standard"
MODES = {
    "Serverless": KNATIVE,
    KNATIVE: KNATIVE,
    "RawDeployment": STANDARD,
    STANDARD: STANDARD,
}


def deployment_mode(isvc: Mapping[str, Any]) -> str:
    """Return the mode in force: what the status says, else the annotation, else Knative; ModelMesh counts as Knative."""
    settled = (isvc.get("status") or {}).get("deploymentMode")
    asked = (isvc["metadata"].get("annotations") or {}).get(MODE_ANNOTATION)
    return MODES.get(settled or asked or KNATIVE, KNATIVE)


@dataclass(frozen=True)
class Addresses:
    """Where an InferenceService is found."""

    namespace: str
    name: str
    domain: str
    mode: str = KNATIVE

    @property
    def host(self) -> str:
        """The host of `status.url`."""
        return self._host(self.name)

    @property
    def predictor_host(self) -> str:
        """The host of the predictor component."""
        return self._host(f"{self.name}-predictor")

    @property
    def internal_host(self) -> str:
        """The host of `status.address.url`."""
        name = self.name if self.mode == KNATIVE else f"{self.name}-predictor"
        return f"{name}.{self.namespace}.svc.cluster.local"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every Host header that leads here, that of `status.url` first; `*.localhost` resolves without DNS."""
        names = (self.name, f"{self.name}-predictor")
        suffixes = (self.domain, "svc.cluster.local", "localhost", "svc")
        dotted = [f"{name}.{self.namespace}.{suffix}" for suffix in suffixes for name in names]
        bare = [f"{name}.{self.namespace}" for name in names]
        dashed = [f"{name}-{self.namespace}.{self.domain}" for name in names]
        return tuple(dict.fromkeys(host.lower() for host in (self.host, *dotted, *bare, *dashed)))

    def _host(self, name: str) -> str:
        joint = "." if self.mode == KNATIVE else "-"
        return f"{name}{joint}{self.namespace}.{self.domain}"
