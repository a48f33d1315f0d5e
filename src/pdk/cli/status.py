"""`pdk status`: what runs, what every pipeline did last and why, what serves; through the official clients.

Works on any mix of this stack and real systems (see `systems`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import click
import grpc
import kubernetes
import urllib3
from determined.common.api.errors import BadRequestException, MasterNotFoundException
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from pdk.base.errors import PdkError
from pdk.cli import connect, printing, systems
from pdk.cli.stack import addresses, load_settings
from pdk.stack import runfile
from pdk.stack.settings import SYSTEMS, Settings

SHOWN_EXPERIMENTS = 5
# What the clients raise when a system is away or refuses.
UNAVAILABLE = (
    PdkError,
    OSError,
    BadRequestException,
    kubernetes.client.ApiException,
    kubernetes.config.ConfigException,
    urllib3.exceptions.HTTPError,
)


@click.command()
@click.option("--project", help="Only pipelines of this project; default: all.")
def status(project: str | None) -> None:
    """Show the servers, the last job of every pipeline with its reason, experiments and InferenceServices.

    Example: pdk status
    """
    settings = load_settings()
    click.echo("SERVERS")
    for line in _servers(settings):
        click.echo(f"  {line}")
    _section("PIPELINES", lambda: _pipelines(connect.pachd(), project))
    _section("EXPERIMENTS", lambda: _experiments(settings))
    _section("INFERENCESERVICES", lambda: _inference_services(settings))


def _section(title: str, lines: Callable[[], Iterator[str]]) -> None:
    """Print one section; a system that does not answer is said so and does not hide the others."""
    click.echo(f"\n{title}")
    try:
        for line in lines():
            click.echo(f"  {line}")
    except grpc.RpcError as error:
        click.echo(f"  not available: {error.details()}")  # type: ignore[attr-defined]
    except UNAVAILABLE as error:
        click.echo(f"  not available: {_brief(error)}")


def _brief(error: Exception) -> str:
    """Return the cause of a client's error without the layers of its HTTP library."""
    if isinstance(error, urllib3.exceptions.MaxRetryError | MasterNotFoundException):
        return "no server answers there (pdk up)"
    return str(error)


def _servers(settings: Settings) -> Iterator[str]:
    runs = {system: run for system in SYSTEMS if (run := runfile.read(settings.run_dir, system)) is not None}
    yield from addresses(settings, runs)
    missing = [system for system in SYSTEMS if system not in runs]
    if missing:
        yield f"not running: {', '.join(missing)}   (pdk up; pdk logs --server {missing[0]})"


def _pipelines(client: Client, project: str | None) -> Iterator[str]:
    wanted = [pfs.Project(name=project)] if project else None
    rows, reasons = [], []
    for info in client.pps.list_pipeline(projects=wanted):
        job = next(iter(client.pps.list_job(pipeline=info.pipeline, history=-1, number=1)), None)
        name = f"{info.pipeline.project.name}/{info.pipeline.name}"
        state = printing.state(pps.PipelineState(info.state).name or "")
        if job is None:
            rows.append((name, state, "-", "-", "-"))
            continue
        job_state = printing.state(pps.JobState(job.state).name or "")
        rows.append((name, state, job.job.id, job_state, printing.duration(job.started, job.finished)))
        for reason in filter(None, (info.reason, job.reason)):
            reasons.append(f"{name}: {reason}")
    yield from printing.table(("pipeline", "state", "last job", "job state", "took"), rows).splitlines()
    for reason in reasons:
        yield ""
        yield from reason.splitlines()


def _experiments(settings: Settings) -> Iterator[str]:
    client = systems.determined(settings)
    experiments = sorted(client.list_experiments(), key=lambda e: e.id, reverse=True)[:SHOWN_EXPERIMENTS]
    rows = [
        (str(e.id), e.name or "", str(e.state.value).removeprefix("STATE_"), f"{100 * (e.progress or 0):.0f}%")
        for e in experiments
    ]
    yield from printing.table(("id", "name", "state", "progress"), rows).splitlines()


def _inference_services(settings: Settings) -> Iterator[str]:
    api = kubernetes.client.CustomObjectsApi(systems.cluster(settings))
    found = api.list_cluster_custom_object("serving.kserve.io", "v1beta1", "inferenceservices")["items"]
    rows: list[tuple[str, ...]] = []
    reasons: list[str] = []
    for item in found:
        meta, state = item["metadata"], item.get("status", {})
        conditions = {c["type"]: c for c in state.get("conditions", [])}
        ready = conditions.get("Ready", {})
        predictor = state.get("components", {}).get("predictor", {})
        name = f"{meta['namespace']}/{meta['name']}"
        rows.append(
            (name, ready.get("status", "Unknown"), state.get("url", "-"), predictor.get("latestReadyRevision", "-"))
        )
        if ready.get("status") != "True":
            reasons.extend(_why_not_ready(name, ready, state))
    yield from printing.table(("name", "ready", "url", "serving revision"), rows).splitlines()
    yield from reasons


def _why_not_ready(name: str, ready: dict[str, Any], state: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"{name}: {ready.get('reason', '')} {ready.get('message', '')}".rstrip()
    failure = state.get("modelStatus", {}).get("lastFailureInfo")
    if failure:
        yield f"{failure.get('reason', '')}:"
        yield from str(failure.get("message", "")).splitlines()
