"""Clients of all three systems, of this stack or the real ones: what commands that span them work with.

pachd as every command finds it (see `connect`), the master from `DET_MASTER`, the cluster from `KUBECONFIG`; this
stack's own where those are not set.
"""

import contextlib
import io
import os

import kubernetes
from determined.experimental import Determined

from pdk.base.errors import InvalidArgument, Unavailable
from pdk.projects.predict import Remote
from pdk.stack import runfile
from pdk.stack.settings import Settings


def master_address(settings: Settings) -> str:
    """Return the URL of the Determined master."""
    if address := os.environ.get("DET_MASTER"):
        return address
    run = runfile.read(settings.run_dir, "determined")
    return f"http://{settings.host}:{run.ports['http'] if run else settings.master_port}"


def credentials() -> tuple[str, str]:
    """Return the Determined user and password: those of the first run where the environment names none."""
    return os.environ.get("DET_USER") or "determined", os.environ.get("DET_PASS") or ""


def determined(settings: Settings) -> Determined:
    """Log in to Determined; the SDK's advice on passwords, given at each login, is not printed."""
    user, password = credentials()
    with contextlib.redirect_stderr(io.StringIO()):
        return Determined(master=master_address(settings), user=user, password=password)


def cluster(settings: Settings) -> kubernetes.client.ApiClient:
    """Return a client of the Kubernetes API."""
    file = os.environ.get("KUBECONFIG") or str(settings.kubeconfig)
    return kubernetes.config.new_client_from_config(config_file=file)


def served_model(settings: Settings, name: str) -> Remote:
    """Return the model an InferenceService serves, behind `INGRESS_HOST` and `INGRESS_PORT` or this stack's ingress.

    Raises InvalidArgument when there is none, Unavailable before it is ready.
    """
    api = kubernetes.client.CustomObjectsApi(cluster(settings))
    where = namespace(settings)
    try:
        found = api.get_namespaced_custom_object("serving.kserve.io", "v1beta1", where, "inferenceservices", name)
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise
        listed = api.list_namespaced_custom_object("serving.kserve.io", "v1beta1", where, "inferenceservices")["items"]
        names = ", ".join(item["metadata"]["name"] for item in listed) or "none yet"
        raise InvalidArgument(f"no model {name!r} is served in {where}; served are: {names}") from error
    url = found.get("status", {}).get("url")
    if not url:
        raise Unavailable(f"model {name!r} does not serve yet; `pdk status` says why")
    run = runfile.read(settings.run_dir, "kserve")
    host = os.environ.get("INGRESS_HOST") or settings.host
    port = os.environ.get("INGRESS_PORT") or str(run.ports["ingress"] if run else settings.ingress_port)
    return Remote(f"{host}:{port}", url.partition("//")[2].partition("/")[0], name)


def namespace(settings: Settings) -> str:
    """Return the namespace models are served in."""
    return os.environ.get("KSERVE_NAMESPACE") or settings.model_namespace


def s3_endpoint(settings: Settings) -> str | None:
    """Return host:port of pachd's S3 gateway as the storage initializer reaches it, None where it is not known."""
    if endpoint := os.environ.get("PACHD_S3_ENDPOINT"):
        return endpoint
    run = runfile.read(settings.run_dir, "pachyderm")
    return f"{settings.host}:{run.ports['s3']}" if run else None


def secret_values(settings: Settings) -> dict[str, str]:
    """Return what the jobs of a model need to know of the systems, by key of its secret."""
    user, password = credentials()
    return {
        "det_master": master_address(settings),
        "det_user": user,
        "det_password": password,
        "pac_token": os.environ.get("PACH_TOKEN") or "",
        "kserve_namespace": namespace(settings),
        "code_url": "",
        "code_ref": "",
        "cloud_model_host": "",
        "cloud_model_bucket": "",
    }
