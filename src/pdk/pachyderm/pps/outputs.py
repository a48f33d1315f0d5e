"""What user code left in `/pfs/out`: walk it, check it, hand it to pfs.

Called by `datum_runs` after a successful try, when nothing of the try runs any more. Mirrors the upload of the
original's `pfssync`: folders are implicit; a symlink to an input, or to another output file, is stored as a copy. A
link that leaves `/pfs`, a socket, pipe or device fails the datum, with the path and what to do.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.pps.scratch import Scratch

MAX_LINKS = 40
MAX_DEPTH = 256
CHUNK_BYTES = 1 << 20


class BadOutput(InvalidArgument):
    """User code left something in `/pfs/out` that no commit can hold."""


@dataclass(frozen=True)
class OutputFile:
    """A file to store: its path in the output repo and where its content is."""

    path: str
    source: Path

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most 1 MiB."""
        with self.source.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield data


def output_files(scratch: Scratch) -> Iterator[OutputFile]:
    """Yield every file below `/pfs/out`, ordered by path. Raises BadOutput."""
    yield from _walk(scratch, scratch.out, "", frozenset())


def _walk(scratch: Scratch, folder: Path, prefix: str, linked: frozenset[Path]) -> Iterator[OutputFile]:
    """Walk one folder; `linked` are the folders above it from the first link on, none when no link led here."""
    if prefix.count("/") > MAX_DEPTH:
        raise BadOutput(f"/pfs/out{prefix[:200]}... is nested deeper than {MAX_DEPTH} folders")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = f"{prefix}/{entry.name}"
        source = Path(entry.path)
        if entry.is_symlink():
            source = _follow(scratch, source, path)
        mode = source.lstat().st_mode
        if stat.S_ISREG(mode):
            yield OutputFile(path, source)
        elif not stat.S_ISDIR(mode):
            raise BadOutput(f"/pfs/out{path} is a {_kind(mode)}; only files, folders and links to them can be stored")
        elif linked or entry.is_symlink():
            _check_link(scratch, source, path, linked)
            yield from _walk(scratch, source, path, linked | {source})
        else:
            yield from _walk(scratch, source, path, linked)


def _kind(mode: int) -> str:
    if stat.S_ISSOCK(mode):
        return "socket"
    return "named pipe" if stat.S_ISFIFO(mode) else "device"


def _check_link(scratch: Scratch, source: Path, path: str, linked: frozenset[Path]) -> None:
    """A link to a folder of the output would store the same files twice; one to a folder above it has no end."""
    if source == scratch.pfs or source == scratch.out or scratch.out in source.parents:
        raise BadOutput(f"/pfs/out{path} links to a folder of the output itself; copy the files instead")
    if source in linked:
        raise BadOutput(f"/pfs/out{path} links to a folder that contains it")


def _follow(scratch: Scratch, link: Path, path: str) -> Path:
    """Resolve a link element by element inside `/pfs`, as user code saw it; never through a link of the machine."""
    parts = list(link.relative_to(scratch.pfs).parts)
    done: list[str] = []
    for _ in range(MAX_LINKS * 64):
        if not parts:
            return scratch.pfs.joinpath(*done)
        part = parts.pop(0)
        if part == "..":
            if not done:
                break
            done.pop()
            continue
        here = scratch.pfs.joinpath(*done, part)
        if not here.is_symlink():
            if not here.exists():
                raise BadOutput(f"/pfs/out{path} is a link to {link.readlink()}, which does not exist")
            done.append(part)
            continue
        target = PurePosixPath(here.readlink())
        if target.is_absolute():
            if not target.is_relative_to(scratch.pfs_root):
                break
            done, target = [], target.relative_to(scratch.pfs_root)
        parts[:0] = target.parts
    raise BadOutput(f"/pfs/out{path} is a link to {link.readlink()}, outside /pfs; copy the file into /pfs/out instead")
