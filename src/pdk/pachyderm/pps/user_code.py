"""Runs the user code of one datum once: fresh `/pfs`, environment, child process, log lines, what went wrong.

Called by `datum_runs`. Mirrors the original's worker driver. `/pfs` is a real path in the child's own mount namespace;
where the machine allows no namespaces, `PFS_ROOT` says where it is instead.
"""

import collections
import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pdk.base.errors import FailedPrecondition
from pdk.base.ids import new_id
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pps.environment import base_environment, datum_environment, job_environment
from pdk.pachyderm.pps.images import ImageMap, ImageTarget
from pdk.pachyderm.pps.logs import DatumLog
from pdk.pachyderm.pps.running import RunningJob
from pdk.pachyderm.pps.scratch import PFS, Scratch, copy_folder, new_scratch
from pdk.pachyderm.pps.secrets import SecretMask, Secrets
from pdk.pachyderm.pps.settings import Address, PpsSettings
from pdk.pachyderm.pps.types import Datum, Job, PipelineInfo, PipelineSpec, SecretMount
from pdk.pachyderm.values import ProcessStats
from pdk.process.child import Child, ChildSpec, Launcher, Mount

# How much of the end of each stream is kept to say why user code failed: lines, and characters of a reason.
LAST_LINES = 12
MAX_CAUSE = 2000
# A line that says why a program ended: the last of a Python traceback, or an error a command prints.
CAUSE = re.compile(r"(?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Failed)|error|fatal|[\w./-]+: error)\b:? ?")


class UserCodeFailed(Exception):
    """One try of a datum failed; the text says why, ending with what user code printed last."""


class JobTimedOut(Exception):
    """The job's own time ran out."""


@dataclass(frozen=True)
class Surroundings:
    """What every run on this machine shares; `no_namespace`: why there are no mount namespaces, None = there are."""

    pfs: Pfs
    launcher: Launcher
    images: ImageMap
    secrets: Secrets
    settings: PpsSettings
    address: Address
    no_namespace: str | None = None


@dataclass(frozen=True)
class JobContext:
    """What every datum of one job shares; `deadline` on the monotonic clock, None = no job_timeout."""

    job: Job
    info: PipelineInfo
    spec: PipelineSpec
    running: RunningJob
    mask: SecretMask
    deadline: float | None


