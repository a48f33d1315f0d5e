"""Names and hosts of an InferenceService in KServe's two deployment modes.

Knative (the default; the old name is Serverless): `<name>.<namespace>.<domain>`. Standard (RawDeployment):
`<name>-<namespace>.<domain>`. The mode only changes what the status looks like: revisions are run in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pdk.kserve.kinds.names import MODE_ANNOTATION, OLD_MODES, DeploymentMode


def deployment_mode(settled: str | None, annotations: Mapping[str, str]) -> DeploymentMode:
    """Return the mode in force: what the status says (`settled`), else the annotation, else Knative.

    ModelMesh, which is not offered, counts as Knative.
    """
    name = settled or annotations.get(MODE_ANNOTATION)
    standard = name is not None and OLD_MODES.get(name, name) == DeploymentMode.STANDARD
    return DeploymentMode.STANDARD if standard else DeploymentMode.KNATIVE


@dataclass(frozen=True)
class Addresses:
    """Where an InferenceService is found."""

    namespace: str
    name: str
    domain: str
    mode: DeploymentMode = DeploymentMode.KNATIVE

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
        name = self.name if self.mode is DeploymentMode.KNATIVE else f"{self.name}-predictor"
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
        joint = "." if self.mode is DeploymentMode.KNATIVE else "-"
        return f"{name}{joint}{self.namespace}.{self.domain}"
