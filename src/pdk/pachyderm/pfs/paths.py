"""Paths of files in a commit: their normal form, and which may be written.

Mirrors pachd's `internal/pfsfile` (CleanPath) and `internal/storage/paths.go` (ValidatePath).
"""

import posixpath
import re

from pdk.pachyderm.errors import InvalidPath

_UNPRINTABLE = re.compile(r"[^ -~]")
_GLOBBING = re.compile(r"[*?\[\]{}!()@+^]")
# As on Linux: a longer path could not be laid out under /pfs.
MAX_LENGTH = 4096
MAX_NAME_LENGTH = 255


def clean(path: str) -> str:
    """Return the normal form: absolute, without `.`, `..`, doubled or trailing `/`; "" becomes `/`."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def check_writable(path: str) -> str:
    """Return the normal form of a path to write to. Raises InvalidPath with the original's texts."""
    bad = _UNPRINTABLE.search(path)
    if bad is not None:
        raise InvalidPath(f"path ({path}) invalid: only printable ASCII characters allowed")
    bad = _GLOBBING.search(path)
    if bad is not None:
        raise InvalidPath(f"path ({path}) invalid: globbing character ({bad[0]}) not allowed in path")
    names = path.split("/")
    if any(name in (".", "..") for name in names):
        raise InvalidPath(f"path ({path}) invalid: relative file paths are not allowed")
    if len(path) > MAX_LENGTH or any(len(name) > MAX_NAME_LENGTH for name in names):
        raise InvalidPath(
            f"path ({path[:80]}...) invalid: longer than {MAX_LENGTH} characters, or {MAX_NAME_LENGTH} between slashes"
        )
    return clean(path)


def check_file(path: str) -> str:
    """Return the normal form of the path of a file to write. Raises InvalidPath, also for the root."""
    cleaned = check_writable(path)
    if cleaned == "/":
        raise InvalidPath(f"path ({path}) invalid: a file needs a name")
    return cleaned
