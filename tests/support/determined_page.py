"""Writes docs/compatibility/determined.md: what works, from the routes of the handlers, and what clients could call.

Called by the test that keeps the page current (`PDK_WRITE_DOCS=1` writes it). The list of all calls comes from the
installed client's bindings, read as text: nothing of the client is imported.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from pdk.determined.api.app import HANDLERS
from pdk.determined.master.settings import VERSION
from pdk.web.routing import Route, routes_of

INTRODUCTION = f"""# Determined: what the embedded master answers

The master speaks the REST API of Determined {VERSION}; the SDK (`determined.experimental`), the command line (`det`)
and the harness of a managed trial work against it unchanged. This page is generated from the routes of the handlers
in `src/pdk/determined/api`; a test fails when it is not current.

What is not listed answers 501 with the error object of the original (`Unimplemented`), never an empty success.

## How it differs from a cluster

- One machine is the one agent, one slot is room for one trial; `slots_per_trial` above 1 is refused.
  A `resource_pool` of another cluster runs in the one pool here; the trial's log and the experiment's description say
  so.
- Searchers: `single`, `random`, `grid`. Checkpoint storage: `shared_fs`, `directory`. Other ones are refused by name.
- A trial is a child process with Determined's own harness in a private mount namespace, not a container:
  `environment.image` and the settings of clusters (`pod_spec`, `slurm`, `pbs`, ports, devices) are accepted and have
  no effect. `environment_variables`, `bind_mounts` (folders) and `startup-hook.sh` work; what the hook installs with
  pip goes into a folder of the experiment.
- An experiment continued with `parentId` runs the code that is sent with it. The original ignores it and runs the
  parent's; the parent's is used here only when none is sent.
- A failed experiment without a description of its own shows the reason in its description.
- After a crash of the master its trials are ended and run again from their latest checkpoint; that does not count as a
  restart.
"""


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for title, module in HANDLERS.items():
        parts.append(f"## {title}\n\n| call | what it does | limits |\n|---|---|---|\n")
        parts.append("".join(f"| `{r.method} {r.path}` | {r.about} | {r.partial} |\n" for r in routes_of(module)))
        parts.append("\n")
    parts.append(_unserved())
    return "".join(parts)


def _unserved() -> str:
    missing = sorted(set(client_calls()) - {shape(route) for route in routes_of(*HANDLERS.values())})
    groups: dict[str, list[str]] = {}
    for method, path in missing:
        groups.setdefault(path.removeprefix("/api/v1").strip("/").split("/")[0], []).append(
            f"`{method} {path.removeprefix('/api/v1')}`"
        )
    lines = [f"- {name}: {', '.join(calls)}\n" for name, calls in sorted(groups.items())]
    return (
        f"## Not available (501)\n\n{len(missing)} calls of the client's bindings, below `/api/v1`:\n\n{''.join(lines)}"
    )


def shape(route: Route) -> tuple[str, str]:
    """Return method and path with anonymous parameters."""
    return route.method, re.sub(r"\{[^}]*\}", "{}", route.path)


def client_calls() -> Iterator[tuple[str, str]]:
    """Yield (method, path with anonymous parameters) of every function of the installed client's bindings."""
    spec = importlib.util.find_spec("determined")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the package determined is not installed")
    source = Path(spec.submodule_search_locations[0], "common", "api", "bindings.py").read_text()
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef):
            text = ast.unparse(function)
            method = re.search(r"method='(\w+)'", text)
            path = re.search(r"path=f?(['\"])(.*?)\1,", text)
            if method and path:
                yield method[1], re.sub(r"\{[^}]*\}", "{}", path[2])
