"""`repo@branch:path` as pachctl writes it, and the messages it stands for."""

import click
from pachyderm_sdk.api import pfs, pps

from pdk.base.ids import is_id


def repo(text: str, project: str) -> pfs.Repo:
    """Parse `repo` or `repo.type`."""
    name, _, kind = text.partition(".")
    return pfs.Repo(name=name, type=kind or "user", project=pfs.Project(name=project))


def commit(text: str, project: str) -> pfs.Commit:
    """Parse `repo@branch-or-commit`; raise a usage error when the `@` is missing."""
    name, at, reference = text.partition("@")
    if not (name and at and reference):
        raise click.UsageError(f"{text!r}: expected repo@branch or repo@commit, for example data@master")
    handle = repo(name, project)
    if is_id(reference) or not reference.replace("-", "").replace("_", "").isalnum():
        return pfs.Commit(repo=handle, id=reference, branch=pfs.Branch(repo=handle, name=""))
    return pfs.Commit(repo=handle, branch=pfs.Branch(repo=handle, name=reference))


def file(text: str, project: str) -> pfs.File:
    """Parse `repo@branch-or-commit[:path]`; the path is `/` when it is not given."""
    reference, _, path = text.partition(":")
    return pfs.File(commit=commit(reference, project), path=path or "/")


def job(text: str, project: str) -> pps.Job:
    """Parse `pipeline@job-id`; raise a usage error when a part is missing."""
    name, at, job_id = text.partition("@")
    if not (name and at and job_id):
        raise click.UsageError(f"{text!r}: expected pipeline@job-id")
    return pps.Job(pipeline=pipeline(name, project), id=job_id)


def pipeline(name: str, project: str) -> pps.Pipeline:
    """Return the message for a pipeline's name."""
    return pps.Pipeline(name=name, project=pfs.Project(name=project))
