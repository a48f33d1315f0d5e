"""Files of a commit as a tar stream, as GetFileTAR sends it; mirrors `getFileTar` of pachd.

Entries are in the order of paths, with absolute names, mode 0 and time 0; folders end with `/`; two zero blocks end it.
"""

import tarfile
from collections.abc import Iterator

from pdk.pachyderm.pfs.files import Files
from pdk.pachyderm.pfs.types import FileInfo, FileType


def tar_stream(files: Files, pattern: str) -> Iterator[bytes]:
    """Yield the tar of everything that matches `pattern` (matching folders with what is in them)."""
    for info in files.subtrees(pattern):
        yield _header(info)
        if info.type is FileType.FILE:
            yield from files.read(info.path)
            yield bytes(-info.size_bytes % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(info: FileInfo) -> bytes:
    member = tarfile.TarInfo(info.path)
    member.mode = 0
    if info.type is FileType.DIR:
        member.type = tarfile.DIRTYPE
    else:
        member.size = info.size_bytes
    return member.tobuf(tarfile.PAX_FORMAT)
