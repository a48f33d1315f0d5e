"""Garbage collection: the one place where pages and chunks are deleted. Called by whoever keeps the roots.

Mark and sweep. What is in use: everything reachable from the roots (trees of commits) and from pinned trees (being
read), and pinned chunks (being written). It never races with a writer:

- a writer pins a chunk before it looks whether it exists, and releases the pin after its transaction; pins released
  while a collection runs stay in force until its end. So a chunk is either pinned during the whole sweep, or its
  commit was there before the marking began.
- pages are written in the transaction that first refers to them, and are deleted in one that has marked again from all
  roots, so no tree can be made of a page that is just going away.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pdk.storage.filesets import FileSetStorage
from pdk.storage.pages import TreeRoot

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collected:
    """How much was deleted."""

    pages: int = 0
    small_chunks: int = 0
    chunk_files: int = 0


def collect(storage: FileSetStorage, roots: Callable[[sqlite3.Connection], Iterable[TreeRoot]]) -> Collected:
    """Delete the pages and chunks that none of `roots` reaches and nobody is writing or reading; return how much.

    `roots` is called with a connection, perhaps several times, and returns the trees in use. Does nothing while another
    collection runs.
    """
    if not storage.pins.begin_collection():
        return Collected()
    try:
        marks = _Marks(storage)
        # Without the write lock first: writers go on meanwhile, and little is left to mark inside the transaction.
        with storage.db.read() as conn:
            marks.mark(roots(conn))
        with storage.db.transaction() as conn:
            marks.mark(roots(conn))
            marks.mark(_pinned_trees(storage, conn))
            pages = _delete_rows(conn, "tree_nodes", marks.nodes)
            small = _delete_rows(conn, "small_chunks", marks.chunks | set(storage.pins.pinned()))
        files = sum(
            storage.chunks.delete_large(digest) for digest in storage.chunks.list_large() if digest not in marks.chunks
        )
    finally:
        storage.pins.end_collection()
    collected = Collected(pages, small, files)
    logger.info("collected garbage: %s", collected)
    return collected


class _Marks:
    """What is in use: hashes of pages and of chunks."""

    def __init__(self, storage: FileSetStorage) -> None:
        self._storage = storage
        self.nodes: set[bytes] = set()
        self.chunks: set[bytes] = set()

    def mark(self, trees: Iterable[TreeRoot]) -> None:
        contents = self._storage.contents
        for tree in trees:
            self._storage.trees.mark(
                tree, self.nodes, lambda part: contents.mark(part.content, self.nodes, self.chunks)
            )


def _pinned_trees(storage: FileSetStorage, conn: sqlite3.Connection) -> list[TreeRoot]:
    """Return the pinned hashes that are pages (the others are chunks)."""
    query = "SELECT 1 FROM tree_nodes WHERE hash = ?"
    pinned = filter(None, storage.pins.pinned())
    return [TreeRoot(digest) for digest in pinned if conn.execute(query, (digest,)).fetchone()]


def _delete_rows(conn: sqlite3.Connection, table: str, used: set[bytes]) -> int:
    unused = [(row["hash"],) for row in conn.execute(f"SELECT hash FROM {table}") if row["hash"] not in used]
    conn.executemany(f"DELETE FROM {table} WHERE hash = ?", unused)
    return len(unused)
