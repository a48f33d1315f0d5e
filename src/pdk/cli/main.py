"""The `pdk` command: groups, lazy loading, and the one place where errors become text and exit codes.

A command's module is imported when the command runs, so `pdk up` does not pay for the clients `pdk status` needs.
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from pdk.base.errors import PdkError

STACK, PFS, PPS, LOGS = "pdk.cli.stack", "pdk.cli.files", "pdk.cli.objects", "pdk.cli.logs"

COMMANDS: dict[str, str | dict[str, str]] = {
    "up": f"{STACK}:up",
    "down": f"{STACK}:down",
    "env": f"{STACK}:env",
    "serve": f"{STACK}:serve",
    "supervise": f"{STACK}:supervise",
    "status": "pdk.cli.status:status",
    "logs": f"{LOGS}:logs",
    "put": {"file": f"{PFS}:put_file"},
    "get": {"file": f"{PFS}:get_file"},
    "create": {name: f"{PPS}:create_{name}" for name in ("project", "repo", "pipeline", "secret")},
    "update": {"pipeline": f"{PPS}:update_pipeline", "context": f"{PPS}:update_context"},
    "list": {
        **{name: f"{PPS}:list_{name}" for name in ("project", "repo", "commit", "pipeline", "job")},
        "file": f"{PFS}:list_file",
    },
    "inspect": {name: f"{PPS}:inspect_{name}" for name in ("commit", "job")},
    "wait": {name: f"{PPS}:wait_{name}" for name in ("commit", "job")},
    "delete": {"file": f"{PFS}:delete_file", **{name: f"{PPS}:delete_{name}" for name in ("repo", "pipeline")}},
    "start": {"pipeline": f"{PPS}:start_pipeline"},
    "stop": {"pipeline": f"{PPS}:stop_pipeline", "job": f"{PPS}:stop_job"},
}
"""Command words to `module:function`."""

HELP = {
    "put": "Put files into a repo. Example: pdk put file data@master:a.csv -f a.csv",
    "get": "Get files out of a repo. Example: pdk get file data@master:a.csv",
    "create": "Create a project, repo, pipeline or secret. Example: pdk create repo data",
    "update": "Update a pipeline, or the default project. Example: pdk update context --project churn",
    "list": "List projects, repos, commits, files, pipelines or jobs. Example: pdk list job",
    "inspect": "Show one commit or job. Example: pdk inspect job train@<id>",
    "wait": "Wait for a commit or job to end. Example: pdk wait commit data@master",
    "delete": "Delete a file, repo or pipeline. Example: pdk delete file data@master:a.csv",
    "start": "Start a stopped pipeline. Example: pdk start pipeline train",
    "stop": "Stop a pipeline or job. Example: pdk stop job train@<id>",
}


class LazyGroup(click.Group):
    """A group whose commands are named by `module:function` and imported on use."""

    def __init__(self, lazy: Mapping[str, str | dict[str, str]], **more: Any) -> None:
        super().__init__(**more)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command words in the order of the table."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, None when there is no such word."""
        target = self._lazy.get(cmd_name)
        if target is None:
            return None
        if isinstance(target, dict):
            return LazyGroup(target, name=cmd_name, help=HELP[cmd_name])
        module, _, function = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), function)
        return command


cli = LazyGroup(
    COMMANDS,
    name="pdk",
    help="Commit a CSV, get a served model: Pachyderm, Determined and KServe on this machine.\n\n"
    "Example: pdk up && pdk status",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def main() -> None:
    """Run the command line; expected errors are one message on stderr and exit status 1, never a traceback."""
    try:
        # Without standalone mode click returns the exit status a command asked for instead of exiting with it.
        sys.exit(cli.main(standalone_mode=False, prog_name="pdk"))
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (PdkError, ConnectionError) as error:
        sys.exit(_fail(str(error)))
    except Exception as error:
        # grpc is only in the process when a command used it; anything that is no gRPC error is a fault of ours.
        details = getattr(error, "details", None)
        if not callable(details):
            raise
        sys.exit(_fail(str(details())))


def _fail(text: str) -> int:
    click.echo(f"error: {text}", err=True)
    return 1


if __name__ == "__main__":
    main()
