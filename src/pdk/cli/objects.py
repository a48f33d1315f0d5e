"""Projects, repos, commits, pipelines, jobs and secrets: pachctl's verbs through `pachyderm_sdk`."""

import json
from pathlib import Path

import click
from pachyderm_sdk.api import pfs, pps

from pdk.cli import connect, handles, printing
from pdk.stack import clients


@click.command("project")
@click.argument("name")
@click.option("--description", default="")
def create_project(name: str, description: str) -> None:
    """Create a project.

    Example: pdk create project pdk-customer-churn
    """
    connect.pachd().pfs.create_project(project=pfs.Project(name=name), description=description)


@click.command("repo")
@click.argument("name")
@click.option("--description", default="")
@connect.PROJECT_OPTION
def create_repo(name: str, description: str, project: str | None) -> None:
    """Create a repo.

    Example: pdk create repo customer-churn-data
    """
    connect.pachd().pfs.create_repo(repo=handles.repo(name, connect.project(project)), description=description)


def _submit_pipeline(files: tuple[Path, ...], project: str | None, update: bool, reprocess: bool) -> None:
    client = connect.pachd()
    for path in files:
        try:
            loaded = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise click.UsageError(f"{path}: not a JSON pipeline spec: {error}") from error
        for spec in loaded if isinstance(loaded, list) else [loaded]:
            pipeline = spec.setdefault("pipeline", {}) if isinstance(spec, dict) else {}
            if isinstance(pipeline, dict) and "project" not in pipeline:
                pipeline["project"] = {"name": connect.project(project)}
            client.pps.create_pipeline_v2(
                create_pipeline_request_json=json.dumps(spec), update=update, reprocess=reprocess
            )


FILE_OPTION = click.option(
    "-f", "--file", "files", multiple=True, required=True, type=click.Path(path_type=Path), help="JSON pipeline spec."
)


@click.command("pipeline")
@FILE_OPTION
@connect.PROJECT_OPTION
def create_pipeline(files: tuple[Path, ...], project: str | None) -> None:
    """Create pipelines from JSON specs.

    Example: pdk create pipeline -f pipelines/training-pipeline.json
    """
    _submit_pipeline(files, project, update=False, reprocess=False)


@click.command("pipeline")
@FILE_OPTION
@click.option("--reprocess", is_flag=True, help="Run every datum again, changed or not.")
@connect.PROJECT_OPTION
def update_pipeline(files: tuple[Path, ...], reprocess: bool, project: str | None) -> None:
    """Update pipelines from JSON specs (creates those that do not exist).

    Example: pdk update pipeline -f pipelines/training-pipeline.json
    """
    _submit_pipeline(files, project, update=True, reprocess=reprocess)


@click.command("context")
@click.option("--project", required=True, help="The project later commands work on.")
def update_context(project: str) -> None:
    """Set the default project, as `pachctl config update context --project` does.

    Example: pdk update context --project pdk-customer-churn
    """
    path = connect.config_file()
    if not path.exists():
        raise click.UsageError(f"{path} does not exist; run `pdk up` or `pachctl connect` first")
    clients.set_project(path, project)


@click.command("secret")
@click.argument("name")
@click.option("--from-literal", "literals", multiple=True, required=True, metavar="KEY=VALUE")
@click.option("--replace", is_flag=True, help="Replace a secret of that name.")
def create_secret(name: str, literals: tuple[str, ...], replace: bool) -> None:
    """Create a secret that pipelines refer to.

    Example: pdk create secret pipeline-secret --from-literal det_user=determined --from-literal det_password=
    """
    data = {}
    for literal in literals:
        key, equals, value = literal.partition("=")
        if not equals:
            raise click.UsageError(f"{literal!r}: expected KEY=VALUE")
        data[key] = value
    client = connect.pachd()
    if replace and any(info.secret.name == name for info in client.pps.list_secret().secret_info):
        client.pps.delete_secret(secret=pps.Secret(name=name))
    client.pps.create_secret(name=name, data=data)


@click.command("project")
def list_project() -> None:
    """List projects.

    Example: pdk list project
    """
    rows = [(i.project.name, printing.age(i.created_at), i.description) for i in connect.pachd().pfs.list_project()]
    click.echo(printing.table(("project", "created", "description"), rows))


