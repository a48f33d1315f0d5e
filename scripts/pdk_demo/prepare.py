"""Makes what the loop needs on the three systems; what exists already is left as it is.

The same steps a team does once on real clusters: projects, data repo, secret, service account, pipelines.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import kubernetes
from determined.common.api import errors as determined_errors
from pachyderm_sdk.api import pfs, pps

from pdk_demo.systems import DATA_REPO, MODEL, PROJECT, SERVICE_ACCOUNT, SHIPPED, WORKSPACE, Systems

PIPELINES = ("training-pipeline.json", "deployment-pipeline.json", "rollout-pipeline.json")


def prepare(systems: Systems, code_url: str | None = None) -> Iterator[str]:
    """Do every step not done yet, yielding a line about each. `code_url`: folder or git URL of the model code."""
    yield from _data_repo(systems)
    yield from _determined_project(systems)
    yield from _service_account(systems)
    yield from _pipeline_secret(systems, code_url or str(SHIPPED))
    for name in PIPELINES:
        yield from _pipeline(systems, SHIPPED / "pipelines" / name)


def _data_repo(systems: Systems) -> Iterator[str]:
    client = systems.pachyderm.pfs
    project = pfs.Project(name=PROJECT)
    if not client.project_exists(project):
        client.create_project(project=project, description="Customer churn: data, training, serving")
        yield f"pachyderm   project {PROJECT} created"
    repo = pfs.Repo(name=DATA_REPO, type="user", project=project)
    if not client.repo_exists(repo):
        client.create_repo(repo=repo, description="Customer rows, one CSV per delivery")
        yield f"pachyderm   repo {DATA_REPO} created"


def _determined_project(systems: Systems) -> Iterator[str]:
    try:
        workspace = systems.determined.get_workspace(WORKSPACE)
    except determined_errors.NotFoundException:
        workspace = systems.determined.create_workspace(WORKSPACE)
        yield f"determined  workspace {WORKSPACE!r} created"
    if PROJECT not in [project.name for project in workspace.list_projects()]:
        workspace.create_project(PROJECT)
        yield f"determined  project {PROJECT} created"


def _service_account(systems: Systems) -> Iterator[str]:
    """The service account whose secret tells the storage initializer where pachd's S3 gateway is."""
    core = kubernetes.client.CoreV1Api(systems.kubernetes)
    annotations = {"serving.kserve.io/s3-endpoint": systems.s3_address, "serving.kserve.io/s3-usehttps": "0"}
    secret = {
        "metadata": {"name": SERVICE_ACCOUNT, "annotations": annotations},
        "stringData": {"AWS_ACCESS_KEY_ID": "pachyderm", "AWS_SECRET_ACCESS_KEY": "pachyderm"},
    }
    account = {"metadata": {"name": SERVICE_ACCOUNT}, "secrets": [{"name": SERVICE_ACCOUNT}]}
    for create, body in (
        (core.create_namespaced_secret, secret),
        (core.create_namespaced_service_account, account),
    ):
        try:
            create(systems.namespace, body)
        except kubernetes.client.ApiException as error:
            if error.status != 409:
                raise
            continue
        yield f"kubernetes  {create.__name__.removeprefix('create_namespaced_')} {SERVICE_ACCOUNT} created"


def _pipeline_secret(systems: Systems, code_url: str) -> Iterator[str]:
    name = f"{MODEL}-secret"
    if any(info.secret.name == name for info in systems.pachyderm.pps.list_secret().secret_info):
        return
    values = {
        "det_master": systems.master_url,
        "det_user": "determined",
        "det_password": "",
        "pac_token": "",
        "kserve_namespace": systems.namespace,
        "code_url": code_url,
        "code_ref": "",
        "cloud_model_host": "",
        "cloud_model_bucket": "",
    }
    systems.pachyderm.pps.create_secret(name=name, data=values)
    yield f"pachyderm   secret {name} created"


def _pipeline(systems: Systems, path: Path) -> Iterator[str]:
    spec = json.loads(path.read_text())
    pipeline = pps.Pipeline(name=spec["pipeline"]["name"], project=pfs.Project(name=PROJECT))
    try:
        info = systems.pachyderm.pps.inspect_pipeline(pipeline=pipeline, details=True)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        systems.pachyderm.pps.create_pipeline_v2(create_pipeline_request_json=path.read_text())
        yield f"pachyderm   pipeline {pipeline.name} created from pipelines/{path.name}"
        return
    if json.loads(info.user_spec_json) != spec:
        systems.pachyderm.pps.create_pipeline_v2(create_pipeline_request_json=path.read_text(), update=True)
        yield f"pachyderm   pipeline {pipeline.name} updated from pipelines/{path.name}"
