"""Run files: which server runs as which process and listens where; written after it listens, removed when it stops.

`$PDK_HOME/run/<name>.json`. Read by `pdk up`, `pdk status` and every command that must find a server.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pdk.base.errors import FailedPrecondition
from pdk.base.locks import AlreadyLocked, lock_file
from pdk.process import tree


@dataclass(frozen=True)
class RunFile:
    """One running process: identity, and the ports it listens on by purpose."""

    name: str
    pid: int
    start_ticks: int
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def identity(self) -> tree.Identity:
        """The process, distinguishable from a later one with the same pid."""
        return tree.Identity(self.pid, self.start_ticks)


@contextlib.contextmanager
def only_one(run_dir: Path, name: str) -> Iterator[None]:
    """Let nobody else run `name` of this stack meanwhile; raise FailedPrecondition when somebody does.

    A second server over the same data would end what the first one started. The lock ends with the process.
    """
    try:
        lock = lock_file(run_dir / f"{name}.lock")
    except AlreadyLocked as error:
        raise FailedPrecondition(f"{name} of {run_dir.parent} is running already: stop it with `pdk down`") from error
    with lock:
        yield


def write(run_dir: Path, name: str, ports: dict[str, int]) -> Path:
    """Say that this process is server `name`, listening on `ports`; return the file."""
    identity = tree.identify(os.getpid())
    if identity is None:
        raise RuntimeError("this process cannot find itself in /proc")
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / f"{name}.json"
    temporary = run_dir / f".{name}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(RunFile(name, identity.pid, identity.start_ticks, ports))))
    temporary.replace(path)
    return path


def read(run_dir: Path, name: str) -> RunFile | None:
    """Return the run file of `name` if the process it names is alive, else None."""
    try:
        run = RunFile(**json.loads((run_dir / f"{name}.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return run if tree.is_alive(run.identity) else None


def remove(run_dir: Path, name: str) -> None:
    """Remove the run file of this process, if it still is this process's."""
    run = read(run_dir, name)
    if run is not None and run.pid == os.getpid():
        with contextlib.suppress(FileNotFoundError):
            (run_dir / f"{name}.json").unlink()


def write_restarts(run_dir: Path, name: str, restarts: int) -> None:
    """Say how often the supervisor had to start server `name` again."""
    run_dir.mkdir(parents=True, exist_ok=True)
    temporary = run_dir / f".{name}.restarts"
    temporary.write_text(str(restarts))
    temporary.replace(run_dir / f"{name}.restarts")


def read_restarts(run_dir: Path, name: str) -> int:
    """Return how often server `name` was started again by this supervisor, 0 when that is not known."""
    try:
        return int((run_dir / f"{name}.restarts").read_text())
    except FileNotFoundError:
        return 0