@click.command("repo")
@connect.PROJECT_OPTION
def list_repo(project: str | None) -> None:
    """List the repos of a project.

    Example: pdk list repo --project pdk-customer-churn
    """
    wanted = [pfs.Project(name=connect.project(project))]
    rows = [
        (
            i.repo.project.name,
            i.repo.name,
            printing.age(i.created),
            printing.size(i.size_bytes_upper_bound),
            i.description,
        )
        for i in connect.pachd().pfs.list_repo(type="user", projects=wanted)
    ]
    click.echo(printing.table(("project", "name", "created", "size (master)", "description"), rows))


@click.command("commit")
@click.argument("target", metavar="REPO[@BRANCH]")
@click.option("-n", "--number", default=0, help="How many at the most; 0 = all.")
@connect.PROJECT_OPTION
def list_commit(target: str, number: int, project: str | None) -> None:
    """List the commits of a repo, newest first.

    Example: pdk list commit customer-churn-data@master
    """
    name = connect.project(project)
    to = handles.commit(target, name) if "@" in target else None
    infos = connect.pachd().pfs.list_commit(
        repo=handles.repo(target.partition("@")[0], name), to=to, number=number, all=True
    )
    rows = [
        (
            i.commit.repo.name,
            i.commit.id,
            pfs.OriginKind(i.origin.kind).name or "",
            printing.age(i.finished),
            printing.size(i.size_bytes_upper_bound),
            i.error or i.description,
        )
        for i in infos
    ]
    click.echo(printing.table(("repo", "commit", "origin", "finished", "size", "description or error"), rows))


@click.command("pipeline")
@connect.PROJECT_OPTION
def list_pipeline(project: str | None) -> None:
    """List the pipelines of a project.

    Example: pdk list pipeline
    """
    wanted = [pfs.Project(name=connect.project(project))]
    rows = [
        (
            i.pipeline.project.name,
            i.pipeline.name,
            str(i.version),
            f"{printing.state(pps.PipelineState(i.state).name or '')}"
            f" / {printing.state(pps.JobState(i.last_job_state).name or '')}",
            i.reason or i.details.description,
        )
        for i in connect.pachd().pps.list_pipeline(projects=wanted)
    ]
    click.echo(printing.table(("project", "name", "version", "state / last job", "reason or description"), rows))


@click.command("job")
@click.option("-p", "--pipeline", help="Only jobs of this pipeline.")
@connect.PROJECT_OPTION
def list_job(pipeline: str | None, project: str | None) -> None:
    """List jobs, newest first.

    Example: pdk list job -p customer-churn-train
    """
    name = connect.project(project)
    wanted = handles.pipeline(pipeline, name) if pipeline else None
    rows = [
        (
            i.job.pipeline.name,
            i.job.id,
            printing.age(i.created),
            printing.duration(i.started, i.finished),
            f"{i.data_processed} + {i.data_skipped} / {i.data_total}",
            printing.state(pps.JobState(i.state).name or ""),
            i.reason.splitlines()[0] if i.reason else "",
        )
        for i in connect.pachd().pps.list_job(projects=[pfs.Project(name=name)], pipeline=wanted, history=-1)
    ]
    click.echo(printing.table(("pipeline", "id", "created", "duration", "progress", "state", "reason"), rows))


def _show_commit(info: pfs.CommitInfo) -> None:
    click.echo(f"Commit: {info.commit.repo.name}@{info.commit.id}")
    if info.parent_commit.id:
        click.echo(f"Parent: {info.parent_commit.id}")
    click.echo(f"Origin: {pfs.OriginKind(info.origin.kind).name}")
    click.echo(f"Started: {printing.age(info.started)}   Finished: {printing.age(info.finished)}")
    click.echo(f"Size: {printing.size(info.size_bytes_upper_bound)}")
    for commit in info.direct_provenance:
        click.echo(f"Provenance: {commit.repo.name}@{commit.id}")
    if info.error:
        click.echo(f"Error: {info.error}")


@click.command("commit")
@click.argument("target", metavar="REPO@COMMIT")
@connect.PROJECT_OPTION
def inspect_commit(target: str, project: str | None) -> None:
    """Show one commit.

    Example: pdk inspect commit customer-churn-data@master
    """
    _show_commit(connect.pachd().pfs.inspect_commit(commit=handles.commit(target, connect.project(project))))


