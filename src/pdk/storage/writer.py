"""Changes to a file set: what one ModifyFile stream or one datum writes, applied to a tree all at once.

Contents go to the chunk store as they come; the changes are kept in order and applied in `apply`, inside the
transaction that makes them visible. Until then, and after `close` without it, nothing is seen of them. Used by `pfs`.
Mirrors `internal/storage/fileset/unordered_writer.go` of pachd.
"""

import sqlite3
from typing import NamedTuple

from pdk.storage.chunking import Chunker
from pdk.storage.chunks import Chunk, ChunkWriter
from pdk.storage.contents import Content, join_chunks
from pdk.storage.filesets import FileSetStorage
from pdk.storage.pages import FileEntry, Part, TreeRoot


class _Add(NamedTuple):
    """Append chunks to a datum's part of a file, making both when missing."""

    path: str
    tag: str
    chunks: list[Chunk]


class _Delete(NamedTuple):
    """Remove a datum's part of a file."""

    path: str
    tag: str


class _DeleteFolder(NamedTuple):
    """Remove a datum's parts of all files below a folder; the path ends with `/`."""

    path: str
    tag: str


class FileSetWriter:
    """Collects changes, for one thread; paths must be absolute and clean. Whoever makes one closes it."""

    def __init__(self, storage: FileSetStorage) -> None:
        self._storage = storage
        self._chunks = ChunkWriter(storage.chunks)
        self._changes: list[_Add | _Delete | _DeleteFolder] = []
        self._chunker: Chunker | None = None
        self._held: list[bytes] = []

    def append(self, path: str, data: bytes, tag: str) -> None:
        """Add bytes (perhaps none) to a datum's part of a file; calls in a row for one file are one stream."""
        last = self._changes[-1] if self._changes else None
        if self._chunker is None or not isinstance(last, _Add) or (last.path, last.tag) != (path, tag):
            self._end_stream()
            last = _Add(path, tag, [])
            self._changes.append(last)
            self._chunker = Chunker()
        last.chunks.extend(self._chunks.put(piece) for piece in self._chunker.feed(data))

    def _end_stream(self) -> None:
        if self._chunker is not None:
            add = self._changes[-1]
            assert isinstance(add, _Add)
            add.chunks.extend(self._chunks.put(piece) for piece in self._chunker.finish())
            self._chunker = None

    def delete(self, path: str, tag: str) -> None:
        """Remove a datum's part of a file; nothing happens when it is not there."""
        self._end_stream()
        self._changes.append(_Delete(path, tag))

    def delete_folder(self, path: str, tag: str) -> None:
        """Remove a datum's parts of all files below a folder (`/` at its end); `/` alone means all files."""
        self._end_stream()
        self._changes.append(_DeleteFolder(path, tag))

    def copy(self, path: str, source: FileEntry, tag: str, append: bool) -> None:
        """Give a file the content of `source`, a file of a tree that the caller holds (`hold`)."""
        if not append:
            self.delete(path, tag)
        self._end_stream()
        chunks: list[Chunk] = []
        for part in source.parts:
            part_chunks = [chunk for chunk, _ in self._storage.contents.list_chunks(part.content)]
            chunks = join_chunks(chunks, part_chunks, self._chunks)
        self._changes.append(_Add(path, tag, chunks))

    def hold(self, tree: TreeRoot) -> None:
        """Keep a tree and its chunks from being collected until `close`."""
        self._storage.pins.add(tree)
        self._held.append(tree)

    def sync(self) -> None:
        """Make the chunk files durable now, so that `apply` holds its transaction for a shorter time."""
        self._end_stream()
        self._chunks.sync()

    def apply(self, conn: sqlite3.Connection, tree: TreeRoot) -> TreeRoot:
        """Return the tree with the changes made, durable when the transaction of `conn` is committed."""
        self._end_stream()
        overlay = _Overlay(self._storage, conn, tree)
        for change in self._changes:
            if isinstance(change, _Add):
                overlay.append(change, self._chunks)
            elif isinstance(change, _Delete):
                overlay.delete(change.path, change.tag)
            else:
                overlay.delete_folder(change.path, change.tag)
        self._chunks.flush(conn)
        return overlay.flush()

    def close(self) -> None:
        """Let go of everything; to be called after the transaction, whatever became of it."""
        self._chunks.close()
        self._storage.pins.release(self._held)
        self._held = []
        self._changes = []
        self._chunker = None


class _Overlay:
    """A tree and the files of it that changed since it was last written out."""

    def __init__(self, storage: FileSetStorage, conn: sqlite3.Connection, tree: TreeRoot) -> None:
        self._storage = storage
        self._conn = conn
        self._tree = tree
        self._files: dict[str, dict[str, Content]] = {}

    def _parts(self, path: str) -> dict[str, Content]:
        if path not in self._files:
            file = self._storage.trees.find_file(self._tree, path)
            self._files[path] = dict(file.parts) if file is not None else {}
        return self._files[path]

    def append(self, add: _Add, writer: ChunkWriter) -> None:
        parts = self._parts(add.path)
        chunks = add.chunks
        if add.tag in parts:
            present = [chunk for chunk, _ in self._storage.contents.list_chunks(parts[add.tag])]
            chunks = join_chunks(present, chunks, writer)
        parts[add.tag] = self._storage.contents.build(self._conn, chunks)

    def delete(self, path: str, tag: str) -> None:
        self._parts(path).pop(tag, None)

    def delete_folder(self, path: str, tag: str) -> None:
        tree = self.flush()
        _, folder = self._storage.trees.find(tree, path.rstrip("/"))
        if folder is None:
            return
        for file_path, entry in self._storage.trees.walk(folder.root, path):
            if isinstance(entry, FileEntry):
                self._files[file_path] = {part.tag: part.content for part in entry.parts if part.tag != tag}

    def flush(self) -> TreeRoot:
        """Write the changed files into the tree and return it."""
        changes = {path: tuple(map(Part._make, sorted(parts.items()))) for path, parts in self._files.items()}
        self._files = {}
        self._tree = self._storage.trees.update(self._conn, self._tree, changes)
        return self._tree
