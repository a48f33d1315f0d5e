"""File trees: immutable, content-addressed folders in pages; a change rewrites only the pages on its way to the root.

A tree is named by the hash of its root folder's top page (`EMPTY` when it has no files). A folder is a sorted list of
entries, files under their name and sub-folders under their name plus `/`, so that walking folders in order visits
files in the byte order of their paths. The list is cut into pages after every entry whose key's hash says so, with
pages of pages above: the cuts depend on the set of names alone, so equal folders have equal pages, however they came
about, and comparing two versions skips the pages they share. Called by `filesets.py`. The encoding is in `pages.py`.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pdk.storage.errors import NodeMissing
from pdk.storage.nodes import Nodes
from pdk.storage.pages import (
    DirEntry,
    Entry,
    FileEntry,
    FolderPage,
    PageRef,
    Part,
    TreeRoot,
    cuts_after,
    decode,
    encode,
    summarise,
)

# The tree, or folder, without files.
EMPTY = TreeRoot(b"")

Parts = tuple[Part, ...]
# Absolute paths of files -> their new parts; no parts = the file is gone.
Changes = Mapping[str, Parts]


class Difference(NamedTuple):
    """A path whose entry differs; None = not there. Folders have a path that ends with `/`.

    `folder` is the new version of the folder that the path is in.
    """

    path: str
    new: Entry | None
    old: Entry | None
    folder: TreeRoot


class Trees:
    """Reads and makes trees in one database."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    # Reading

    def root(self, tree: TreeRoot) -> DirEntry:
        """Return the root folder as an entry, so with its size, number of files and hash."""
        return summarise("", tree, self._page(tree)) if tree else DirEntry("/", 0, 0, EMPTY, EMPTY)

    def find(self, tree: TreeRoot, path: str) -> tuple[FileEntry | None, DirEntry | None]:
        """Return the file and the folder at an absolute path, with or without `/` at its end (both: see `validate`)."""
        parent, name = self._parent(tree, path)
        if not name:
            return None, self.root(tree) if tree else None
        file, directory = self.get(parent, name), self.get(parent, name + "/")
        return (
            file if isinstance(file, FileEntry) else None,
            directory if isinstance(directory, DirEntry) else None,
        )

    def find_file(self, tree: TreeRoot, path: str) -> FileEntry | None:
        """Return the file at an absolute path; cheaper than `find`."""
        entry = self.get(*self._parent(tree, path))
        return entry if isinstance(entry, FileEntry) else None

    def _parent(self, tree: TreeRoot, path: str) -> tuple[TreeRoot, str]:
        """Return the folder that a path is in (`EMPTY` when there is none) and its last name ("" for the root)."""
        *folders, name = path.strip("/").split("/")
        folder = tree
        for each in folders:
            folder = _root_of(self.get(folder, each + "/"))
        return folder, name

    def get(self, folder: TreeRoot, key: str) -> Entry | None:
        """Return the entry of a folder under a key (`name` for a file, `name/` for a folder)."""
        while folder:
            page = self._page(folder)
            position = bisect_left(page.keys, key)
            if position == len(page.keys):
                return None
            if page.level == 0:
                return page.entries[position] if page.keys[position] == key else None
            folder = page.children[position].digest
        return None

    def entries(self, folder: TreeRoot, after: str = "") -> Iterator[Entry]:
        """Yield the entries of a folder whose key is greater than `after`, in order."""
        if not folder:
            return
        page = self._page(folder)
        if page.level == 0:
            yield from (entry for entry in page.entries if entry.key > after)
            return
        for position in range(bisect_left(page.keys, after), len(page.keys)):
            yield from self.entries(page.children[position].digest, after)

    def walk(self, folder: TreeRoot, prefix: str = "/", after: str = "") -> Iterator[tuple[str, Entry]]:
        """Yield everything below a folder with its path, each folder before what is in it.

        `after`: only paths greater than this one, found without reading what comes before. `prefix` is the folder's
        path.
        """
        inside = after.startswith(prefix)
        if after > prefix and not inside:
            return
        first = after.removeprefix(prefix).partition("/")[0] if inside else ""
        for entry in self.entries(folder, first):
            path = prefix + entry.key
            if path > after:
                yield path, entry
            if isinstance(entry, DirEntry) and (path > after or after.startswith(path)):
                yield from self.walk(entry.root, path, after if after.startswith(path) else "")

    def diff(self, new: TreeRoot, old: TreeRoot, prefix: str = "/") -> Iterator[Difference]:
        """Yield what differs in and below two versions of a folder, in the order of paths, equal parts unread."""
        if new == old:
            return
        for new_entry, old_entry in self._pair(new, old):
            if new_entry is not None and old_entry is not None and new_entry.hash == old_entry.hash:
                continue
            entry = new_entry or old_entry
            assert entry is not None
            path = prefix + entry.key
            yield Difference(path, new_entry, old_entry, new)
            if isinstance(entry, DirEntry):
                yield from self.diff(_root_of(new_entry), _root_of(old_entry), path)

    def _pair(self, new: TreeRoot, old: TreeRoot) -> Iterator[tuple[Entry | None, Entry | None]]:
        """Yield the entries, by key, of the pages that only one of two folders has."""
        new_pages, old_pages = self._leaves(new), self._leaves(old)
        shared = {child.digest for child in new_pages} & {child.digest for child in old_pages}
        # A page both have holds the same names in both, so no name is in it here and in another page there.
        new_entries, old_entries = (
            {
                entry.key: entry
                for child in pages
                if child.digest not in shared
                for entry in self._page(child.digest).entries
            }
            for pages in (new_pages, old_pages)
        )
        for key in sorted(new_entries.keys() | old_entries.keys()):
            yield new_entries.get(key), old_entries.get(key)

    def _page(self, digest: bytes) -> FolderPage:
        page = self._nodes.get(digest, decode)
        if not isinstance(page, FolderPage):
            raise NodeMissing(digest, "not the page of a folder it should be in")
        return page

    def _leaves(self, folder: TreeRoot) -> list[PageRef]:
        """Return references to the pages of a folder that hold entries."""
        if not folder:
            return []
        page = self._page(folder)
        if page.level == 0:
            return [PageRef(page.keys[-1], *_totals(page), folder)]
        if page.level == 1:
            return list(page.children)
        return [leaf for child in page.children for leaf in self._leaves(child.digest)]

    # Writing

    def update(self, conn: sqlite3.Connection, tree: TreeRoot, changes: Changes) -> TreeRoot:
        """Return the tree with some files replaced or removed; folders come and go with their files."""
        nested: dict[str, _Nested] = {}
        for path, parts in changes.items():
            *folders, name = path.split("/")[1:]
            here = nested
            for folder in folders:
                inner = here.setdefault(folder + "/", {})
                assert isinstance(inner, dict)
                here = inner
            here[name] = parts
        return self._update(conn, tree, nested)

    def _update(self, conn: sqlite3.Connection, folder: TreeRoot, nested: "dict[str, _Nested]") -> TreeRoot:
        edits: dict[str, Entry | None] = {}
        for key, change in nested.items():
            if isinstance(change, dict):
                present = self.get(folder, key)
                root = self._update(conn, _root_of(present), change)
                edits[key] = summarise(key, root, self._page(root)) if root else None
            else:
                edits[key] = FileEntry(key, change) if change else None
        return self._edit(conn, folder, edits)

    def _edit(self, conn: sqlite3.Connection, folder: TreeRoot, edits: Mapping[str, Entry | None]) -> TreeRoot:
        """Return the folder with the entries under some keys replaced (None: removed)."""
        leaves = self._leaves(folder)
        ends = [leaf.last_key for leaf in leaves]
        by_leaf: dict[int, list[str]] = {}
        for key in sorted(edits):
            by_leaf.setdefault(min(bisect_left(ends, key), max(len(leaves) - 1, 0)), []).append(key)
        written: list[PageRef] = []
        carried: list[Entry] = []
        for position, leaf in enumerate(leaves):
            if position not in by_leaf and not carried:
                written.append(leaf)
                continue
            entries = carried + _merge(self._page(leaf.digest).entries, by_leaf.get(position, []), edits)
            carried = self._write_leaves(conn, entries, written)
        if not leaves:
            carried = self._write_leaves(conn, _merge([], by_leaf.get(0, []), edits), written)
        if carried:
            written.append(self._write(conn, 0, carried))
        return self._write_index(conn, written)

    def _write_leaves(self, conn: sqlite3.Connection, entries: Sequence[Entry], written: list[PageRef]) -> list[Entry]:
        """Write the pages that end at a cut; return the entries after the last one, for the next page to go on with."""
        start = 0
        for position, entry in enumerate(entries, 1):
            if cuts_after(entry.key, 0):
                written.append(self._write(conn, 0, entries[start:position]))
                start = position
        return list(entries[start:])

    def _write_index(self, conn: sqlite3.Connection, children: list[PageRef]) -> TreeRoot:
        level = 1
        while len(children) > 1:
            pages, page = [], list[PageRef]()
            for child in children:
                page.append(child)
                if len(page) > 1 and cuts_after(child.last_key, level):
                    pages.append(self._write(conn, level, page))
                    page = []
            children = pages + ([self._write(conn, level, page)] if page else [])
            level += 1
        return children[0].digest if children else EMPTY

    def _write(self, conn: sqlite3.Connection, level: int, items: Sequence[Entry] | Sequence[PageRef]) -> PageRef:
        page = FolderPage.of(level, items)
        return PageRef(page.keys[-1], *_totals(page), TreeRoot(self._nodes.put(conn, encode(page))))

    # Collecting

    def mark(self, tree: TreeRoot, nodes: set[bytes], mark_content: Callable[[Part], None]) -> None:
        """Add the pages of a tree to what is in use and call `mark_content` for the parts of files in new ones."""
        queue = [tree] if tree else []
        while queue:
            digest = queue.pop()
            if digest in nodes:
                continue
            nodes.add(digest)
            page = self._page(digest)
            queue += [child.digest for child in page.children]
            for entry in page.entries:
                if isinstance(entry, DirEntry):
                    queue.append(entry.root)
                else:
                    for part in entry.parts:
                        mark_content(part)


_Nested = dict[str, "_Nested"] | Parts


def _totals(page: FolderPage) -> tuple[int, int, bytes]:
    return page.size, page.files, page.hash


def _root_of(entry: Entry | None) -> TreeRoot:
    return entry.root if isinstance(entry, DirEntry) else EMPTY


def _merge(entries: Iterable[Entry], keys: Sequence[str], edits: Mapping[str, Entry | None]) -> list[Entry]:
    """Return entries with those under `keys` replaced by their edits, in order."""
    kept = {entry.key: entry for entry in entries}
    for key in keys:
        edit = edits[key]
        if edit is None:
            kept.pop(key, None)
        else:
            kept[key] = edit
    return [kept[key] for key in sorted(kept)] if keys else list(kept.values())
