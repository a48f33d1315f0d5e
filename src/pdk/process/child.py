"""Child processes of the servers: user code of datums, trials, TorchServe.

A child runs in its own session, carries a marker (see `tree`), may see real paths such as `/pfs` through a private
mount namespace (see `namespace_main`), and hands its output over line by line. Ending it ends everything it started.

`Launcher` is the seam where a preloaded fork server can replace a cold start.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Protocol

from pdk.process import namespace_main, tree

# A longer line is handed over in pieces of this size, so output without newlines cannot fill the memory.
MAX_LINE_BYTES = 64 * 1024

Stream = Literal["stdout", "stderr"]
OnLine = Callable[[Stream, str], None]


@dataclass(frozen=True)
class Mount:
    """`source` (a folder of the machine) appears as the absolute path `target` in the child's mount namespace."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ChildSpec:
    """What to run. `env` is the whole environment; `log_path`: append both streams there instead of calling `on_line`.

    `marker` must not be borne by two children at the same time, nor by the next attempt of the same work while the last
    one is still being ended: ending a child ends everything that bears its marker.

    A child with a log file keeps running when its server is killed and can be adopted by the next one.
    """

    marker: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stdin: bytes = b""
    mounts: Sequence[Mount] = field(default_factory=tuple)
    log_path: Path | None = None


class Launcher(Protocol):
    """Starts children; `on_line` is called from other threads, once per line without its newline."""

    def start(self, spec: ChildSpec, on_line: OnLine | None = None) -> "Child":
        """Start `spec`. Raises OSError when it cannot be started at all."""
        ...


class Child:
    """A running child process and all it starts.

    `scratch` is the folder its mount namespace is assembled on, None without one; `identity` is None only when it ended
    at once.
    """

    def __init__(
        self, popen: "subprocess.Popen[bytes]", marker: str, readers: list[threading.Thread], scratch: str | None
    ) -> None:
        self._popen = popen
        self._readers = readers
        self.scratch = scratch
        self.marker = marker
        self.pid = popen.pid
        self.identity = tree.identify(popen.pid)

    def poll(self) -> int | None:
        """Return the exit status (negative: ended by that signal), None while it runs."""
        return self._popen.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the exit, end what is left of the tree, drain the output; None when `timeout` seconds passed."""
        try:
            status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._clean_up()
        return status

    def terminate(self, grace: float = 5.0) -> int:
        """SIGTERM the group, SIGKILL the tree after `grace` seconds; return the exit status."""
        self._signal_group(signal.SIGTERM)
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.wait() or 0

    def kill(self) -> None:
        """SIGKILL the whole tree at once; `wait` afterwards."""
        self._signal_group(signal.SIGKILL)
        tree.kill_marked(lambda marker: marker == self.marker)

    def _signal_group(self, number: int) -> None:
        # The kernel gives the number away again once the child is reaped and nobody is left in its group.
        if self._popen.returncode is None or tree.identify(self.pid) is None:
            tree.signal_group(self.pid, number)

    def _clean_up(self) -> None:
        self.kill()
        for reader in self._readers:
            reader.join(5.0)
        if self.scratch is not None:
            # Gone already unless the child ended before it was in its namespace.
            shutil.rmtree(self.scratch, ignore_errors=True)


class SubprocessLauncher:
    """The plain way: one new process per child."""

    def start(self, spec: ChildSpec, on_line: OnLine | None = None) -> Child:
        """Start `spec`. Raises OSError (FileNotFoundError, PermissionError) when the command cannot be executed."""
        argv, scratch = list(spec.argv), None
        if spec.mounts:
            scratch = tempfile.mkdtemp(prefix="pdk-root-")
            argv = namespace_argv(spec, scratch)
        output: IO[bytes] | int = subprocess.PIPE if spec.log_path is None else spec.log_path.open("ab")
        try:
            popen = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if spec.stdin else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**spec.env, tree.MARKER_VARIABLE: spec.marker},
                cwd="/" if spec.mounts else spec.cwd,
                start_new_session=True,
            )
        except OSError:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
            raise
        finally:
            if not isinstance(output, int):
                output.close()
        return Child(popen, spec.marker, _start_pumps(popen, spec.stdin, on_line), scratch)


def namespace_argv(spec: ChildSpec, scratch: str) -> list[str]:
    """Return the command line that enters the mount namespace of `spec` and then runs it."""
    mounts = [[str(m.source), m.target, m.read_only] for m in spec.mounts]
    order = {"root": scratch, "mounts": mounts, "cwd": str(spec.cwd), "argv": list(spec.argv)}
    return [sys.executable, "-I", "-S", namespace_main.__file__, json.dumps(order)]


def namespaces_available() -> str | None:
    """Try a mount namespace once; return None when it works, else the reason."""
    with tempfile.TemporaryDirectory(prefix="pdk-try-") as folder:
        mounts = [Mount(Path(folder), "/pfs"), Mount(Path(folder), "/mnt/models", read_only=True)]
        spec = ChildSpec("probe", ["true"], {"PATH": os.defpath}, Path("/"), mounts=mounts)
        with tempfile.TemporaryDirectory(prefix="pdk-root-") as root:
            result = subprocess.run(namespace_argv(spec, root), capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stderr.strip() or f"exit status {result.returncode}"


def reap_leftovers(marker_prefix: str) -> int:
    """End every process whose marker starts with `marker_prefix`: what a killed server left; return how many."""
    return tree.kill_marked(lambda marker: marker.startswith(marker_prefix))


def _start_pumps(popen: "subprocess.Popen[bytes]", stdin: bytes, on_line: OnLine | None) -> list[threading.Thread]:
    readers = []
    if popen.stdout is not None and popen.stderr is not None:
        streams: list[tuple[Stream, IO[bytes]]] = [("stdout", popen.stdout), ("stderr", popen.stderr)]
        for name, pipe in streams:
            readers.append(threading.Thread(target=_read_lines, args=(name, pipe, on_line), daemon=True))
    if popen.stdin is not None:
        threading.Thread(target=_feed, args=(popen.stdin, stdin), daemon=True).start()
    for reader in readers:
        reader.start()
    return readers


def _feed(pipe: IO[bytes], data: bytes) -> None:
    # User code may end without reading its stdin; Pachyderm ignores EPIPE there too.
    try:
        with pipe:
            pipe.write(data)
    except BrokenPipeError:
        return


def _read_lines(name: Stream, pipe: IO[bytes], on_line: OnLine | None) -> None:
    with pipe:
        while raw := pipe.readline(MAX_LINE_BYTES):
            if on_line is not None:
                on_line(name, raw.decode("utf-8", "replace").rstrip("\r\n"))