class UserCode:
    """The user code of one job."""

    def __init__(self, surroundings: Surroundings, context: JobContext) -> None:
        self._at = surroundings
        self._job = context
        self._image = surroundings.images.resolve(context.spec.transform.image)
        self._target = self._image or ImageTarget()

    @contextlib.contextmanager
    def prepare(self, datum: Datum) -> Iterator["Try"]:
        """Lay out a fresh `/pfs` for one try and remove it afterwards. Raises PdkError when an input cannot be read."""
        with new_scratch(self._at.settings.scratch_root, self._at.no_namespace is None) as scratch:
            started = time.monotonic()
            for item in datum.inputs:
                folder = scratch.pfs / item.name
                folder.mkdir(exist_ok=True)
                self._at.pfs.files(item.commit).export(item.path, folder, item.empty_files)
            secret_env, secret_mounts = self._secrets(scratch)
            # Later layers win, as in the original.
            env = {
                **base_environment(scratch, self._at.settings),
                **self._target.env,
                **self._job.spec.transform.env,
                **secret_env,
                **job_environment(self._job.info, self._job.job, self._at.address),
                **datum_environment(datum, scratch.pfs_root),
            }
            file = scratch.pfs / ".env"
            file.touch(mode=0o600)
            file.write_text("".join(f"{key}={value}\n" for key, value in env.items()), errors="surrogateescape")
            seconds = time.monotonic() - started
            size = sum(item.size_bytes for item in datum.inputs if not item.empty_files)
            download = ProcessStats(download_seconds=seconds, download_bytes=size)
            yield Try(self._at, self._job, datum, scratch, self._child(env, secret_mounts, scratch), download)

    def _secrets(self, scratch: Scratch) -> tuple[dict[str, str], list[Mount]]:
        """Return the variables and the folders that hold the secrets of the transform."""
        env: dict[str, str] = {}
        mounts: list[Mount] = []
        for number, mount in enumerate(self._job.spec.transform.secrets):
            values = self._at.secrets.values(mount)
            if mount.env_var:
                env[mount.env_var] = _as_variable(mount, values[mount.key])
            else:
                mounts.append(self._mount_secret(mount, values, scratch.secrets / str(number)))
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

    def _child(self, env: Mapping[str, str], secret_mounts: Sequence[Mount], scratch: Scratch) -> ChildSpec:
        """Return what is the same for every command of a try."""
        mounts = [Mount(scratch.pfs, PFS), *self._target.mounts, *secret_mounts] if scratch.mounted else []
        working_dir = self._job.spec.transform.working_dir
        cwd = Path(working_dir) if working_dir else self._work(scratch)
        return ChildSpec(marker="", argv=(), env=env, cwd=cwd, mounts=mounts)

    def _work(self, scratch: Scratch) -> Path:
        """A working folder of this try alone: a copy of the image's, in which `pfs` leads to /pfs as in a container."""
        if self._target.cwd is not None:
            image = self._job.spec.transform.image
            try:
                copy_folder(self._target.cwd, scratch.work, scratch.root.parent)
            except shutil.Error as error:
                _, _, reason = error.args[0][0]  # of what may be thousands
                raise FailedPrecondition(f"the folder of image {image} cannot be copied: {reason}") from error
            except OSError as error:
                raise FailedPrecondition(f"the folder of image {image} cannot be copied: {error}") from error
        link = scratch.work / "pfs"
        if not link.exists():
            link.symlink_to(scratch.pfs_root)
        return scratch.work

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
    """One try: a laid-out `/pfs` that commands can be run in; `download`: what laying it out took."""

    def __init__(
        self,
        surroundings: Surroundings,
        job: JobContext,
        datum: Datum,
        scratch: Scratch,
        child: ChildSpec,
        download: ProcessStats,
    ) -> None:
        self._at = surroundings
        self._job = job
        self._datum = datum
        self._child = child
        self.scratch = scratch
        self.download = download

    def run(self, cmd: Sequence[str], stdin: Sequence[str], log: DatumLog) -> None:
        """Run `cmd` with the lines of `stdin`. Raises UserCodeFailed, JobTimedOut, Stopped or Restarted."""
        printed = LastLines()

        def on_line(stream: str, text: str) -> None:
            text = self._job.mask.mask(text)
            printed.add(stream, text)
            log.user(text)

        child = self._start(cmd, stdin, on_line)
        started = time.monotonic()
        with self._job.running.watch(self._datum.id, child):
            status = self._wait(child, started)
        if status is None:
            self._raise_timeout(printed)
        elif status != 0 and status not in self._job.spec.transform.accept_return_code:
            raise UserCodeFailed(printed.explain(exit_text(status)) + self._hint(printed))

    def _start(self, cmd: Sequence[str], stdin: Sequence[str], on_line: Callable[[str, str], None]) -> Child:
        spec = replace(
            self._child,
            # The pipeline too: two that read the same input have the same job and datum ids. Of this start alone:
            # ending an attempt looks for its marker until nothing bears it, and must not find the next.
            marker=f"{self._at.settings.marker_prefix}{self._job.job}/{self._datum.id}/{new_id()}",
            argv=cmd,
            stdin="".join(f"{line}\n" for line in stdin).encode(),
        )
        if not spec.mounts and not spec.cwd.is_dir():
            raise UserCodeFailed(f"working folder {spec.cwd} does not exist on this machine")
        try:
            return self._at.launcher.start(spec, on_line)
        except OSError as error:
            raise UserCodeFailed(f"cannot run {cmd[0]}: {error.strerror or error}") from error

    def _wait(self, child: Child, started: float) -> int | None:
        """Return the exit status, None when a time-out passed (then the whole tree has been killed)."""
        datum_timeout = self._job.spec.datum_timeout
        limits = [self._job.deadline, None if datum_timeout is None else started + datum_timeout]
        deadline = min((limit for limit in limits if limit is not None), default=None)
        status = child.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if status is None:
            child.kill()
            child.wait()
        return status

    def _hint(self, printed: "LastLines") -> str:
        """What to do about a failure that this machine's torch causes."""
        target = self._at.images.resolve(self._job.spec.transform.image)
        if target is None or target.trusts_checkpoints or not printed.says("Weights only load failed"):
            return ""
        return (
            "\nhint: torch 2.6 and later read no pickled checkpoints; if these come from your own training, "
            f"allow it: pdk image set {self._job.spec.transform.image} {target.cwd} --trust-checkpoints"
        )

    def _raise_timeout(self, printed: "LastLines") -> None:
        if self._job.deadline is not None and time.monotonic() >= self._job.deadline:
            raise JobTimedOut
        raise UserCodeFailed(printed.explain(f"datum_timeout of {self._job.spec.datum_timeout:g}s passed"))


def _as_variable(mount: SecretMount, value: bytes) -> str:
    """Return a secret's value as an environment variable holds it. Raises FailedPrecondition when none can."""
    if b"\0" in value:
        raise FailedPrecondition(
            f"key {mount.key} of secret {mount.name} holds a NUL byte, which variable {mount.env_var} cannot: "
            f"use mount_path instead of env_var"
        )
    return value.decode("utf-8", "surrogateescape")


def exit_text(status: int) -> str:
    """Return how a process ended, in words."""
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

    def says(self, text: str) -> bool:
        """Whether a text was printed lately."""
        return any(text in line for lines in self._lines.values() for line in lines)

    def explain(self, what: str) -> str:
        """Return `what` with the cause first: the last exception or error line of stderr, or else of stdout.

        What was printed after it follows, then what came before; at most MAX_CAUSE characters of all that.
        """
        lines = list(self._lines["stderr"] or self._lines["stdout"])
        if not lines:
            return f"{what}, nothing was printed"
        causes = [index for index, line in enumerate(lines) if CAUSE.match(line)]
        start = causes[-1] if causes else 0
        text = "\n".join(lines[start:])
        text = text if len(text) <= MAX_CAUSE else text[:MAX_CAUSE] if causes else "..." + text[-MAX_CAUSE:]
        before = "\n".join(lines[:start])
        room = MAX_CAUSE - len(text)
        if before and room > 0:
            text += "\nbefore that: " + (before if len(before) <= room else "..." + before[-room:])
        return f"{what}: {text}"
