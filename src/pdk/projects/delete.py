"""Undoes `pdk apply`, and what came of it: everything of a project on the three systems.

What serves goes first and the project last, so that a deletion that was cut off can be run again: what is still to be
deleted is found by the project's pipelines, which go when nothing else needs them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import kubernetes
from determined.common.api import errors as determined_errors
from determined.experimental import Determined
from determined.experimental.client import ExperimentState
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from pdk.base.errors import NotFound

_ISVC = ("serving.kserve.io", "v1beta1")
_ROLLOUT, _TRAIN = "-rollout", "-train"
_ENDED = {ExperimentState.COMPLETED, ExperimentState.CANCELED, ExperimentState.ERROR}


@dataclass(frozen=True)
class Found:
    """What belongs to a project: its models, repos and pipelines, and the secrets no other project's pipeline uses."""

    project: str
    models: tuple[str, ...]
    pipelines: tuple[str, ...]
    repos: tuple[str, ...]
    secrets: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Say what will be deleted."""
        for what, names in (
            ("models, with versions, experiments and InferenceServices", self.models),
            ("pipelines, with jobs and output", self.pipelines),
            ("repos, with all data", self.repos),
            ("secrets", self.secrets),
        ):
            if names:
                yield f"{what}: {', '.join(names)}"


def find(client: Client, project: str) -> Found:
    """Look at what is there. Raises NotFound for a project that is not."""
    if not client.pfs.project_exists(pfs.Project(name=project)):
        raise NotFound(f"project {project!r} does not exist")
    pipelines, mine, others = [], set(), set()
    for info in client.pps.list_pipeline(details=True):
        spec = json.loads(info.user_spec_json or "{}")
        secrets = {secret["name"] for secret in spec.get("transform", {}).get("secrets", ())}
        if info.pipeline.project.name == project:
            pipelines.append(info.pipeline.name)
            mine |= secrets
        else:
            others |= secrets
    models = {name.removesuffix(end) for name in pipelines for end in (_ROLLOUT, _TRAIN) if name.endswith(end)}
    repos = client.pfs.list_repo(type="user", projects=[pfs.Project(name=project)])
    return Found(
        project,
        tuple(sorted(models)),
        tuple(sorted(pipelines)),
        tuple(sorted(info.repo.name for info in repos)),
        tuple(sorted(mine - others)),
    )


def delete(
    found: Found, client: Client, determined: Determined, cluster: kubernetes.client.ApiClient, namespace: str
) -> Iterator[str]:
    """Delete it all, yielding a line about each thing."""
    for name in found.models:
        yield from _service(cluster, namespace, name)
    yield from _pipelines_and_repos(found, client)
    for name in found.models:
        yield from _registry(determined, name)
    yield from _determined_project(determined, found.project)
    for name in found.secrets:
        if any(info.secret.name == name for info in client.pps.list_secret().secret_info):
            client.pps.delete_secret(secret=pps.Secret(name=name))
            yield f"pachyderm   secret {name} deleted"
    client.pfs.delete_project(project=pfs.Project(name=found.project))
    yield f"pachyderm   project {found.project} deleted"


def _service(cluster: kubernetes.client.ApiClient, namespace: str, name: str) -> Iterator[str]:
    try:
        kubernetes.client.CustomObjectsApi(cluster).delete_namespaced_custom_object(
            *_ISVC, namespace, "inferenceservices", name
        )
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise
        return
    yield f"kubernetes  InferenceService {name} deleted"


def _pipelines_and_repos(found: Found, client: Client) -> Iterator[str]:
    project = pfs.Project(name=found.project)
    for name in found.pipelines:
        client.pps.delete_pipeline(pipeline=pps.Pipeline(name=name, project=project), force=True)
        yield f"pachyderm   pipeline {name} deleted"
    for name in found.repos:
        reply = client.pfs.delete_repo(repo=pfs.Repo(name=name, type="user", project=project), force=True)
        if reply.deleted:
            yield f"pachyderm   repo {name} deleted"


def _registry(determined: Determined, name: str) -> Iterator[str]:
    """The registered model, then its experiments: a checkpoint that is registered cannot be deleted."""
    for model in determined.list_models(name=name):
        if model.name == name:
            model.delete()
            yield f"determined  model {name} deleted"
    for experiment in determined.list_experiments(labels=[f"{name}{_TRAIN}"]):
        if experiment.state not in _ENDED:
            experiment.kill()
            experiment.wait(interval=0.2)
        experiment.delete()
        yield f"determined  experiment {experiment.id} deleted"


def _determined_project(determined: Determined, project: str) -> Iterator[str]:
    """The project of that name, if nothing but what was deleted was in it."""
    for workspace in determined.list_workspaces():
        for each in workspace.list_projects():
            if each.name != project:
                continue
            try:
                workspace.delete_project(project)
            except determined_errors.APIException as error:
                yield f"determined  project {project} of {workspace.name!r} stays: {error}"
            else:
                yield f"determined  project {project} deleted"
