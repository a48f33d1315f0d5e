"""The Kubernetes API as the rollout needs it: KServeClient to write, the Kubernetes client beneath it where the SDK
hides errors. Called by `rollout.py`.

KServeClient turns every ApiException into a RuntimeError, so "is it there?" is asked beneath it: 404 means absent,
anything else is an error. Failures that pass by themselves (no connection, 429, 5xx) are `Unreachable`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import urllib3
from kserve import KServeClient, V1beta1InferenceService
from kubernetes.client import ApiException, V1DeleteOptions, V1Preconditions
from kubernetes.config import ConfigException

from deployment import isvc
from deployment.errors import ClusterError, InputError

REQUEST_SECONDS = 20
CONTAINERS = ("storage-initializer", "kserve-container")
# Annotation of a serving runtime: the Python of its image, such as "3.9".
PYTHON = "pdk/python"
INFERENCE_SERVICE_LABEL = "serving.kserve.io/inferenceservice"

T = TypeVar("T")


class Unreachable(ClusterError):
    """The API cannot be reached or is overloaded at the moment; asking again later may help."""


class Conflicting(ClusterError):
    """The object changed, appeared or vanished between reading and writing it."""


class Cluster:
    """One namespace of one cluster."""

    def __init__(self, config_file: str | None, namespace: str) -> None:
        self.namespace = namespace
        try:
            # The named file, else the pod's own account, else $KUBECONFIG or ~/.kube/config.
            self._client = KServeClient(config_file=config_file)
        except (ConfigException, OSError, ValueError) as error:
            raise ClusterError(f"no access to a cluster: {error}; give --k8s-config-file or set KUBECONFIG") from error

    def get(self, name: str) -> dict[str, Any] | None:
        """Read the InferenceService; None if, and only if, the API says 404."""
        arguments = (isvc.GROUP, isvc.VERSION, self.namespace, isvc.PLURAL, name)
        call = self._client.api_instance.get_namespaced_custom_object
        try:
            found: dict[str, Any] = _calling(f"read InferenceService {name}", call, *arguments)
        except _Absent:
            return None
        return found

    def create(self, service: V1beta1InferenceService) -> dict[str, Any]:
        """Create it. Raises `Conflicting` if it exists by now."""
        name = service.metadata.name
        try:
            return _written(f"create InferenceService {name}", self._client.create, service, namespace=self.namespace)
        except _Absent as error:
            raise ClusterError(
                f"{error}; does namespace {self.namespace} exist, and is KServe installed "
                f"({isvc.PLURAL}.{isvc.GROUP} {isvc.VERSION})?"
            ) from error

    def replace(self, service: V1beta1InferenceService) -> dict[str, Any]:
        """Replace the state its resourceVersion names. Raises `Conflicting` if another is current."""
        name = service.metadata.name
        what = f"replace InferenceService {name}"
        try:
            return _written(what, self._client.replace, name, service, namespace=self.namespace)
        except _Absent as error:
            raise Conflicting(str(error)) from error

    def restore(self, document: Mapping[str, Any]) -> None:
        """Replace the state whose resourceVersion the document names. Raises `Conflicting` if another is current."""
        name = document["metadata"]["name"]
        arguments = (isvc.GROUP, isvc.VERSION, self.namespace, isvc.PLURAL, name, document)
        call = self._client.api_instance.replace_namespaced_custom_object
        try:
            _calling(f"replace InferenceService {name}", call, *arguments)
        except _Absent as error:
            raise Conflicting(str(error)) from error

    def delete(self, name: str, resource_version: str) -> None:
        """Delete the state that `resource_version` names. Raises `Conflicting` if another is current."""
        arguments = (isvc.GROUP, isvc.VERSION, self.namespace, isvc.PLURAL, name)
        options = V1DeleteOptions(preconditions=V1Preconditions(resource_version=resource_version))
        call = self._client.api_instance.delete_namespaced_custom_object
        try:
            _calling(f"delete InferenceService {name}", call, *arguments, body=options)
        except _Absent as error:
            raise Conflicting(str(error)) from error

    def ingress(self) -> str | None:
        """Give host:port of the Istio ingress gateway, if there is one this account may read."""
        call = self._client.core_api.read_namespaced_service
        try:
            service = _calling("read the ingress gateway", call, "istio-ingressgateway", "istio-system")
        except (_Absent, _Forbidden):
            return None
        entries = (service.status.load_balancer.ingress if service.status.load_balancer else None) or []
        ports = [port.port for port in service.spec.ports or [] if port.name == "http2"]
        host = next((entry.ip or entry.hostname for entry in entries if entry.ip or entry.hostname), None)
        return f"{host}:{ports[0]}" if host and ports else None

    def runtime_python(self, name: str) -> str | None:
        """The Python that a serving runtime of this namespace, or of the cluster, says it has; None if it says nothing.

        Raises `InputError` if the API says that there is no such runtime.
        """
        api, group = self._client.api_instance, (isvc.GROUP, "v1alpha1")
        what = f"read serving runtime {name}"
        try:
            arguments = (*group, self.namespace, "servingruntimes", name)
            found = _calling(what, api.get_namespaced_custom_object, *arguments)
        except _Absent:
            try:
                found = _calling(what, api.get_cluster_custom_object, *group, "clusterservingruntimes", name)
            except _Absent as error:
                raise InputError(f"--runtime {name}: no serving runtime of {self.namespace} has this name") from error
            except _Forbidden:
                return None
        except _Forbidden:
            return None
        value = (found["metadata"].get("annotations") or {}).get(PYTHON)
        return None if value is None else str(value)

    def events(self, name: str) -> list[str]:
        """Give the events about the InferenceService, oldest first, as text."""
        call = self._client.core_api.list_namespaced_event
        selector = f"involvedObject.name={name},involvedObject.kind=InferenceService"
        found = _calling(f"list events of {name}", call, self.namespace, field_selector=selector)
        return [f"{event.type} {event.reason}: {event.message}" for event in found.items]

    def newest_pod(self, name: str) -> str | None:
        """Give the name of the youngest pod of the InferenceService."""
        call = self._client.core_api.list_namespaced_pod
        selector = f"{INFERENCE_SERVICE_LABEL}={name}"
        pods = _calling(f"list pods of {name}", call, self.namespace, label_selector=selector).items
        return max(pods, key=lambda pod: str(pod.metadata.creation_timestamp)).metadata.name if pods else None

    def log(self, pod: str, container: str, lines: int) -> str:
        """Give the last lines one container wrote."""
        call = self._client.core_api.read_namespaced_pod_log
        # Undecoded: kubernetes 36 gives the text of a bytes literal otherwise.
        answer = _calling(
            f"read the log of {pod}/{container}", call, pod, self.namespace,
            container=container, tail_lines=lines, _preload_content=False,
        )  # fmt: skip
        text: str = answer.data.decode(errors="replace")
        return text


class _Absent(ClusterError):
    """404."""


class _Forbidden(ClusterError):
    """401 or 403."""


def _calling(what: str, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Make one call of the Kubernetes client; errors come out as this module's."""
    try:
        return call(*arguments, **options, _request_timeout=REQUEST_SECONDS)
    except ApiException as error:
        raise _translate(what, error) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(f"cannot {what}: {error}") from error


def _written(what: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> dict[str, Any]:
    """Make one call of KServeClient; the ApiException it swallowed hangs on its RuntimeError."""
    try:
        written: dict[str, Any] = call(*arguments, **options)
    except RuntimeError as error:
        if isinstance(error.__context__, ApiException):
            raise _translate(what, error.__context__) from error
        raise
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(f"cannot {what}: {error}") from error
    return written


def _translate(what: str, error: ApiException) -> ClusterError:
    status = error.status or 0
    text = f"cannot {what}: {status} {error.reason}: {_message(error)}"
    if status == 404:
        return _Absent(text)
    if status in (401, 403):
        return _Forbidden(f"{text}; give this account the right, or another --k8s-config-file")
    if status == 409:
        return Conflicting(text)
    return Unreachable(text) if status == 429 or status >= 500 or status == 0 else ClusterError(text)


def _message(error: ApiException) -> str:
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
    return body.strip()[:1000]
