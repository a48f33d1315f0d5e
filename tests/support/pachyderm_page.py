"""Writes docs/compatibility/pachyderm.md: which calls the marked handlers answer, beside all the SDK could make.

Called by the test that keeps the page current, which also writes it anew.
"""

from collections.abc import Iterable, Iterator, Mapping

from pdk.pachyderm.api.server import Methods, RpcHandler, mark_of
from pdk.pachyderm.api.wire import Wire

PRELUDE = """\
# Pachyderm: what the embedded pachd answers

pachd speaks the gRPC API of Pachyderm 2.12.2 and the read side of its S3 gateway; `pachyderm_sdk` works against it
unchanged (the tests drive it over a socket), and what `pachctl` sends is answered by the same methods. The tables are
generated from the handlers; a test fails when they are not current. What is not listed as answered is UNIMPLEMENTED,
never an empty success.

## How it differs from a cluster

- One machine: user code is a child process in a private mount namespace with a real `/pfs`, not a container. An
  image's name is mapped to a folder, of which each try gets a copy, and an environment (`pdk image set`, or `[images]`
  in `config.toml`; the closest of `registry/name:tag`, `name:tag` and `name` counts; the images of this repository
  are mapped already). An image that is not mapped runs with this machine's tools in an empty folder, and the job's
  log says so. In either folder `pfs` leads to `/pfs`.
- Without mount namespaces `/pfs` is a scratch folder and `PFS_ROOT` says where; secrets with `mount_path` are refused
  then.
- Commits go from STARTED to FINISHED at once; there is no background compaction.
- Auth is off: every call of its service answers "the auth service is not activated".
- Inputs: `pfs`, `cross`, `union`, `join`, `group`. `cron`, `s3`, branch triggers, spouts, services, egress and
  `datum_batching` are refused by name when the pipeline is created. `lazy` files are plain copies.
- Accepted without effect: resources, tolerations, scheduling, pod patches, `transform.user`.
- The reason of a failed job goes on where the original ends: `datum <id> failed: exit status N: <last lines>`, and
  what to do; the first cause travels down the chain of unrunnable jobs.
- Metadata of datums is kept in the database; commits of `.meta` repos are empty.
- Transactions are not supported, so neither is `pachctl stop job <id>` without a pipeline, which sends one.
- Logs: one file per job, 32 MiB at the most, the newest 500 jobs of a pipeline; pachd's own log is
  `pdk logs --server pachyderm`.
- S3 gateway: ListBuckets, ListObjects (v1 and v2), HeadBucket, HeadObject, GetObject with ranges; bucket names
  `[commit.]branch.repo[.project]`; writing answers 501 NotImplemented. An open output commit lists as empty.
"""


def page(wire: Wire, services: Iterable[Methods]) -> str:
    """Return the page; `services` are the methods as the composition root gives them to the server."""
    handlers = {key: handler for methods in services for key, handler in methods.items()}
    names = sorted({service for service, _ in wire.rpcs})
    known = [
        name for name in names if any((name, method) in handlers for service, method in wire.rpcs if service == name)
    ]
    others = ", ".join(f"`{name}`" for name in names if name not in known)
    sections = [part for name in known for part in _section(wire, handlers, name)]
    return f"{PRELUDE}{''.join(sections)}\n## Other services\n\nUNIMPLEMENTED as a whole: {others}.\n"


def _section(wire: Wire, handlers: Mapping[tuple[str, str], RpcHandler], service: str) -> Iterator[str]:
    yield f"\n## {service}\n"
    own = [method for name, method in wire.rpcs if name == service]
    for refuses, title in ((False, "what it does"), (True, "why it is always refused")):
        here = [method for method in own if _refuses(handlers.get((service, method))) is refuses]
        if here:
            yield f"\n| call | {title} |\n|---|---|\n"
        for method in here:
            yield f"| {method} | {_about(handlers[service, method])} |\n"
    missing = [method for method in own if (service, method) not in handlers]
    if missing:
        yield f"\nUNIMPLEMENTED: {', '.join(missing)}.\n"


def _refuses(handler: RpcHandler | None) -> bool | None:
    """Tell whether a handler always refuses; None without one."""
    mark = mark_of(handler)
    return None if mark is None else mark.refuses


def _about(handler: RpcHandler) -> str:
    """Return the first sentence of a handler's docstring."""
    return (handler.__doc__ or "").strip().splitlines()[0].rstrip(".").replace("|", "\\|")
