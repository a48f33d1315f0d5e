"""Makes what a model's folder needs on the three systems, and nothing that is there already.

Every step looks first and may be repeated: applied half, again, or twice at once, the end is the same. Only the
official clients are used, so a real cluster is set up the same way.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import kubernetes
from determined.common.api import errors as determined_errors
from determined.experimental import Determined
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from pdk.base.errors import InvalidArgument
from pdk.projects import code, pipelines
from pdk.projects.model_file import ModelFile

_CONFLICT = 409


@dataclass(frozen=True)
class Target:
    """Clients of the systems a model is set up on, and what its jobs need to know of them.

    `secret`: values of the model's secret, by key. `s3_endpoint`: host:port of pachd's S3 gateway as the storage
    initializer reaches it; None leaves the service account as it is.
    """

    pachyderm: Client
    determined: Determined
    kubernetes: kubernetes.client.ApiClient
    namespace: str
    secret: Mapping[str, str]
    s3_endpoint: str | None


def apply(folder: Path, model: ModelFile, target: Target, *, regenerate: bool = False) -> Iterator[str]:
    """Do every step not done yet, yielding a line about each thing.

    `regenerate`: write the pipelines' files anew from model.yaml. Raises InvalidArgument for what is wrong in the
    folder before anything is made, and what the clients raise.
    """
    specs = _specs(folder, model, regenerate=regenerate)
    files = code.collect(folder) if model.code.git_sub_dir is None else None
    yield from _pachyderm(model, target.pachyderm)
    yield from _determined(model, target.determined)
    yield from _service_account(model, target)
    yield _secret(model, target)
    if files is not None:
        yield code.commit(target.pachyderm, model.project, model.code.repo, files)
    for name, spec, edited in specs:
        yield from _pipeline(target.pachyderm, model.project, name, spec, edited=edited)


def _specs(folder: Path, model: ModelFile, *, regenerate: bool) -> list[tuple[str, dict[str, Any], bool]]:
    """(file name, pipeline, whether it is another than model.yaml gives); files that are missing are written."""
    found = []
    for name, text in pipelines.render(model).items():
        path = folder / model.pipelines / name
        if regenerate or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made = json.loads(text)
        spec = _read_spec(path, made["pipeline"])
        found.append((name, spec, spec != made))
    return found


def _read_spec(path: Path, handle: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline's file, if it is the pipeline model.yaml means."""
    try:
        spec = json.loads(path.read_text())
    except ValueError as error:
        raise InvalidArgument(f"{path}: not JSON: {error}; --regenerate writes it anew") from error
    if not isinstance(spec, dict) or spec.get("pipeline") != handle:
        raise InvalidArgument(
            f"{path} is not pipeline {handle['name']} of project {handle['project']['name']}: model.yaml names that; "
            "correct one of them, or let --regenerate write the file anew"
        )
    return spec


def _pachyderm(model: ModelFile, client: Client) -> Iterator[str]:
    project = pfs.Project(name=model.project)
    made = _made(client.pfs.create_project, project=project, description=model.description)
    yield f"pachyderm   project {model.project} {made}"
    repos = [(model.data_repo, "Data, a file per delivery")]
    if model.code.git_sub_dir is None:
        repos.append((model.code.repo, "Code of the experiment, its model.yaml and what is served"))
    for name, description in repos:
        made = _made(client.pfs.create_repo, repo=code.repo(model.project, name), description=description)
        yield f"pachyderm   repo {name} {made}"


def _made(create: Callable[..., Any], **arguments: Any) -> str:
    """Create something unless it is there, whoever made it, and say so."""
    try:
        create(**arguments)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:  # type: ignore[attr-defined]
            raise
        return "is there"
    except (determined_errors.APIException, kubernetes.client.ApiException) as error:
        if _status(error) != _CONFLICT:
            raise
        return "is there"
    return "created"


def _status(error: Exception) -> Any:
    return getattr(error, "status", None) or getattr(error, "status_code", None)


def _determined(model: ModelFile, client: Determined) -> Iterator[str]:
    made = "is there"
    try:
        workspace = client.get_workspace(model.workspace)
    except determined_errors.NotFoundException:
        made = _made(client.create_workspace, name=model.workspace)
        workspace = client.get_workspace(model.workspace)
    yield f"determined  workspace {model.workspace!r} {made}"
    made = "is there"
    if model.project not in [project.name for project in workspace.list_projects()]:
        made = _made(workspace.create_project, name=model.project, description=model.description)
    yield f"determined  project {model.project} {made}"


def _service_account(model: ModelFile, target: Target) -> Iterator[str]:
    """The account whose secret tells KServe's storage initializer where pachd's S3 gateway is."""
    name = model.rollout.service_account
    if target.s3_endpoint is None:
        yield f"kubernetes  service account {name} left alone: the address of pachd's S3 gateway is not known"
        return
    core = kubernetes.client.CoreV1Api(target.kubernetes)
    annotations = {"serving.kserve.io/s3-endpoint": target.s3_endpoint, "serving.kserve.io/s3-usehttps": "0"}
    secret = {
        "metadata": {"name": name, "annotations": annotations},
        "stringData": {"AWS_ACCESS_KEY_ID": "pachyderm", "AWS_SECRET_ACCESS_KEY": "pachyderm"},
    }
    account = {"metadata": {"name": name}, "secrets": [{"name": name}]}
    made = _made(core.create_namespaced_secret, namespace=target.namespace, body=secret)
    if made == "is there":
        core.patch_namespaced_secret(name, target.namespace, {"metadata": {"annotations": annotations}})
    made = _made(core.create_namespaced_service_account, namespace=target.namespace, body=account)
    yield f"kubernetes  service account {name} {made}"


def _secret(model: ModelFile, target: Target) -> str:
    """Pachyderm can neither read nor change a secret: one that is there is made anew."""
    client = target.pachyderm.pps
    for _ in range(3):
        there = any(info.secret.name == model.secret for info in client.list_secret().secret_info)
        try:
            if there:
                client.delete_secret(secret=pps.Secret(name=model.secret))
            client.create_secret(name=model.secret, data=dict(target.secret))
        except grpc.RpcError as error:  # another apply was between
            if error.code() not in (grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND):  # type: ignore[attr-defined]
                raise
            continue
        return f"pachyderm   secret {model.secret} {'updated' if there else 'created'}"
    return f"pachyderm   secret {model.secret} is there"


def _pipeline(client: Client, project: str, file: str, spec: Mapping[str, Any], *, edited: bool) -> Iterator[str]:
    name = spec["pipeline"]["name"]
    if edited:
        yield f"pachyderm   {file} differs from what model.yaml gives: applied as it stands (--regenerate)"
    handle = pps.Pipeline(name=name, project=pfs.Project(name=project))
    text = json.dumps(spec)
    try:
        info = client.pps.inspect_pipeline(pipeline=handle, details=True)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:  # type: ignore[attr-defined]
            raise
        made = _made(client.pps.create_pipeline_v2, create_pipeline_request_json=text)
        yield f"pachyderm   pipeline {name} {made}"
        return
    if json.loads(info.user_spec_json) == spec:
        yield f"pachyderm   pipeline {name} is there"
        return
    client.pps.create_pipeline_v2(create_pipeline_request_json=text, update=True)
    yield f"pachyderm   pipeline {name} updated"
