"""`pdk up`, `down`, `env`, `serve` and `supervise`: the life of the stack."""

import logging
import os
import shlex
import sysconfig

import click

from pdk.base.errors import PdkError
from pdk.stack import clients, runfile, supervisor
from pdk.stack import serve as servers
from pdk.stack import settings as stack_settings
from pdk.stack.settings import SYSTEMS, Settings

START_TIMEOUT_SECONDS = 60.0


def load_settings() -> Settings:
    """Return the settings of this user's stack; raise BadSettings naming file or variable and key."""
    return stack_settings.load(os.environ)


@click.command()
@click.option("--only", "systems", multiple=True, type=click.Choice(SYSTEMS), help="Start only these; default: all.")
@click.option("--foreground", is_flag=True, help="Stay in this terminal until interrupted.")
def up(systems: tuple[str, ...], foreground: bool) -> None:
    """Start the servers and wait until they answer; does nothing when they run already.

    Example: pdk up && eval "$(pdk env)" && det user whoami
    """
    chosen = systems or SYSTEMS
    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if foreground:
        _supervise(settings, chosen)
        return
    running = runfile.read(settings.run_dir, supervisor.SUPERVISOR) is not None
    if not running:
        for system in chosen:
            runfile.write_restarts(settings.run_dir, system, 0)
        supervisor.start_detached(settings, dict(os.environ), chosen)
    try:
        runs = supervisor.wait_ready(settings, chosen, START_TIMEOUT_SECONDS)
    except PdkError:
        if not running:  # what ran before this command goes on serving, whatever is missing beside it
            supervisor.stop(settings)
        raise
    for line in addresses(settings, runs):
        click.echo(line)


def addresses(settings: Settings, runs: dict[str, runfile.RunFile]) -> list[str]:
    """Return one line per address of the running systems."""
    host, lines = settings.host, []
    if run := runs.get("pachyderm"):
        lines.append(f"pachd       grpc://{host}:{run.ports['grpc']}   S3 gateway http://{host}:{run.ports['s3']}")
    if run := runs.get("determined"):
        lines.append(f"determined  http://{host}:{run.ports['http']}")
    if run := runs.get("kserve"):
        lines.append(f"kubernetes  https://{host}:{run.ports['https']}   ingress http://{host}:{run.ports['ingress']}")
    return lines


@click.command()
def down() -> None:
    """Stop the servers and everything they started; data stays.

    Example: pdk down
    """
    settings = load_settings()
    click.echo("stopped" if supervisor.stop(settings) else f"nothing of {settings.home} was running")


@click.command()
def env() -> None:
    """Print the variables that point the shell, pachctl, det, kubectl and the SDKs at this stack.

    PATH is extended only by a shell that lacks the folder of `pdk` and `det`, so evaluating this twice changes nothing.

    Example: eval "$(pdk env)"
    """
    settings = load_settings()
    determined, kserve = (runfile.read(settings.run_dir, system) for system in ("determined", "kserve"))
    variables = clients.environment(
        settings,
        master_port=settings.master_port if determined is None else determined.ports["http"],
        ingress_port=settings.ingress_port if kserve is None else kserve.ports["ingress"],
    )
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    programs = shlex.quote(sysconfig.get_path("scripts"))
    click.echo(f'case ":$PATH:" in *:{programs}:*) ;; *) export PATH={programs}:"$PATH" ;; esac')


@click.command()
@click.argument("system", type=click.Choice(SYSTEMS))
def serve(system: str) -> None:
    """Run one server in this terminal, without restarts.

    Example: pdk serve determined
    """
    _log_to_stderr()
    servers.serve(system, load_settings(), dict(os.environ))


@click.command(hidden=True)
@click.argument("systems", nargs=-1, type=click.Choice(SYSTEMS))
def supervise(systems: tuple[str, ...]) -> None:
    """Keep the servers running (started by `pdk up`).

    Example: pdk supervise pachyderm determined kserve
    """
    _supervise(load_settings(), systems or SYSTEMS)


def _supervise(settings: Settings, systems: tuple[str, ...]) -> None:
    _log_to_stderr()
    supervisor.Supervisor(settings, dict(os.environ), systems).run()


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
