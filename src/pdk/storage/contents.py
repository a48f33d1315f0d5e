"""Contents of files: which chunks, in which order. Equal bytes have equal `Content`, however they were written.

A content of several chunks is a list of references in pages (`nodes.py`), cut where a reference's hash says so, with
pages of pages above; so a changed chunk rewrites a page or two of a large file's list. Used by `tree.py` and
`filesets.py`.

Page: `L`, level (1 byte), then per entry: hash (32 bytes) and size (8 bytes, big endian). Entries are chunks on level
0, pages of the level below otherwise.
"""

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pdk.storage.chunking import Chunker
from pdk.storage.chunks import Chunk, ChunkStore, ChunkWriter, digest_of
from pdk.storage.errors import NodeMissing
from pdk.storage.nodes import Nodes

_ENTRY = struct.Struct(">32sQ")
# A page ends after a reference whose last seven hash bits are zero: 128 references on average.
_CUT_MASK = 0x7F


class Content(NamedTuple):
    """The bytes of a file (or of one datum's part of it).

    `hash` is that of the only chunk, or of the list's top page, or of no bytes: equal exactly when the bytes are.
    """

    size: int
    hash: bytes
    # Whether `hash` names a list of chunks.
    listed: bool = False


EMPTY_CONTENT = Content(0, digest_of(b""))


class _ListPage(NamedTuple):
    level: int
    entries: tuple[Chunk, ...]


def _decode(body: bytes) -> _ListPage:
    return _ListPage(body[1], tuple(Chunk._make(entry) for entry in _ENTRY.iter_unpack(body[2:])))


class Contents:
    """Builds and reads contents."""

    def __init__(self, nodes: Nodes, chunks: ChunkStore) -> None:
        self._nodes = nodes
        self._chunks = chunks

    def build(self, conn: sqlite3.Connection, chunks: Sequence[Chunk]) -> Content:
        """Return the content made of these chunks; its pages go into the transaction of `conn`."""
        if not chunks:
            return EMPTY_CONTENT
        level, entries = 0, list(chunks)
        while len(entries) > 1:
            entries = [self._put_page(conn, level, page) for page in _split(entries)]
            level += 1
        return Content(entries[0].size, entries[0].digest, listed=level > 0)

    def _put_page(self, conn: sqlite3.Connection, level: int, entries: Sequence[Chunk]) -> Chunk:
        body = b"L" + bytes([level]) + b"".join(_ENTRY.pack(*entry) for entry in entries)
        return Chunk(self._nodes.put(conn, body), sum(entry.size for entry in entries))

    def list_chunks(self, content: Content, offset: int = 0) -> Iterator[tuple[Chunk, int]]:
        """Yield the chunks of a content from byte `offset` on, each with the number of its first bytes to leave out."""
        if offset >= content.size:
            return
        if not content.listed:
            yield Chunk(content.hash, content.size), offset
            return
        yield from self._list(content.hash, offset)

    def _list(self, digest: bytes, offset: int) -> Iterator[tuple[Chunk, int]]:
        page = self._page(digest)
        for entry in page.entries:
            if offset >= entry.size:
                offset -= entry.size
                continue
            if page.level == 0:
                yield entry, offset
            else:
                yield from self._list(entry.digest, offset)
            offset = 0

    def _page(self, digest: bytes) -> _ListPage:
        page = self._nodes.get(digest, _decode)
        if not isinstance(page, _ListPage):
            raise NodeMissing(digest, "not the list of chunks it should be in")
        return page

    def read(self, content: Content, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `offset` on, a chunk at a time. Raises ChunkMissing, ChunkCorrupt, NodeMissing."""
        for chunk, skip in self.list_chunks(content, offset):
            data = self._chunks.read(chunk)
            yield data[skip:] if skip else data

    def mark(self, content: Content, nodes: set[bytes], chunks: set[bytes]) -> None:
        """Add the pages and chunks of a content to what is in use."""
        if not content.listed:
            if content.size:
                chunks.add(content.hash)
            return
        queue = [content.hash]
        while queue:
            digest = queue.pop()
            if digest in nodes:
                continue
            nodes.add(digest)
            page = self._page(digest)
            (queue.extend if page.level else chunks.update)(entry.digest for entry in page.entries)


def _split(entries: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Yield references cut into pages of two or more, so that levels get shorter; the last perhaps of one."""
    page: list[Chunk] = []
    for entry in entries:
        page.append(entry)
        if len(page) > 1 and not entry.digest[-1] & _CUT_MASK:
            yield page
            page = []
    if page:
        yield page


def join_chunks(first: Sequence[Chunk], second: Sequence[Chunk], writer: ChunkWriter) -> list[Chunk]:
    """Return the chunks of two streams written one after the other, as if they had been one.

    The last chunk of `first` ended with its stream and not at a cut, so it is cut again together with `second`, until a
    cut falls where `second` had one: from there on its chunks are the right ones already.
    """
    if not first or not second:
        return list(first or second)
    chunker = Chunker()
    joined = list(first[:-1])
    joined += [writer.put(piece) for piece in chunker.feed(writer.read(first[-1]))]
    for position, chunk in enumerate(second, 1):
        joined += [writer.put(piece) for piece in chunker.feed(writer.read(chunk), eager=True)]
        if chunker.empty:
            return joined + list(second[position:])
    return joined + [writer.put(piece) for piece in chunker.finish()]
