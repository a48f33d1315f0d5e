"""Pages of folders and how they are written down; see docs/storage-format.md. Used by `tree.py`.

Keys are compared as Python strings, which orders them like their UTF-8 bytes.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, NewType, cast

from pdk.storage.chunks import HASH_BYTES
from pdk.storage.contents import Content

# A page is cut after a key with seven zero bits in its hash: 128 entries on average.
_CUT_BITS = 7


# The hash of a folder's top page, which names the whole folder and, for the root, a tree; no bytes = no files.
TreeRoot = NewType("TreeRoot", bytes)


class Part(NamedTuple):
    """What one datum wrote to a file; `tag` is the datum's id."""

    tag: str
    content: Content


class FileEntry(NamedTuple):
    """A file: its parts in the order of their tags, which is the order they are read in."""

    key: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Return the bytes of all parts."""
        return sum(part.content.size for part in self.parts)

    @property
    def hash(self) -> bytes:
        """Return the content's hash, or that of the parts' hashes when there are several."""
        if len(self.parts) == 1:
            return self.parts[0].content.hash
        return _hash(b"".join(part.content.hash for part in self.parts))


class DirEntry(NamedTuple):
    """A folder: key `name/`, bytes and number of all files below, hash of their names and contents, its top page.

    `hash` leaves out who wrote the files (the tags); `root` names exactly this folder.
    """

    key: str
    size: int
    files: int
    hash: bytes
    root: TreeRoot


Entry = FileEntry | DirEntry


class PageRef(NamedTuple):
    """A reference from a page to one below it: its last key, its totals as in `DirEntry`, its hash."""

    last_key: str
    size: int
    files: int
    hash: bytes
    digest: TreeRoot


class FolderPage(NamedTuple):
    """Entries (level 0) or children of one level below."""

    level: int
    keys: tuple[str, ...]
    entries: tuple[Entry, ...]
    children: tuple[PageRef, ...]
    size: int
    files: int
    hash: bytes

    @classmethod
    def of(cls, level: int, items: "Sequence[Entry] | Sequence[PageRef]") -> "FolderPage":
        """Make a page of entries (level 0) or children in order."""
        entries = () if level else tuple(cast("Sequence[Entry]", items))
        children = tuple(cast("Sequence[PageRef]", items)) if level else ()
        keys = tuple(child.last_key for child in children) if level else tuple(entry.key for entry in entries)
        size = sum(item.size for item in items)
        files = sum(1 if isinstance(item, FileEntry) else item.files for item in items)
        digest = _hash(b"".join(key.encode() + b"\0" + item.hash for key, item in zip(keys, items, strict=True)))
        return cls(level, keys, entries, children, size, files, digest)


def summarise(key: str, root: TreeRoot, page: FolderPage) -> DirEntry:
    """Return the entry of the folder whose top page is `page`, stored as `root`."""
    return DirEntry(key, page.size, page.files, page.hash, root)


def cuts_after(key: str, level: int) -> bool:
    """Tell whether a page of this level ends after `key`."""
    bits = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, person=b"pdk-cut").digest(), "big")
    return not bits >> (_CUT_BITS * min(level, 8)) & ((1 << _CUT_BITS) - 1)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


_HEADER = struct.Struct(">cBI")
_LENGTH = struct.Struct(">H")
_PART = struct.Struct(">?Q32s")
_FOLDER = struct.Struct(">QQ32s32s")
_MAGIC, _FILE, _DIR = b"D", b"f", b"d"


def encode(page: FolderPage) -> bytes:
    """Return the page as bytes."""
    parts = [_HEADER.pack(_MAGIC, page.level, len(page.keys))]
    for entry in page.entries:
        parts.append(_encode_file(entry) if isinstance(entry, FileEntry) else _DIR + _encode_totals(entry))
    parts += [_encode_totals(child) for child in page.children]
    return b"".join(parts)


def _encode_text(text: str) -> bytes:
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


def _encode_totals(item: DirEntry | PageRef) -> bytes:
    return _encode_text(item[0]) + _FOLDER.pack(*item[1:])


def _encode_file(entry: FileEntry) -> bytes:
    parts = [_FILE, _encode_text(entry.key), _LENGTH.pack(len(entry.parts))]
    for tag, content in entry.parts:
        parts += [_encode_text(tag), _PART.pack(content.listed, content.size, content.hash)]
    return b"".join(parts)


def decode(body: bytes) -> FolderPage | None:
    """Return the page that `encode` wrote; None when the bytes are something else."""
    magic, level, count = _HEADER.unpack_from(body)
    return _PageReader(body, _HEADER.size).page(level, count) if magic == _MAGIC else None


class _PageReader:
    def __init__(self, body: bytes, position: int) -> None:
        self._body = body
        self._position = position

    def page(self, level: int, count: int) -> FolderPage:
        if level:
            return FolderPage.of(level, [PageRef(self._text(), *self._unpack(_FOLDER)) for _ in range(count)])
        return FolderPage.of(level, [self._entry() for _ in range(count)])

    def _entry(self) -> Entry:
        kind = self._body[self._position : self._position + 1]
        self._position += 1
        key = self._text()
        if kind == _DIR:
            return DirEntry(key, *self._unpack(_FOLDER))
        (count,) = self._unpack(_LENGTH)
        return FileEntry(key, tuple(self._part() for _ in range(count)))

    def _part(self) -> Part:
        tag = self._text()
        listed, size, digest = self._unpack(_PART)
        return Part(tag, Content(size, digest, listed))

    def _text(self) -> str:
        (length,) = self._unpack(_LENGTH)
        start, self._position = self._position, self._position + length
        return self._body[start : self._position].decode()

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        values = layout.unpack_from(self._body, self._position)
        self._position += layout.size
        return values
