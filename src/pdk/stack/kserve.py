"""Composes the kserve server: object store, Kubernetes API, controller, ingress. Imported by `serve` when needed."""

import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pdk.db.database import Database
from pdk.kserve.controller.controller import KServeController
from pdk.kserve.ingress.server import Ingress
from pdk.kserve.kinds.initial_objects import NAMESPACES, install_initial_objects
from pdk.kserve.kinds.registry import serving_resources
from pdk.kserve.predictor import revisions
from pdk.kserve.predictor.node import Node
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.kserve.predictor.settings import ModelLimits, PredictorSettings
from pdk.kserve.predictor.storage_uri import S3Access
from pdk.kubernetes.api.kubeconfig import write_kubeconfig
from pdk.kubernetes.api.pki import make_tls_files, write_private
from pdk.kubernetes.api.server import KubernetesApi
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes
from pdk.stack.settings import Settings

# What TorchServe gets of the environment; never a credential.
INHERITED = ("PATH", "HOME", "LANG", "JAVA_HOME")


class KServe:
    """A running Kubernetes API with its InferenceService controller and ingress."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Open the data folder and serve it; raise Unavailable when a port is taken."""
        data = settings.home / "kserve"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = Database(data / "kserve.db", [*OBJECT_MIGRATIONS, *revisions.MIGRATIONS])
        store, logs, routes = (
            ObjectStore(self._db, Changes(), serving_resources()),
            PodLogs(data / "pod-logs"),
            ServiceRoutes(),
        )
        self._ingress = Ingress(routes, settings.host, settings.ingress_port)
        predictor = predictor_settings(settings, data, environment)
        node = Node(store, revisions.Revisions(self._db), logs, routes, predictor)
        self._controller = KServeController(node, settings.ingress_domain)
        tls, token = make_tls_files(data / "tls"), _token(data / "token")
        self._api = KubernetesApi(store, logs, tls, token, settings.host, settings.kubernetes_port)
        # The route table is filled before the ingress listens: what served before a restart serves at once.
        self._controller.start()
        self._ingress.start()
        namespaces = [*NAMESPACES, settings.model_namespace]
        install_initial_objects(store, self._ingress.port, settings.host, settings.ingress_domain, namespaces)
        self._api.start()
        write_kubeconfig(settings.kubeconfig, self._api.url, tls.ca_certificate, token, settings.model_namespace)

    @property
    def ports(self) -> dict[str, int]:
        """The Kubernetes API's port and the ingress's."""
        return {"https": self._api.port, "ingress": self._ingress.port}

    def stop(self) -> None:
        """Stop serving; TorchServe processes keep running for the next start to adopt (`pdk down` ends them)."""
        self._ingress.stop()
        self._api.stop()
        self._controller.stop(keep_predictors=True)
        self._db.close()


def predictor_settings(settings: Settings, data: Path, environment: Mapping[str, str]) -> PredictorSettings:
    """Return how models are run: in folders of this home, with the interpreter that has torch and TorchServe."""
    temp = Path(tempfile.gettempdir())
    return PredictorSettings(
        root=data / "revisions",
        marker_prefix=f"{settings.marker_prefix}kserve/",
        python=Path(settings.python),
        environment={name: environment[name] for name in INHERITED if name in environment},
        temp=temp,
        # Models named s3:// without a secret are this stack's own; a secret or service account says otherwise.
        s3=S3Access(f"http://{settings.host}:{settings.s3_port}", "pachyderm", "pachyderm"),
        limits=ModelLimits(load_timeout=settings.load_timeout_seconds),
    )


def _token(path: Path) -> str:
    """Return the bearer token of the kubeconfig, made once, mode 0600."""
    if not path.exists():
        write_private(path, secrets.token_hex(32).encode())
    return path.read_text()


def start(settings: Settings, environment: Mapping[str, str]) -> KServe:
    """Start the server."""
    return KServe(settings, environment)
