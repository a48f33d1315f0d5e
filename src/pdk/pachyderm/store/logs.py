"""Logs as append-only files, one per job and one per pipeline for master lines; called by `pps`.

Files and not rows: a line costs one `write`, takes no part in the database's writer lock, survives `kill -9` of the
server, and a whole job's log goes with one `unlink`. A line is a JSON array `[moment, flags, job id, datum id, text]`
(moment: seconds since 1970; flags: 1 = user, 2 = master). The last line of a file may be torn by a crash; readers leave
it out.

Bounds: a job's file stops taking user lines at `max_job_bytes` (and says so once); the files of the oldest jobs of a
pipeline beyond `keep_jobs` are removed; the master file starts anew at `MAX_MASTER_BYTES`, keeping one predecessor.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pdk.pachyderm.values import NO_DATUM, NO_JOB, DatumId, JobId, JobKey, PipelineKey

# See the bounds above.
MAX_JOB_BYTES = 32 << 20
MAX_MASTER_BYTES = 4 << 20
KEEP_JOBS = 500
# The flags of a line.
_USER, _MASTER = 1, 2
_SUFFIX = ".jsonl"
_MASTER_NAME = f"master{_SUFFIX}"
_OLD_MASTER_NAME = f"master-old{_SUFFIX}"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One stored line; `moment` in seconds since 1970."""

    moment: float
    message: str
    job_id: JobId = NO_JOB
    datum_id: DatumId = NO_DATUM
    user: bool = False
    master: bool = False

    def encode(self) -> bytes:
        """Return the line as stored, with its newline."""
        flags = _USER * self.user + _MASTER * self.master
        text = json.dumps(
            [round(self.moment, 6), flags, self.job_id, self.datum_id, self.message], separators=(",", ":")
        )
        return text.encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "LogRecord":
        """Read a stored line. Raises ValueError when it is torn."""
        moment, flags, job_id, datum_id, message = json.loads(line)
        return cls(moment, message, job_id, datum_id, bool(flags & _USER), bool(flags & _MASTER))


class LogFile:
    """The open log of one job or of a pipeline's master; safe for several threads."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._file).st_size
        self._full = self._size >= max_bytes
        self._end_torn_line()

    def _end_torn_line(self) -> None:
        # A line torn by a crash must not swallow the next one.
        with self.path.open("rb") as file:
            file.seek(max(0, self._size - 1))
            if file.read(1) not in (b"", b"\n"):
                self._write(b"\n")

    def append(self, record: LogRecord) -> None:
        """Store one line; user lines beyond the bound are dropped after one line that says so."""
        with self._lock:
            if self._full and record.user:
                return
            self._write(record.encode())
            if self._size >= self._max_bytes and not self._full:
                self._full = True
                self._write(LogRecord(time.time(), self._full_text(), record.job_id, record.datum_id).encode())

    def _full_text(self) -> str:
        return f"this job's log has reached {self._max_bytes >> 20} MiB; further lines of user code are dropped"

    def _write(self, data: bytes) -> None:
        os.write(self._file, data)
        self._size += len(data)

    @property
    def size(self) -> int:
        """Bytes stored so far."""
        return self._size

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._file)


class LogFiles:
    """The folder of all logs: `<project>/<pipeline>/<job id>.jsonl` and `master.jsonl`."""

    def __init__(self, root: Path, max_job_bytes: int = MAX_JOB_BYTES, keep_jobs: int = KEEP_JOBS) -> None:
        self._root = root
        self._max_job_bytes = max_job_bytes
        self._keep_jobs = keep_jobs
        self._master_lock = threading.Lock()

    def _folder(self, pipeline: PipelineKey) -> Path:
        return self._root.joinpath(*pipeline)

    def open_job(self, job: JobKey) -> LogFile:
        """Open a job's log for appending; the files of the pipeline's oldest jobs beyond the bound go."""
        path = self.job_path(job)
        log = LogFile(path, self._max_job_bytes)
        self._prune(path.parent)
        return log

    def _prune(self, folder: Path) -> None:
        files = [path for path in folder.glob(f"*{_SUFFIX}") if path.name not in (_MASTER_NAME, _OLD_MASTER_NAME)]
        surplus = len(files) - self._keep_jobs
        if surplus > 0:
            for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)[:surplus]:
                path.unlink(missing_ok=True)

    def append_master(self, pipeline: PipelineKey, record: LogRecord) -> None:
        """Store one master line of a pipeline."""
        path = self._folder(pipeline) / _MASTER_NAME
        with self._master_lock:
            log = LogFile(path, MAX_MASTER_BYTES)
            log.append(record)
            size = log.size
            log.close()
            if size >= MAX_MASTER_BYTES:
                path.replace(path.with_name(_OLD_MASTER_NAME))

    def job_path(self, job: JobKey) -> Path:
        """Return where the log of a job is, if it has one."""
        *pipeline, job_id = job
        return self._root.joinpath(*pipeline, f"{job_id}{_SUFFIX}")

    def master_paths(self, pipeline: PipelineKey) -> list[Path]:
        """Return where the master lines of a pipeline are, oldest first."""
        folder = self._folder(pipeline)
        return [folder / _OLD_MASTER_NAME, folder / _MASTER_NAME]

    def delete_job(self, job: JobKey) -> None:
        """Remove the log of a job."""
        self.job_path(job).unlink(missing_ok=True)

    def delete_pipeline(self, pipeline: PipelineKey) -> None:
        """Remove every log of a pipeline."""
        folder = self._folder(pipeline)
        if folder.exists():
            shutil.rmtree(folder)


def read(path: Path, offset: int = 0) -> Iterator[tuple[LogRecord, int]]:
    """Yield the whole lines from byte `offset` on, each with the offset behind it; nothing when the file is missing."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            if not line.endswith(b"\n"):
                return
            record = _decode_whole(line)
            if record is not None:
                yield record, offset


def _decode_whole(line: bytes) -> LogRecord | None:
    """Decode a line; None for what a crash left of one (its newline was added by the next writer)."""
    try:
        return LogRecord.decode(line)
    except ValueError:
        return None
