"""File sets: immutable sets of files with their contents, what pfs stores of a commit.

A file set is named by the root of its tree (no bytes: no files). `FileSetStorage` reads them; `writer.py` makes new
ones from old, and `garbage.py` deletes what nobody refers to. It knows nothing of commits: who uses it keeps the roots.
Made by `pdk.stack`. Mirrors `internal/storage/fileset` of pachd.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pdk.base.locks import AlreadyLocked, lock_file
from pdk.db.database import Database
from pdk.storage.chunks import ChunkStore
from pdk.storage.contents import Contents
from pdk.storage.errors import StoreInUse
from pdk.storage.nodes import Nodes
from pdk.storage.pages import FileEntry, TreeRoot
from pdk.storage.pins import Pins
from pdk.storage.tree import Trees


class FileSetStorage:
    """Chunks below `root`, trees in the rows of `db` (made with `storage.schema.MIGRATIONS`); one process at a time."""

    def __init__(self, root: Path, db: Database) -> None:
        """Open the store, made when missing. Raises StoreInUse when another process, or another object, has it open."""
        self.db = db
        self._lock = _lock(root)
        self.pins = Pins()
        self.nodes = Nodes(db)
        self.chunks = ChunkStore(root, db, self.pins)
        self.contents = Contents(self.nodes, self.chunks)
        self.trees = Trees(self.nodes)

    def close(self) -> None:
        """Let another process open the store."""
        self._lock.close()

    @contextmanager
    def hold(self, tree: TreeRoot) -> Iterator[None]:
        """Keep a tree and its chunks from being collected while it is read."""
        self.pins.add(tree)
        try:
            yield
        finally:
            self.pins.release([tree])

    def size(self, tree: TreeRoot) -> int:
        """Return the bytes of all files of a tree."""
        return self.trees.root(tree).size

    def read(self, file: FileEntry, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from `offset` on, up to 512 KiB at a time. Raises ChunkMissing, ChunkCorrupt."""
        for part in file.parts:
            yield from self.contents.read(part.content, offset)
            offset = max(0, offset - part.content.size)

    def validate(self, tree: TreeRoot, base: TreeRoot) -> str:
        """Return what is wrong with the files that `tree` has beyond `base`, or "".

        Wrong is a file with parts of several datums, and a file at the path of a folder. The texts are pachd's
        (`internal/storage/fileset/validator.go`).
        """
        for path, new, old, folder in self.trees.diff(tree, base):
            if isinstance(new, FileEntry) and len(new.parts) > 1:
                first, second = new.parts[0].tag, new.parts[1].tag
                return f"duplicate path output by different datums ({path} from {first} and {path} from {second})"
            if new is not None and old is None:
                other = new.key + "/" if isinstance(new, FileEntry) else new.key.rstrip("/")
                if self.trees.get(folder, other) is not None:
                    return f"file / directory path collision ({path.rstrip('/')})"
        return ""


def _lock(root: Path) -> IO[bytes]:
    try:
        return lock_file(root / "lock")
    except AlreadyLocked as error:
        raise StoreInUse(root) from error
