"""Runs the user code of one datum once: fresh `/pfs`, environment, child process, log lines, what went wrong.

Called by `datum_runs`. Mirrors the original's worker driver. `/pfs` is a real path in the child's own mount namespace; where the
machine allows no namespaces, `PFS_ROOT` says where it is instead.
"""

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pdk.base.errors import FailedPrecondition
from pdk.base.ids import new_id
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pps import environment
from pdk.pachyderm.pps.environment import PFS, Address, Layout
from pdk.pachyderm.pps.images import ImageMap, ImageTarget
from pdk.pachyderm.pps.logs import DatumLog
from pdk.pachyderm.pps.scratch import Scratch, new_scratch
from pdk.pachyderm.pps.secrets import SecretMask, Secrets
from pdk.pachyderm.pps.types import Datum, Job, PipelineInfo, PipelineSpec, SecretMount
from pdk.pachyderm.values import DatumId
from pdk.process.child import Child, ChildSpec, Launcher, Mount

LAST_LINES = 12
MAX_CAUSE = 2000


class UserCodeFailed(Exception):
    """One try of a datum failed; the text says why, ending with what user code printed last."""


class Stopped(Exception):
    """The job was stopped, or the server is stopping: nothing is to be recorded for the datum."""


class Restarted(Exception):
    """A client asked for this datum to begin anew; the try does not count."""


class JobTimedOut(Exception):
    """The job's own time ran out."""


class Cancellation:
    """Ends the children of one job from another thread; safe against a child that is just being started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: dict[DatumId, Child] = {}
        self._restarting: set[DatumId] = set()
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Kill what runs now and whatever is started later."""
        with self._lock:
            self._cancelled = True
            children = list(self._children.values())
        for child in children:
            child.kill()

    def restart(self, datum_id: DatumId) -> bool:
        """Kill the user code of one datum so that it begins anew; False when none of it runs now."""
        with self._lock:
            child = self._children.get(datum_id)
            if child is not None:
                self._restarting.add(datum_id)
        if child is not None:
            child.kill()
        return child is not None

    @contextlib.contextmanager
    def watch(self, datum_id: DatumId, child: Child) -> Iterator[None]:
        """Let `cancel` and `restart` reach `child` for as long as it runs; raises Stopped or Restarted if they did."""
        with self._lock:
            self._children[datum_id] = child
            cancelled = self._cancelled
        if cancelled:
            child.kill()
        try:
            yield
        finally:
            with self._lock:
                del self._children[datum_id]
                restarted = datum_id in self._restarting
                self._restarting.discard(datum_id)
        if self._cancelled:
            raise Stopped
        if restarted:
            raise Restarted


@dataclass(frozen=True)
class Surroundings:
    """What every run on this machine shares; paths are the server's, `path` is the base PATH, None in `no_namespace` = they work."""

    pfs: Pfs
    launcher: Launcher
    images: ImageMap
    secrets: Secrets
    scratch_root: Path
    address: Address
    path: str
    threads: int
    marker_prefix: str
    no_namespace: str | None = None


@dataclass(frozen=True)
class JobContext:
    """What every datum of one job shares; `deadline` on the monotonic clock, None = no job_timeout."""

    job: Job
    info: PipelineInfo
    spec: PipelineSpec
    cancellation: Cancellation
    mask: SecretMask
    deadline: float | None


@dataclass(frozen=True)
class Download:
    """How long it took to lay out the inputs, in seconds, and their size in bytes."""

    seconds: float
    bytes: int