@click.command("commit")
@click.argument("target", metavar="REPO@COMMIT")
@connect.PROJECT_OPTION
def wait_commit(target: str, project: str | None) -> None:
    """Wait until a commit is finished, then show it; exit status 1 when it ended in an error.

    Example: pdk wait commit customer-churn-train@master
    """
    commit = handles.commit(target, connect.project(project))
    info = connect.pachd().pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED)
    _show_commit(info)
    if info.error:
        raise click.exceptions.Exit(1)


def _show_job(info: pps.JobInfo) -> None:
    click.echo(f"Job: {info.job.pipeline.name}@{info.job.id}")
    click.echo(f"State: {printing.state(pps.JobState(info.state).name or '')}")
    if info.reason:
        click.echo(f"Reason: {info.reason}")
    click.echo(f"Created: {printing.age(info.created)}   Duration: {printing.duration(info.started, info.finished)}")
    click.echo(
        f"Datums: {info.data_processed} processed, {info.data_skipped} skipped, {info.data_failed} failed, "
        f"{info.data_total} in all"
    )


@click.command("job")
@click.argument("target", metavar="PIPELINE@JOB")
@connect.PROJECT_OPTION
def inspect_job(target: str, project: str | None) -> None:
    """Show one job, with the reason when it failed.

    Example: pdk inspect job customer-churn-train@<id>
    """
    _show_job(connect.pachd().pps.inspect_job(job=handles.job(target, connect.project(project)), details=True))


@click.command("job")
@click.argument("target", metavar="PIPELINE@JOB")
@connect.PROJECT_OPTION
def wait_job(target: str, project: str | None) -> None:
    """Wait until a job has ended, then show it; exit status 1 unless it succeeded.

    Example: pdk wait job customer-churn-train@<id>
    """
    job = handles.job(target, connect.project(project))
    info = connect.pachd().pps.inspect_job(job=job, wait=True, details=True)
    _show_job(info)
    if info.state != pps.JobState.JOB_SUCCESS:
        raise click.exceptions.Exit(1)


@click.command("repo")
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if branches elsewhere depend on it.")
@connect.PROJECT_OPTION
def delete_repo(name: str, force: bool, project: str | None) -> None:
    """Delete a repo with all its commits.

    Example: pdk delete repo old-data
    """
    reply = connect.pachd().pfs.delete_repo(repo=handles.repo(name, connect.project(project)), force=force)
    if not reply.deleted:
        click.echo("No repo deleted.")


@click.command("pipeline")
@click.argument("name")
@click.option("--force", is_flag=True, help="Even if other pipelines read its output.")
@connect.PROJECT_OPTION
def delete_pipeline(name: str, force: bool, project: str | None) -> None:
    """Delete a pipeline with its jobs and output.

    Example: pdk delete pipeline customer-churn-rollout
    """
    pipeline = handles.pipeline(name, connect.project(project))
    connect.pachd().pps.delete_pipeline(pipeline=pipeline, force=force, must_exist=True)


@click.command("pipeline")
@click.argument("name")
@connect.PROJECT_OPTION
def start_pipeline(name: str, project: str | None) -> None:
    """Start a stopped pipeline.

    Example: pdk start pipeline customer-churn-train
    """
    connect.pachd().pps.start_pipeline(pipeline=handles.pipeline(name, connect.project(project)))


@click.command("pipeline")
@click.argument("name")
@connect.PROJECT_OPTION
def stop_pipeline(name: str, project: str | None) -> None:
    """Stop a pipeline: its jobs end, new commits start none.

    Example: pdk stop pipeline customer-churn-train
    """
    pipeline = handles.pipeline(name, connect.project(project))
    connect.pachd().pps.stop_pipeline(pipeline=pipeline, must_exist=True)


@click.command("job")
@click.argument("target", metavar="PIPELINE@JOB")
@connect.PROJECT_OPTION
def stop_job(target: str, project: str | None) -> None:
    """Stop a job; its output commit ends with an error.

    Example: pdk stop job customer-churn-train@<id>
    """
    connect.pachd().pps.stop_job(job=handles.job(target, connect.project(project)))
