"""The chunk store: immutable byte strings under the BLAKE2b-256 hash of their content.

Chunks up to `SMALL_BYTES` are rows of `small_chunks` (thousands of small files cost one fsync, not thousands); larger
ones are files `chunks/ab/cdef...`, mode 0444, written once: temporary file, fsync, rename, fsync of the folder. So a
file under its final name is always whole. Only `garbage.py` deletes. Used by `contents.py`, through `filesets.py`.
Mirrors `internal/storage/chunk` of pachd.
"""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pdk.base.folders import sync_folder
from pdk.db.database import Database
from pdk.storage.errors import ChunkCorrupt, ChunkMissing
from pdk.storage.pins import Pins

SMALL_BYTES = 16 << 10
HASH_BYTES = 32
# How many chunk files a writer leaves unsynced at most: 4 MiB of content.
_SYNC_FILES = 32
_FLUSH_SMALL_BYTES = 4 << 20


class Chunk(NamedTuple):
    """A reference to stored bytes; `size` tells where they are."""

    digest: bytes
    size: int


def digest_of(data: bytes) -> bytes:
    """Return the hash a chunk is stored under."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


class ChunkStore:
    """Chunks below `root` and in the rows of `db`."""

    def __init__(self, root: Path, db: Database, pins: Pins) -> None:
        """Open the store; temporary files of a killed process are removed."""
        self._folder = root / "chunks"
        self._temporary = root / "tmp"
        self.db = db
        self.pins = pins
        self._make_folders()
        for leftover in self._temporary.iterdir():
            leftover.unlink()

    def _make_folders(self) -> None:
        """Make every folder there will ever be, durably, so that a writer need only sync the one it renames into."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        if not (self._folder / "ff").is_dir():
            for number in range(256):
                (self._folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)
            sync_folder(self._folder)
            sync_folder(self._folder.parent)

    def path(self, digest: bytes) -> Path:
        """Return where the file of a large chunk is or would be."""
        name = digest.hex()
        return self._folder / name[:2] / name[2:]

    def read(self, chunk: Chunk) -> bytes:
        """Return a chunk's bytes. Raises ChunkMissing, ChunkCorrupt."""
        data = self._read_small(chunk) if chunk.size <= SMALL_BYTES else self._read_large(chunk)
        if digest_of(data) != chunk.digest:
            raise ChunkCorrupt(chunk.digest, self.db.path if chunk.size <= SMALL_BYTES else self.path(chunk.digest))
        return data

    def _read_small(self, chunk: Chunk) -> bytes:
        with self.db.read() as conn:
            row = conn.execute("SELECT data FROM small_chunks WHERE hash = ?", (chunk.digest,)).fetchone()
        if row is None:
            raise ChunkMissing(chunk.digest, self.db.path)
        return bytes(row["data"])

    def _read_large(self, chunk: Chunk) -> bytes:
        path = self.path(chunk.digest)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise ChunkMissing(chunk.digest, path) from error

    def list_large(self) -> Iterator[bytes]:
        """Yield the hashes of the chunks that are files."""
        for folder in self._folder.iterdir():
            for path in folder.iterdir():
                yield bytes.fromhex(folder.name + path.name)

    def delete_large(self, digest: bytes) -> bool:
        """Delete a chunk's file unless it is pinned; for `garbage.py` only."""
        return self.pins.unless_pinned(digest, lambda: self.path(digest).unlink(missing_ok=True))

    def write_temporary(self, data: bytes) -> str:
        """Write bytes to a new temporary file, not synced yet, and return its path."""
        handle, path = tempfile.mkstemp(dir=self._temporary)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(handle, 0o444)
        except OSError:
            Path(path).unlink()  # what there is of it takes up a disk that is full
            raise
        return path

    def has_large(self, digest: bytes, size: int) -> bool:
        """Tell whether a chunk's file is there in full length (one that was cut short is written again)."""
        try:
            return self.path(digest).stat().st_size == size
        except FileNotFoundError:
            return False


class ChunkWriter:
    """Writes chunks for one file set; pins each from before it is written until `close`.

    Nothing is durable before `flush` returned and, for small chunks, its transaction committed.
    """

    def __init__(self, store: ChunkStore) -> None:
        self._store = store
        self._pinned: list[bytes] = []
        self._unsynced: dict[bytes, str] = {}
        self._unsynced_folders: set[Path] = set()
        self._small: dict[bytes, bytes] = {}
        self._small_bytes = 0

    def put(self, data: bytes) -> Chunk:
        """Store bytes (at least one) and return how to find them."""
        chunk = Chunk(digest_of(data), len(data))
        self.pin(chunk)
        if chunk.size <= SMALL_BYTES:
            self._put_small(chunk, data)
        elif chunk.digest not in self._unsynced and not self._store.has_large(*chunk):
            self._unsynced[chunk.digest] = self._store.write_temporary(data)
            if len(self._unsynced) >= _SYNC_FILES:
                self._rename()
        return chunk

    def pin(self, chunk: Chunk) -> None:
        """Keep a chunk that is stored already."""
        self._store.pins.add(chunk.digest)
        self._pinned.append(chunk.digest)

    def read(self, chunk: Chunk) -> bytes:
        """Return a chunk's bytes, also when it was put here and is not flushed yet."""
        if chunk.digest in self._small:
            return self._small[chunk.digest]
        if chunk.digest in self._unsynced:
            return Path(self._unsynced[chunk.digest]).read_bytes()
        return self._store.read(chunk)

    def _put_small(self, chunk: Chunk, data: bytes) -> None:
        if chunk.digest not in self._small:
            self._small[chunk.digest] = data
            self._small_bytes += len(data)
        if self._small_bytes >= _FLUSH_SMALL_BYTES:
            with self._store.db.transaction() as conn:
                self._insert_small(conn)

    def sync(self) -> None:
        """Make the chunks that are files durable."""
        self._rename()
        for folder in self._unsynced_folders:
            sync_folder(folder)
        self._unsynced_folders.clear()

    def flush(self, conn: sqlite3.Connection) -> None:
        """Make what was put durable together with the transaction of `conn`."""
        self.sync()
        self._insert_small(conn)

    def _insert_small(self, conn: sqlite3.Connection) -> None:
        conn.executemany("INSERT OR IGNORE INTO small_chunks (hash, data) VALUES (?, ?)", self._small.items())
        self._small.clear()
        self._small_bytes = 0

    def _rename(self) -> None:
        """Give the temporary files, synced, their names; the folders are synced once, in `sync`."""
        while self._unsynced:
            digest, temporary = next(iter(self._unsynced.items()))
            with Path(temporary).open("rb") as file:
                os.fsync(file.fileno())
            path = self._store.path(digest)
            Path(temporary).rename(path)
            del self._unsynced[digest]
            self._unsynced_folders.add(path.parent)

    def close(self) -> None:
        """Forget what was not flushed and take off the pins."""
        for temporary in self._unsynced.values():
            Path(temporary).unlink()
        self._unsynced.clear()
        self._small.clear()
        self._store.pins.release(self._pinned)
        self._pinned = []