class UserCode:
    """The user code of one job."""

    def __init__(self, surroundings: Surroundings, context: JobContext) -> None:
        self._at = surroundings
        self._job = context
        self._image = surroundings.images.resolve(context.spec.transform.image)
        self._target = self._image or ImageTarget()

    @contextlib.contextmanager
    def prepare(self, datum: Datum) -> Iterator[tuple["Try", Download]]:
        """Lay out a fresh `/pfs` for one try and remove it afterwards; raises PdkError when an input cannot be read."""
        with new_scratch(self._at.scratch_root) as scratch:
            started = time.monotonic()
            for item in datum.inputs:
                folder = scratch.pfs / item.name
                folder.mkdir(exist_ok=True)
                self._at.pfs.export(item.commit, item.path, folder, item.empty_files)
            layout = self._layout(scratch)
            env, mounts = self._environment(datum, layout, scratch)
            seconds = time.monotonic() - started
            size = sum(item.size_bytes for item in datum.inputs if not item.empty_files)
            yield (
                Try(self._at, self._job, datum, scratch, layout, self._spec(env, mounts, scratch)),
                Download(seconds, size),
            )

    def _layout(self, scratch: Scratch) -> Layout:
        root = PFS if self._at.no_namespace is None else str(scratch.pfs)
        return Layout(root, str(scratch.home), str(scratch.tmp))

    def _environment(self, datum: Datum, layout: Layout, scratch: Scratch) -> tuple[dict[str, str], list[Mount]]:
        transform = self._job.spec.transform
        secret_env: dict[str, str] = {}
        mounts: list[Mount] = []
        for number, mount in enumerate(transform.secrets):
            values = self._at.secrets.values(mount)
            if mount.env_var:
                secret_env[mount.env_var] = _as_variable(mount, values[mount.key])
            else:
                mounts.append(self._mount_secret(mount, values, scratch.secrets / str(number)))
        env = environment.merged(
            self._job.spec,
            self._target.env,
            environment.base_environment(layout, self._at.path, self._at.threads),
            secret_env,
            environment.job_environment(self._job.info, self._job.job, self._at.address),
            environment.datum_environment(datum, layout),
        )
        file = scratch.pfs / ".env"
        file.touch(mode=0o600)
        file.write_text(environment.env_file(env), errors="surrogateescape")
        return env, mounts

    def _mount_secret(self, mount: SecretMount, values: Mapping[str, bytes], folder: Path) -> Mount:
        if self._at.no_namespace is not None:
            raise FailedPrecondition(
                f"secret {mount.name} cannot be mounted at {mount.mount_path}: this machine allows no mount namespaces "
                f"({self._at.no_namespace}); use env_var instead"
            )
        folder.mkdir()
        for key, value in values.items():
            (folder / key).touch(mode=0o600)
            (folder / key).write_bytes(value)
        return Mount(folder, mount.mount_path, read_only=True)

    def _spec(self, env: Mapping[str, str], secret_mounts: Sequence[Mount], scratch: Scratch) -> ChildSpec:
        mounts: list[Mount] = []
        if self._at.no_namespace is None:
            mounts = [Mount(scratch.pfs, PFS), *self._target.mounts, *secret_mounts]
        working_dir = self._job.spec.transform.working_dir
        cwd = Path(working_dir) if working_dir else self._target.cwd or scratch.work
        return ChildSpec(marker="", argv=(), env=env, cwd=cwd, mounts=mounts)

    def describe(self) -> list[str]:
        """Say, for the log, what runs in place of the image and what of the transform has no effect here."""
        transform = self._job.spec.transform
        if self._image is None:
            lines = [
                f"image {transform.image} was not used: commands run with this machine's own tools in an empty folder; "
                f"map the image to a folder in the settings ([images]) to run its code"
            ]
        else:
            lines = [f"image {transform.image} stands for {self._target.cwd or 'this machine'}"]
        if transform.user:
            lines.append(f"user {transform.user} was not used: commands run as the user of this pachd")
        if self._at.no_namespace is not None:
            lines.append(
                f"/pfs is not a real path: this machine allows no mount namespaces ({self._at.no_namespace}); "
                f"it is at $PFS_ROOT instead"
            )
        return lines


