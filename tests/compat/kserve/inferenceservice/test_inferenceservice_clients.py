"""The whole of it through official clients: kserve SDK, kubectl, an S3-like store behind a service account."""

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import targets
from kserve import (
    KServeClient,
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1PredictorSpec,
    V1beta1TorchServeSpec,
)
from kubernetes import client as kubernetes
from kubernetes import config
from targets import NAMESPACE
from waiting import wait_until

from pdk.kserve.kinds.initial_objects import install_initial_objects
from pdk.kubernetes.api.kubeconfig import write_kubeconfig
from pdk.kubernetes.api.pki import make_tls_files
from pdk.kubernetes.api.server import KubernetesApi

BUCKET = "0123456789ab4def8123456789abcdef.master.deploy.default"


@pytest.fixture
def objects():
    """A bucket over HTTP: (keys to bytes, endpoint)."""
    kept = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            url = urlsplit(self.path)
            bucket, _, key = unquote(url.path).lstrip("/").partition("/")
            if bucket != BUCKET or "Credential=id/" not in self.headers.get("Authorization", ""):
                return self.reply(403, b"<Error><Code>AccessDenied</Code><Message>who</Message></Error>")
            if key:
                return self.reply(200, kept[key])
            prefix = parse_qs(url.query).get("prefix", [""])[0]
            entries = "".join(
                f"<Contents><Key>{name}</Key><Size>{len(data)}</Size></Contents>"
                for name, data in kept.items()
                if name.startswith(prefix)
            )
            return self.reply(
                200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()
            )

        def reply(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield kept, f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def kubeconfig(request, tmp_path):
    """That of the named cluster, or of a Kubernetes API over the store and logs of a server of ours."""
    if targets.KUBECONFIG is not None:
        return targets.KUBECONFIG
    return request.getfixturevalue("our_kubeconfig")


@pytest.fixture
def ingress(request, core):
    """Host and port of the ingress in front of that cluster's models."""
    if targets.KUBECONFIG is None:
        return "127.0.0.1", request.getfixturevalue("serving").ingress.port
    if targets.INGRESS is None:
        pytest.skip("PDK_TEST_INGRESS names no ingress of PDK_TEST_KUBECONFIG")
    return targets.split(targets.INGRESS)


@pytest.fixture
def core(kubeconfig):
    return kubernetes.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


@pytest.fixture
def our_kubeconfig(serving, tmp_path):
    tls = make_tls_files(tmp_path / "tls")
    install_initial_objects(serving.store, serving.ingress.port)
    api = KubernetesApi(serving.store, serving.logs, tls, "token", port=0)
    api.start()
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, api.url, tls.ca_certificate, "token", NAMESPACE)
    yield path
    api.stop()


def test_a_commit_is_served_once_it_is_finished(tools, kubeconfig, core, ingress, objects, tmp_path):
    kept, endpoint = objects
    sdk = KServeClient(config_file=str(kubeconfig))
    annotations = {"serving.kserve.io/s3-endpoint": endpoint, "serving.kserve.io/s3-usehttps": "0"}
    core.create_namespaced_secret(
        NAMESPACE,
        kubernetes.V1Secret(
            metadata=kubernetes.V1ObjectMeta(name="pachyderm", annotations=annotations),
            string_data={"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "id"},
        ),
    )
    core.create_namespaced_service_account(
        NAMESPACE,
        kubernetes.V1ServiceAccount(
            metadata=kubernetes.V1ObjectMeta(name="pach-deploy"),
            secrets=[kubernetes.V1ObjectReference(name="pachyderm")],
        ),
    )
    isvc = V1beta1InferenceService(
        api_version="serving.kserve.io/v1beta1",
        kind="InferenceService",
        metadata=kubernetes.V1ObjectMeta(name="churn", namespace=NAMESPACE, annotations={"pach_id": "job1"}),
        spec=V1beta1InferenceServiceSpec(
            predictor=V1beta1PredictorSpec(
                service_account_name="pach-deploy",
                pytorch=V1beta1TorchServeSpec(protocol_version="v1", storage_uri=f"s3://{BUCKET}/churn"),
            )
        ),
    )
    sdk.create(isvc)

    def condition(kind):
        conditions = sdk.get("churn", namespace=NAMESPACE).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    wait_until(lambda: condition("PredictorReady").get("reason") == "WaitingForStorage")
    assert "no objects under s3://" in condition("Ready")["message"]
    assert not sdk.is_isvc_ready("churn", namespace=NAMESPACE)

    folder = tools.build_model(tmp_path / "model", "1.0")
    kept |= {f"churn/{p.relative_to(folder)}": p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    sdk.wait_isvc_ready("churn", namespace=NAMESPACE, timeout_seconds=90, polling_interval=1)
    found = sdk.get("churn", namespace=NAMESPACE)
    host = found["status"]["url"].removeprefix("http://")
    gateway = core.read_namespaced_service("istio-ingressgateway", "istio-system")
    assert gateway.spec.ports[0].port == ingress[1]
    assert tools.predict(ingress[1], host=host)[::2] == (200, {"predictions": ["1.0"]})

    (pod,) = core.list_namespaced_pod(NAMESPACE, label_selector="serving.kserve.io/inferenceservice=churn").items
    assert pod.status.phase == "Running"
    assert pod.status.init_container_statuses[0].state.terminated.exit_code == 0
    if shutil.which("kubectl"):
        check_kubectl(kubeconfig, tmp_path, host, pod.metadata.name)

    sdk.delete("churn", namespace=NAMESPACE)
    wait_until(lambda: sdk.get(namespace=NAMESPACE)["items"] == [])
    assert core.list_namespaced_pod(NAMESPACE).items == []


def check_kubectl(kubeconfig, tmp_path, host, pod):
    assert kubectl(kubeconfig, tmp_path, "get", "isvc", "churn", "--no-headers").split()[:3] == [
        "churn", f"http://{host}", "True",
    ]  # fmt: skip
    assert kubectl(kubeconfig, tmp_path, "get", "pods", "--no-headers").split()[1:3] == ["1/1", "Running"]
    described = kubectl(kubeconfig, tmp_path, "describe", "isvc", "churn")
    assert "RevisionReady" in described
    assert "loading version 1.0" in kubectl(kubeconfig, tmp_path, "logs", pod)
    fetched = kubectl(kubeconfig, tmp_path, "logs", pod, "-c", "storage-initializer")
    assert "Downloaded object churn/model-store/churn.mar" in fetched


def kubectl(kubeconfig, tmp_path, *arguments):
    environment = {"HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [shutil.which("kubectl"), "-n", NAMESPACE, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
