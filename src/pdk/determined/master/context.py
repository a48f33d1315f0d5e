"""Model definitions (context directories): from the files a client submits to a .tar.gz, and back into a folder.

Hostile input: paths must be relative and stay inside, only files and folders are taken, modes lose set-id bits, number
and size are bounded. Called when an experiment is created and when a trial starts.
"""

import base64
import binascii
import gzip
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pdk.determined.errors import InvalidContext

FILE_TYPE = ord(tarfile.REGTYPE)
FOLDER_TYPE = ord(tarfile.DIRTYPE)
MAX_ENTRIES = 20_000
MAX_BYTES = 96 * 1024 * 1024
MAX_PATH_CHARACTERS = 1024


@dataclass(frozen=True)
class ContextFile:
    """One entry a client submits; `content` is base64, `kind` the tar type (48 file, 53 folder), `mtime` in seconds."""

    path: str
    kind: int
    content: str
    mode: int
    mtime: int


def pack(files: Sequence[ContextFile]) -> bytes:
    """Return the .tar.gz of the submitted files; the same files give the same bytes. Raises InvalidContext."""
    if len(files) > MAX_ENTRIES:
        raise InvalidContext(f"model definition: more than {MAX_ENTRIES} files")
    seen: set[str] = set()
    size = 0
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in files:
            entry, content = _entry(file)
            if entry.name in seen:
                raise InvalidContext(f"model definition: {entry.name!r} is given twice")
            seen.add(entry.name)
            size += len(content)
            if size > MAX_BYTES:
                raise InvalidContext(f"model definition: larger than {MAX_BYTES // 2**20} MiB")
            archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    return buffer.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Unpack a model definition made by `pack` into an existing folder; the owner may always write."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")


def _entry(file: ContextFile) -> tuple[tarfile.TarInfo, bytes]:
    name = _safe_path(file.path)
    entry = tarfile.TarInfo(name)
    entry.mtime = max(0, min(file.mtime, 2**33))
    entry.uid = entry.gid = 0
    if file.kind == FOLDER_TYPE:
        entry.type = tarfile.DIRTYPE
        entry.mode = (file.mode & 0o777) | 0o700
        return entry, b""
    if file.kind != FILE_TYPE:
        raise InvalidContext(f"model definition: {name!r} is neither a file nor a folder (type {file.kind})")
    try:
        content = base64.b64decode(file.content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidContext(f"model definition: the content of {name!r} is not base64: {error}") from error
    entry.mode = (file.mode & 0o777) | 0o600
    entry.size = len(content)
    return entry, content


def _safe_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or len(path) > MAX_PATH_CHARACTERS:
        raise InvalidContext(f"model definition: {path[:80]!r} is not a relative path that stays inside the folder")
    return "/".join(parts)
