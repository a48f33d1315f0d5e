"""Write the files of one commit: what a ModifyFile stream or a worker's upload feeds. Mirrors `modifyFile` of pachd.

Made by `Pfs.file_writer` and `Pfs.modify_file`. Nothing is visible before `close`, which applies everything in one
transaction; a writer that is dropped half way leaves nothing but chunks, which the garbage collection takes.
"""

from collections.abc import Callable, Iterable
from types import TracebackType

from pdk.base.errors import InvalidArgument
from pdk.pachyderm.pfs.files import Files
from pdk.pachyderm.pfs.paths import check_file, check_writable
from pdk.pachyderm.pfs.types import DEFAULT_DATUM
from pdk.pachyderm.values import Commit
from pdk.storage.writer import FileSetWriter

MAX_DATUM_LENGTH = 1024

# Applies the changes to their commit in a transaction and returns it.
Apply = Callable[[FileSetWriter], Commit]


class FileWriter:
    """Changes to a commit's files; a context manager that closes, or, when the block raised, aborts."""

    def __init__(self, changes: FileSetWriter, apply: Apply) -> None:
        self._changes = changes
        self._apply = apply

    def put(self, path: str, chunks: Iterable[bytes], datum: str = DEFAULT_DATUM, append: bool = False) -> None:
        """Write a file (a datum's part of it) from a stream of bytes, in place of what it has or (`append`) after it.

        Raises InvalidPath, InvalidArgument (datum).
        """
        if not append:
            self.delete(path, datum)
        self.append(path, b"", datum)
        for chunk in chunks:
            self.append(path, chunk, datum)

    def append(self, path: str, data: bytes, datum: str = DEFAULT_DATUM) -> None:
        """Add bytes (perhaps none: then only make the file) to its end; calls in a row for one file are one stream."""
        self._changes.append(check_file(path), data, _check_datum(datum))

    def delete(self, path: str, datum: str = DEFAULT_DATUM) -> None:
        """Remove a datum's part, if any, of a file, or (a path with `/` at its end) of all files below a folder."""
        cleaned = check_writable(path)
        if cleaned == "/" or path.endswith("/"):
            self._changes.delete_folder(cleaned.rstrip("/") + "/", _check_datum(datum))
        else:
            self._changes.delete(cleaned, _check_datum(datum))

    def copy(
        self, path: str, source: Files, source_path: str, datum: str = DEFAULT_DATUM, append: bool = False
    ) -> None:
        """Copy a file, or a folder with its files, of any commit; `append` adds to files instead of replacing them.

        A `path` that ends with `/`, or the root, is a folder: a copied file keeps its name in it. Raises FileNotFound,
        InvalidPath.
        """
        target = check_writable(path)
        self._changes.hold(source.tree)
        for relative, entry in source.entries(source_path):
            if not relative and (target == "/" or path.endswith("/")):
                relative = "/" + entry.key
            self._changes.copy(check_file(target.rstrip("/") + relative), entry, _check_datum(datum), append)

    def close(self) -> Commit:
        """Make all changes visible at once and return their commit. Raises CommitFinished, BaseNotFinished."""
        try:
            self._changes.sync()
            return self._apply(self._changes)
        finally:
            self._changes.close()

    def abort(self) -> None:
        """Forget the changes."""
        self._changes.close()

    def __enter__(self) -> "FileWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


def _check_datum(datum: str) -> str:
    if len(datum) > MAX_DATUM_LENGTH:
        raise InvalidArgument(f"datum {datum[:80]!r}... is longer than {MAX_DATUM_LENGTH} characters")
    return datum or DEFAULT_DATUM
