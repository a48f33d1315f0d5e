"""Read the files of one commit: inspect, list, walk, glob, diff, content; mirrors pachd's `server_file.go`, `diff.go`.

`Files` is the state of a commit's files at one moment, made by `Pfs.files`; it stays the same while the commit goes on.
Iterators keep the garbage collection off what they read until they are exhausted or closed.
"""

import datetime
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from pdk.base.errors import InvalidArgument, NotFound
from pdk.pachyderm.errors import FileNotFound
from pdk.pachyderm.pfs.glob import Glob, Segment
from pdk.pachyderm.pfs.paths import clean
from pdk.pachyderm.pfs.types import FileDiff, FileInfo, FileType
from pdk.pachyderm.values import Commit
from pdk.storage.filesets import FileSetStorage
from pdk.storage.pages import DirEntry, Entry, FileEntry, TreeRoot
from pdk.storage.tree import EMPTY


@dataclass(frozen=True)
class Files:
    """The files of a commit; `committed` is its finishing time, None while it is open."""

    storage: FileSetStorage
    commit: Commit
    tree: TreeRoot
    committed: datetime.datetime | None

    def inspect(self, path: str) -> FileInfo:
        """Describe a file or folder. Raises FileNotFound, also for the root of an empty commit."""
        path = clean(path)
        entry = self._find(path)
        if entry is None:
            raise FileNotFound(path, self.commit.repo, self.commit.id)
        return self._info(path, entry)

    def list(self, path: str, after: str = "", number: int = 0, reverse: bool = False) -> Iterator[FileInfo]:
        """Yield what lies directly in a folder, or the file itself; nothing when there is no such path.

        Paging: only paths after (with `reverse`, before) `after`, at most `number` (0 = all).
        """
        infos = self._list_reversed(path, after) if reverse else self._list(path, after)
        for count, info in enumerate(infos, 1):
            yield info
            if count == number:
                return

    def _list(self, path: str, after: str) -> Iterator[FileInfo]:
        path = clean(path)
        with self.storage.hold(self.tree):
            entry = self._find(path)
            if isinstance(entry, FileEntry):
                if path > after:
                    yield self._info(path, entry)
                return
            prefix = _folder(path)
            start = after.removeprefix(prefix) if after.startswith(prefix) else ""
            if entry is None or (after > prefix and not start):
                return
            for child in self.storage.trees.entries(entry.root, start):
                # A marker names a folder with or without its `/`.
                if child.key != start + "/":
                    yield self._info(prefix + child.key, child)

    def _list_reversed(self, path: str, before: str) -> Iterator[FileInfo]:
        infos = [info for info in self._list(path, "") if not before or info.path.rstrip("/") < before.rstrip("/")]
        yield from reversed(infos)

    def walk(self, path: str, after: str = "") -> Iterator[FileInfo]:
        """Yield a folder and everything below it, or the file itself, in the order of paths; only those after `after`.

        Raises NotFound when there is no such path, except for the root of an empty commit, which yields nothing.
        """
        path = clean(path)
        with self.storage.hold(self.tree):
            entry = self._find(path)
            if entry is None:
                if path == "/":
                    return
                raise NotFound(f"commit {self.commit} does not contain item: ({path})")
            info = self._info(path, entry)
            if info.path > after:
                yield info
            if isinstance(entry, DirEntry):
                for child_path, child in self.storage.trees.walk(entry.root, _folder(path), after):
                    yield self._info(child_path, child)

    def glob(self, pattern: str) -> Generator[FileInfo, None, None]:
        """Yield the files and folders whose whole path matches, in the order of paths. Raises InvalidGlob."""
        glob = Glob(pattern)
        with self.storage.hold(self.tree):
            for path, entry in self._glob(glob):
                yield self._info(path, entry)

    def _glob(self, glob: Glob) -> Iterator[tuple[str, Entry]]:
        root = self._find("/")
        if root is None:
            return
        if glob.pattern == "/":
            yield "/", root
        elif glob.segments is not None:
            assert isinstance(root, DirEntry)
            found = self._glob_segments("/", root, glob.segments)
            yield from ((path, entry) for path, entry in found if glob.match(path.rstrip("/")))
        else:
            for path, entry in self.storage.trees.walk(self.tree):
                if glob.match(path.rstrip("/")):
                    yield path, entry

    def _glob_segments(
        self, prefix: str, folder: DirEntry, segments: tuple[Segment, ...]
    ) -> Iterator[tuple[str, Entry]]:
        """Yield what may match, looking only into folders whose own name does."""
        for entry in self._candidates(folder, segments[0]):
            if len(segments) == 1:
                yield prefix + entry.key, entry
            elif isinstance(entry, DirEntry):
                yield from self._glob_segments(prefix + entry.key, entry, segments[1:])

    def _candidates(self, folder: DirEntry, segment: Segment) -> Iterator[Entry]:
        trees = self.storage.trees
        if segment.literal is None:
            yield from (entry for entry in trees.entries(folder.root) if segment.match(entry.key.rstrip("/")))
            return
        for key in (segment.literal, segment.literal + "/"):
            entry = trees.get(folder.root, key)
            if entry is not None:
                yield entry

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the content of a file from byte `offset` on, in pieces of up to 512 KiB.

        Raises FileNotFound, and InvalidArgument for a folder.
        """
        path = clean(path)
        entry = self._find(path)
        if entry is None:
            raise FileNotFound(path, self.commit.repo, self.commit.id)
        if isinstance(entry, DirEntry):
            raise InvalidArgument(
                f"{path} is a folder: cannot get directory or non-regular file. Use GetFileTAR instead"
            )
        return self._read(entry, offset)

    def _read(self, file: FileEntry, offset: int = 0) -> Iterator[bytes]:
        with self.storage.hold(self.tree):
            yield from self.storage.read(file, offset)

    def find_one(self, pattern: str) -> str:
        """Return the path of the one file that a pattern matches (GetFile). Raises FileNotFound, InvalidArgument."""
        found = self.glob(pattern)
        first, second = next(found, None), next(found, None)
        found.close()
        if first is None:
            raise FileNotFound(clean(pattern), self.commit.repo, self.commit.id)
        if second is not None:
            raise InvalidArgument(f"{pattern} matched multiple files. Use GetFileTAR instead")
        return first.path

    def find_any(self, pattern: str) -> None:
        """Raise FileNotFound when a pattern matches nothing."""
        found = self.glob(pattern)
        if next(found, None) is None:
            raise FileNotFound(clean(pattern), self.commit.repo, self.commit.id)
        found.close()

    def subtrees(self, pattern: str) -> Iterator[FileInfo]:
        """Yield the matches of a pattern and everything below matching folders, each path once (GetFileTAR)."""
        done = None
        for info in self.glob(pattern):
            if done is None or not info.path.startswith(done):
                done = info.path if info.type is FileType.DIR else None
                yield from self.walk(info.path)

    def entries(self, path: str) -> Iterator[tuple[str, FileEntry]]:
        """Yield a file, or all files below a folder, with their paths relative to `path` ("" for the file itself)."""
        path = clean(path)
        entry = self._find(path)
        if entry is None:
            raise FileNotFound(path, self.commit.repo, self.commit.id)
        if isinstance(entry, FileEntry):
            yield "", entry
            return
        for child_path, child in self.storage.trees.walk(entry.root):
            if isinstance(child, FileEntry):
                yield child_path, child

    def export(self, path: str, destination: Path, empty_files: bool = False) -> None:
        """Write a file, or a folder with all below it, under `destination` at its full path in the repo.

        `empty_files`: make the files without their content. Raises FileNotFound, OSError.
        """
        base = clean(path)
        with self.storage.hold(self.tree):
            for relative, entry in self.entries(base):
                target = destination / (_folder(base) + relative).strip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    for piece in () if empty_files else self.storage.read(entry):
                        file.write(piece)

    def diff(self, path: str, old: "Files | None", old_path: str) -> Iterator[FileDiff]:
        """Yield what differs below two paths, folders included, in the order of paths; a missing side is empty."""
        path, old_path = clean(path), clean(old_path)
        new_entry = self._find(path)
        old_entry = old._find(old_path) if old is not None else None
        if path != old_path:
            yield from self._all(path, new_entry, removed=False)
            if old is not None:
                yield from old._all(old_path, old_entry, removed=True)
            return
        with self.storage.hold(self.tree), self.storage.hold(old.tree if old is not None else EMPTY):
            yield from self._diff(path, new_entry, old, old_entry)

    def _diff(self, path: str, new: Entry | None, old: "Files | None", old_entry: Entry | None) -> Iterator[FileDiff]:
        if type(new) is type(old_entry):
            if new is None or old_entry is None or new.hash == old_entry.hash:
                return
        elif new is not None and old is not None and old_entry is not None:
            yield from self._diff(path, new, None, None)
            yield from old._all(path, old_entry, removed=True)
            return
        yield self._difference(path, new, old, old_entry)
        if isinstance(new or old_entry, DirEntry):
            new_root = new.root if isinstance(new, DirEntry) else EMPTY
            old_root = old_entry.root if isinstance(old_entry, DirEntry) else EMPTY
            for difference in self.storage.trees.diff(new_root, old_root, _folder(path)):
                yield self._difference(difference.path, difference.new, old, difference.old)

    def _difference(self, path: str, new: Entry | None, old: "Files | None", old_entry: Entry | None) -> FileDiff:
        return FileDiff(
            self._info(path, new) if new is not None else None,
            old._info(path, old_entry) if old is not None and old_entry is not None else None,
        )

    def _all(self, path: str, entry: Entry | None, removed: bool) -> Iterator[FileDiff]:
        for info in self.walk(path) if entry is not None else ():
            yield FileDiff(None, info) if removed else FileDiff(info, None)

    def _find(self, path: str) -> Entry | None:
        file, folder = self.storage.trees.find(self.tree, path)
        return file or folder

    def _info(self, path: str, entry: Entry) -> FileInfo:
        is_file = isinstance(entry, FileEntry)
        return FileInfo(
            commit=self.commit,
            path=path if is_file else _folder(path),
            type=FileType.FILE if is_file else FileType.DIR,
            size_bytes=entry.size,
            hash=entry.hash,
            datum=entry.parts[0].tag if isinstance(entry, FileEntry) else "",
            committed=self.committed,
        )


def _folder(path: str) -> str:
    return path if path.endswith("/") else path + "/"
