"""A file lock that says: this folder is mine.

Taken by whoever must not share its data: the file set store, the master, `pdk serve`.
"""

import fcntl
from pathlib import Path
from typing import IO

from pdk.base.errors import FailedPrecondition


class AlreadyLocked(FailedPrecondition):
    """Another process, or another object of this one, holds the lock."""


def lock_file(path: Path) -> IO[bytes]:
    """Return the lock on `path`, held until the returned file is closed or the process ends, however it ends.

    The file and its folder are made when missing. Raises AlreadyLocked at once when somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise AlreadyLocked(f"{path} is locked by another process") from error
    return file
