"""Clients of the three systems of one stack, made once and handed around.

Used by the demonstration, the end-to-end tests and the loop benchmark.
"""

import contextlib
import io
import json
from dataclasses import dataclass

import kubernetes
from determined.experimental import Determined
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from pdk.base.shipped import shipped_folder
from pdk.stack import runfile
from pdk.stack.settings import Settings

SHIPPED = shipped_folder()
PROJECT = "pdk-customer-churn"
DATA_REPO = "customer-churn-data"
MODEL = "customer-churn"
TRAIN, DEPLOY, ROLLOUT = "customer-churn-train", "customer-churn-deploy", "customer-churn-rollout"
SAMPLE_REQUEST = SHIPPED / "sample-data" / "customer_churn_sample.json"


@dataclass(frozen=True)
class Systems:
    """Clients and addresses of a running stack."""

    settings: Settings
    pachyderm: Client
    determined: Determined
    kubernetes: kubernetes.client.ApiClient
    pachd_address: str
    s3_address: str
    master_url: str
    ingress_host: str
    ingress_port: int

    @property
    def namespace(self) -> str:
        """The namespace models are served in."""
        return self.settings.model_namespace

    @property
    def service_hostname(self) -> str:
        """The Host header of the model's InferenceService."""
        return f"{MODEL}.{self.namespace}.{self.settings.ingress_domain}"

    def data_commit(self, reference: str) -> pfs.Commit:
        """Return a handle `customer-churn-data@reference` (a branch or a commit id)."""
        repo = pfs.Repo(name=DATA_REPO, type="user", project=pfs.Project(name=PROJECT))
        if reference == "master":
            return pfs.Commit(repo=repo, branch=pfs.Branch(repo=repo, name=reference))
        return pfs.Commit(repo=repo, id=reference, branch=pfs.Branch(repo=repo))

    def inference_service(self) -> dict[str, object] | None:
        """Return the InferenceService, None when there is none yet."""
        api = kubernetes.client.CustomObjectsApi(self.kubernetes)
        try:
            found: dict[str, object] = api.get_namespaced_custom_object(
                "serving.kserve.io", "v1beta1", self.namespace, "inferenceservices", MODEL
            )
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return None
            raise
        return found


def connect(settings: Settings) -> Systems:
    """Return clients of the stack that runs in `settings.home`; raise RuntimeError when a server is missing."""
    runs = {name: runfile.read(settings.run_dir, name) for name in ("pachyderm", "determined", "kserve")}
    missing = [name for name, run in runs.items() if run is None]
    if missing:
        raise RuntimeError(f"not running: {', '.join(missing)}; start the stack with `pdk up`")
    ports = {name: run.ports for name, run in runs.items() if run is not None}
    host = settings.host
    master = f"http://{host}:{ports['determined']['http']}"
    return Systems(
        settings=settings,
        pachyderm=Client(host=host, port=ports["pachyderm"]["grpc"]),
        determined=_login(master),
        kubernetes=kubernetes.config.new_client_from_config(str(settings.kubeconfig)),
        pachd_address=f"{host}:{ports['pachyderm']['grpc']}",
        s3_address=f"{host}:{ports['pachyderm']['s3']}",
        master_url=master,
        ingress_host=host,
        ingress_port=ports["kserve"]["ingress"],
    )


def _login(master: str) -> Determined:
    """Log in as the first-run user; the SDK's advice on blank passwords is not printed."""
    with contextlib.redirect_stderr(io.StringIO()):
        return Determined(master=master, user="determined", password="")


def sample_request() -> tuple[dict[str, dict[str, object]], bytes]:
    """Return the ten rows ({column: {row: value}}, ground truth included) and the V1 request body that carries them."""
    rows = json.loads(SAMPLE_REQUEST.read_text())
    return rows, json.dumps({"instances": [{"data": rows}]}).encode()
