"""`pdk logs`: what user code printed, or what a server of this stack wrote."""

import time
from pathlib import Path

import click

from pdk.cli import connect, handles
from pdk.cli.stack import load_settings
from pdk.stack.settings import SYSTEMS
from pdk.stack.supervisor import SUPERVISOR, tail


@click.command()
@click.option("-p", "--pipeline", help="Lines of this pipeline.")
@click.option("-j", "--job", help="Lines of one job: PIPELINE@JOB.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until interrupted.")
@click.option("--worker", is_flag=True, help="The worker's own lines too.")
@click.option("--server", type=click.Choice([*SYSTEMS, SUPERVISOR]), help="The log of a server of this stack.")
@connect.PROJECT_OPTION
def logs(
    pipeline: str | None, job: str | None, follow: bool, worker: bool, server: str | None, project: str | None
) -> None:
    """Show the log of a pipeline, of a job, or of a server.

    Example: pdk logs -j customer-churn-train@<id>
    """
    if server is not None:
        _server_log(load_settings().log_dir / f"{server}.log", follow)
        return
    if not (pipeline or job):
        raise click.UsageError("say which: -p PIPELINE, -j PIPELINE@JOB or --server NAME")
    name = connect.project(project)
    messages = connect.pachd().pps.get_logs(
        pipeline=handles.pipeline(pipeline, name) if pipeline else None,
        job=handles.job(job, name) if job else None,
        follow=follow,
    )
    for message in messages:
        if message.user or worker:
            click.echo(message.message)


def _server_log(path: Path, follow: bool) -> None:
    if not path.is_file():
        raise click.UsageError(f"{path} does not exist; was this stack ever started (`pdk up`)?")
    click.echo(tail(path, 200))
    with path.open(errors="replace") as file:
        file.seek(0, 2)
        while follow:
            line = file.readline()
            if line:
                click.echo(line, nl=False)
            else:
                time.sleep(0.2)
