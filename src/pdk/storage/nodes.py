"""Pages of trees: immutable byte strings in `tree_nodes` under their hash, with a cache of decoded ones.

Used by `contents.py` (lists of chunks) and `tree.py` (folders). A page is written in the transaction that first refers
to it, so every page a committed root reaches exists.
"""

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from pdk.db.database import Database
from pdk.storage.chunks import HASH_BYTES
from pdk.storage.errors import NodeMissing

T = TypeVar("T")

CACHED_PAGES = 1024
# Keeps the hash of a page apart from that of a chunk with the same bytes.
_PERSON = b"pdk-node"


def node_digest(body: bytes) -> bytes:
    """Return the hash a page is stored under."""
    return hashlib.blake2b(body, digest_size=HASH_BYTES, person=_PERSON).digest()


class Nodes:
    """The pages of one database."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._cache: OrderedDict[bytes, object] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, conn: sqlite3.Connection, body: bytes) -> bytes:
        """Store a page in the transaction of `conn` and return its hash."""
        digest = node_digest(body)
        conn.execute("INSERT OR IGNORE INTO tree_nodes (hash, body) VALUES (?, ?)", (digest, body))
        return digest

    def get(self, digest: bytes, decode: Callable[[bytes], T]) -> T:
        """Return a page decoded; one page is always asked for with the same `decode`. Raises NodeMissing."""
        with self._lock:
            if digest in self._cache:
                self._cache.move_to_end(digest)
                return self._cache[digest]  # type: ignore[return-value]
        value = decode(self._read(digest))
        with self._lock:
            self._cache[digest] = value
            if len(self._cache) > CACHED_PAGES:
                self._cache.popitem(last=False)
        return value

    def _read(self, digest: bytes) -> bytes:
        with self.db.read() as conn:
            row = conn.execute("SELECT body FROM tree_nodes WHERE hash = ?", (digest,)).fetchone()
        if row is None:
            raise NodeMissing(digest)
        body = bytes(row["body"])
        if node_digest(body) != digest:
            raise NodeMissing(digest, "corrupt in")
        return body
