"""Which servers the commands talk to: this stack's, or the real ones the environment names.

Order for pachd, as pachctl has it: `PACHD_ADDRESS`, the active context of `PACH_CONFIG`, this stack (see `pdk up`), the
active context of `~/.pachyderm/config.json`.
"""

import json
import os
from pathlib import Path
from typing import Any

import click
from pachyderm_sdk import Client

from pdk.base.errors import Unavailable
from pdk.cli.stack import load_settings
from pdk.stack import runfile
from pdk.stack.clients import active_context

PROJECT_OPTION = click.option("--project", help="The project; default: the context's, else `default`.")


def pachd() -> Client:
    """Return a client of pachd.

    Raises Unavailable saying what to do when no address is known.
    """
    token = os.environ.get("PACH_TOKEN") or None
    if address := os.environ.get("PACHD_ADDRESS"):
        return Client.from_pachd_address(address, auth_token=token)
    context = _context()
    if not context.get("pachd_address"):
        raise Unavailable(
            "no pachd to talk to: start the stack with `pdk up`, or name a server: PACHD_ADDRESS=host:port, "
            "or PACH_CONFIG=<file written by pachctl connect>"
        )
    return Client.from_pachd_address(context["pachd_address"], auth_token=token or context.get("session_token"))


def project(option: str | None) -> str:
    """Return the project a command works on."""
    return option or str(_context().get("project") or "default")


def config_file() -> Path:
    """Return the pachctl configuration in force (it need not exist)."""
    if path := os.environ.get("PACH_CONFIG"):
        return Path(path)
    stack = load_settings()
    if runfile.read(stack.run_dir, "pachyderm") is not None or stack.pachyderm_config.exists():
        return stack.pachyderm_config
    return Path("~/.pachyderm/config.json").expanduser()


def _context() -> dict[str, Any]:
    path = config_file()
    try:
        return active_context(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise click.UsageError(f"{path}: not a pachctl configuration: {error}") from error
