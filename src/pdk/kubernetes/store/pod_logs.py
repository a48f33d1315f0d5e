"""Logs of pod containers as append-only files; the controller writes them, `kubectl logs` reads them.

One file for each container and one for its previous run, as kubelet keeps them under /var/log/pods. A line is stored as
`<RFC 3339 time> <text>`, so `--timestamps` and `--since` work and the text can be given back without the time.
"""

import datetime
import itertools
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pdk.base import clock
from pdk.kubernetes.errors import BadRequest
from pdk.kubernetes.kinds.names import is_label, is_subdomain

CHUNK = 64 * 1024
# A file that grows past this is started anew; the old one is kept as the `.1` file and still read.
MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class LogOptions:
    """What part of a log to return, in the words of the pods/log subresource."""

    tail_lines: int | None = None
    since_seconds: float | None = None
    # RFC 3339.
    since_time: str | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    previous: bool = False


class PodLogs:
    """The log files under one folder: `<root>/<namespace>/<pod>/<container>.log`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def path(self, namespace: str, pod: str, container: str, previous: bool = False) -> Path:
        """Return the file of a container, its folder made. Raises BadRequest for a name that is not one."""
        if not (is_label(namespace) and is_subdomain(pod) and is_label(container)):
            raise BadRequest(f"invalid name of a container log: {namespace}/{pod}/{container}")
        folder = self._root / namespace / pod
        folder.mkdir(parents=True, exist_ok=True)
        return folder / (f"{container}.previous.log" if previous else f"{container}.log")

    def append(self, namespace: str, pod: str, container: str, line: str) -> None:
        """Append a line (or several, if `line` has line ends inside), stamped with the present time."""
        now = clock.rfc3339_now()
        stamped = "".join(f"{now} {part}\n" for part in line.removesuffix("\n").split("\n"))
        path = self.path(namespace, pod, container)
        with self._lock:
            with path.open("ab") as file:
                file.write(stamped.encode("utf-8", "replace"))
                size = file.tell()
            if size > MAX_BYTES:
                path.replace(_older(path))

    def rotate(self, namespace: str, pod: str, container: str) -> None:
        """Keep what is there as the log of the previous run; called before a container is started again."""
        path = self.path(namespace, pod, container)
        with self._lock:
            for old, new in ((path, self.path(namespace, pod, container, previous=True)), (_older(path), None)):
                if old.exists():
                    old.unlink() if new is None else old.replace(new)

    def remove(self, namespace: str, pod: str) -> None:
        """Delete the logs of a pod that is gone."""
        folder = self.path(namespace, pod, "x").parent
        with self._lock:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    def follow(self, namespace: str, pod: str, container: str, options: LogOptions) -> "LogReader":
        """Return a reader whose `read_new` yields what `options` ask for first, then what was appended since."""
        return LogReader(self.path(namespace, pod, container, options.previous), options)


class LogReader:
    """Reads one log file on, call by call. Not for use by two threads at once."""

    def __init__(self, path: Path, options: LogOptions) -> None:
        self._path = path
        self._options = options
        self._since = _since(options)
        self._left = options.limit_bytes
        self._file: BinaryIO | None = None
        self._partial = b""
        self._started = False

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self._file is not None or self._path.exists() or _older(self._path).exists()

    @property
    def exhausted(self) -> bool:
        """True once limit_bytes have been given out."""
        return self._left is not None and self._left <= 0

    def read_new(self) -> Iterator[bytes]:
        """Yield the lines not given out yet; the first time after applying since and tail."""
        lines: Iterable[bytes]
        if self._started:
            lines = self._stored_lines()
        else:
            self._started = True
            lines = self._first(itertools.chain(self._older_lines(), self._stored_lines()))
        for line in lines:
            text = line if self._options.timestamps else line.partition(b" ")[2]
            if self._left is not None:
                text = text[: max(self._left, 0)]
                self._left -= len(text)
            if text:
                yield text
            if self.exhausted:
                return

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _first(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        if self._since is not None:
            since = self._since.encode()
            lines = (line for line in lines if line.partition(b" ")[0] >= since)
        if self._options.tail_lines is not None:
            lines = deque(lines, maxlen=self._options.tail_lines)
        return lines

    def _older_lines(self) -> Iterator[bytes]:
        older = _older(self._path)
        if older.exists():
            with older.open("rb") as file:
                yield from file

    def _stored_lines(self) -> Iterator[bytes]:
        while True:
            if self._file is None:
                if not self._path.exists():
                    return
                self._file = self._path.open("rb")
            yield from self._complete_lines(self._file)
            if not self._was_replaced(self._file):
                return
            self.close()

    def _complete_lines(self, file: BinaryIO) -> Iterator[bytes]:
        while chunk := file.read(CHUNK):
            *lines, self._partial = (self._partial + chunk).split(b"\n")
            for line in lines:
                yield line + b"\n"

    def _was_replaced(self, file: BinaryIO) -> bool:
        """Tell whether the path names a newer file than the open one (too large, or restarted)."""
        return self._path.exists() and os.fstat(file.fileno()).st_ino != self._path.stat().st_ino


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _since(options: LogOptions) -> str | None:
    if options.since_time is not None:
        try:
            return clock.to_rfc3339(clock.from_rfc3339(options.since_time))
        except ValueError as error:
            raise BadRequest(f"sinceTime: {error}") from None
    if options.since_seconds is None:
        return None
    return clock.to_rfc3339(clock.now() - datetime.timedelta(seconds=options.since_seconds))