class Try:
    """One try: a laid-out `/pfs` that commands can be run in."""

    def __init__(
        self,
        surroundings: Surroundings,
        job: JobContext,
        datum: Datum,
        scratch: Scratch,
        layout: Layout,
        spec: ChildSpec,
    ) -> None:
        self._at = surroundings
        self._job = job
        self._datum = datum
        self._spec = spec
        self.scratch = scratch
        self.pfs_root = layout.pfs

    def run(self, cmd: Sequence[str], stdin: Sequence[str], log: DatumLog) -> None:
        """Run `cmd` with the lines of `stdin`; raise UserCodeFailed, JobTimedOut, Stopped or Restarted."""
        printed = LastLines()

        def on_line(stream: str, text: str) -> None:
            text = self._job.mask.mask(text)
            printed.add(stream, text)
            log.user(text)

        child = self._start(cmd, stdin, on_line)
        started = time.monotonic()
        with self._job.cancellation.watch(self._datum.id, child):
            status = self._wait(child, started)
        if status is None:
            self._raise_timeout(printed)
        elif status != 0 and status not in self._job.spec.transform.accept_return_code:
            raise UserCodeFailed(printed.explain(exit_text(status)))

    def _start(self, cmd: Sequence[str], stdin: Sequence[str], on_line: Callable[[str, str], None]) -> Child:
        spec = replace(
            self._spec,
            # The pipeline too: two that read the same input have the same job and datum ids.
            # Of this start alone: ending an attempt looks for its marker until nothing bears it, and must not find the next.
            marker=f"{self._at.marker_prefix}{self._job.job}/{self._datum.id}/{new_id()}",
            argv=cmd,
            stdin="".join(f"{line}\n" for line in stdin).encode(),
        )
        if not spec.mounts and not spec.cwd.is_dir():
            raise UserCodeFailed(f"working folder {spec.cwd} does not exist on this machine")
        try:
            return self._at.launcher.start(spec, on_line)
        except OSError as error:
            raise UserCodeFailed(f"cannot run {cmd[0]}: {error.strerror or error}") from error

    def _deadline(self, started: float) -> float | None:
        datum_timeout = self._job.spec.datum_timeout
        limits = [self._job.deadline, None if datum_timeout is None else started + datum_timeout]
        return min((limit for limit in limits if limit is not None), default=None)

    def _wait(self, child: Child, started: float) -> int | None:
        """Return the exit status, None when a time-out passed (then the whole tree has been killed)."""
        deadline = self._deadline(started)
        if deadline is None:
            return child.wait()
        status = child.wait(max(0.0, deadline - time.monotonic()))
        if status is None:
            child.kill()
            child.wait()
        return status

    def _raise_timeout(self, printed: "LastLines") -> None:
        if self._job.deadline is not None and time.monotonic() >= self._job.deadline:
            raise JobTimedOut
        raise UserCodeFailed(printed.explain(f"datum_timeout of {self._job.spec.datum_timeout:g}s passed"))


def _as_variable(mount: SecretMount, value: bytes) -> str:
    """Return a secret's value as an environment variable holds it; raise FailedPrecondition for one that cannot be one."""
    if b"\0" in value:
        raise FailedPrecondition(
            f"key {mount.key} of secret {mount.name} holds a NUL byte, which variable {mount.env_var} cannot: "
            f"use mount_path instead of env_var"
        )
    return value.decode("utf-8", "surrogateescape")


def exit_text(status: int) -> str:
    """Say how a process ended."""
    if status < 0:
        hint = " (killed: out of memory?)" if status == -9 else ""
        return f"ended by signal {-status}{hint}"
    return f"exit status {status}"


class LastLines:
    """Keeps the last lines of each stream, to say why user code failed."""

    def __init__(self) -> None:
        self._lines: dict[str, collections.deque[str]] = {
            stream: collections.deque(maxlen=LAST_LINES) for stream in ("stdout", "stderr")
        }

    def add(self, stream: str, text: str) -> None:
        """Take one line."""
        if text.strip():
            self._lines[stream].append(text)

    def explain(self, what: str) -> str:
        """Return `what` with the last lines of stderr, or of stdout when there are none; at most MAX_CAUSE characters."""
        lines = self._lines["stderr"] or self._lines["stdout"]
        text = "\n".join(lines)
        if len(text) > MAX_CAUSE:
            text = "..." + text[-MAX_CAUSE:]
        return f"{what}: {text}" if text else f"{what}, nothing was printed"
