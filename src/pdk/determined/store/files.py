"""The master's files: model definitions (content-addressed .tar.gz, write-once) and checkpoint folders.

Called by `pdk.determined.master`. One function removes checkpoint files (`remove_checkpoint_files`), one removes model
definitions (`ModelDefinitions.remove`).
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pdk.base.folders import sync_folder


class ModelDefinitions:
    """A folder of `<sha256>.tar.gz` files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        """Store `data` for good (temp file, fsync, rename) and return its SHA-256 in hex."""
        digest = hashlib.sha256(data).hexdigest()
        target = self.path(digest)
        if target.exists():
            return digest
        handle, name = tempfile.mkstemp(dir=self._folder, prefix="incoming-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o400)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        return digest

    def path(self, digest: str) -> Path:
        """Return where the model definition `digest` lies."""
        return self._folder / f"{digest}.tar.gz"

    def get(self, digest: str) -> bytes:
        """Return the .tar.gz; raises FileNotFoundError."""
        return self.path(digest).read_bytes()

    def remove(self, digest: str) -> None:
        """Remove a model definition no experiment uses any more; no error when it is gone."""
        self.path(digest).unlink(missing_ok=True)


def checkpoint_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path relative to `folder`, path) of folders and regular files below a checkpoint folder, sorted.

    Symbolic links and special files are left out: user code wrote these folders and must not be able to hand out other
    files of the machine through them. Folder names end with `/`, as in the `resources` the harness reports.
    """
    for root, names, files in os.walk(folder, followlinks=False):
        names[:] = sorted(name for name in names if not Path(root, name).is_symlink())
        for name in names:
            path = Path(root, name)
            yield f"{path.relative_to(folder)}/", path
        for name in sorted(files):
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(folder)), path


def remove_checkpoint_files(folder: Path, paths: Sequence[str] | None = None) -> None:
    """Remove a whole checkpoint folder (`paths` None) or the given files in it; what is gone already is no error.

    Every path must be one that `checkpoint_files` yielded; folders go only when they are empty.
    """
    if not folder.exists():
        return
    if paths is None:
        shutil.rmtree(folder)
        sync_folder(folder.parent)
        return
    present = dict(checkpoint_files(folder))
    for name in sorted(paths, reverse=True):  # files before the folders that hold them
        path = present.get(name)
        if path is None:
            continue
        if not name.endswith("/"):
            path.unlink(missing_ok=True)
        elif not any(path.iterdir()):
            path.rmdir()
