"""The `pdk` command: groups, lazy loading, and the one place where errors become text and exit codes.

A command's module is imported when the command runs: neither a list of commands nor `pdk up` pays for the clients that
`pdk status` needs.
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from pdk.base.errors import PdkError
from pdk.cli.commands import COMMANDS, CommandEntry, GroupEntry


class LazyGroup(click.Group):
    """A group that lists its commands from the table and imports a command when it is used."""

    def __init__(self, entries: Mapping[str, CommandEntry | GroupEntry], **more: Any) -> None:
        super().__init__(**more)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command words in the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, None when there is no such word."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        if isinstance(entry, GroupEntry):
            return LazyGroup(entry.nouns, name=cmd_name, help=f"{entry.help}\n\nExample: {entry.example}")
        module, _, function = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the words and their short help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(word, entry.help) for word, entry in self._entries.items() if entry.help])


cli = LazyGroup(
    COMMANDS,
    name="pdk",
    help="Commit a CSV, get a served model: Pachyderm, Determined and KServe on this machine.\n\n"
    "Example: pdk up && pdk status",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
click.version_option(package_name="pdk", message="%(prog)s %(version)s")(cli)


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
