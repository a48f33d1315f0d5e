"""File sets: what pfs stores of a commit. (Being built: sizes and validation only.)"""

from pathlib import Path

from pdk.db.database import Database

EMPTY = b""
"""The root of a tree without files."""


class FileSetStorage:
    """Chunks below a folder, trees in the rows of a database."""

    def __init__(self, root: Path, db: Database) -> None:
        self.root = root
        self.db = db

    def size(self, tree: bytes) -> int:
        """Return the bytes of all files of a tree."""
        return 0

    def validate(self, tree: bytes, base: bytes) -> str:
        """Return what is wrong with the files that `tree` has beyond `base`, or ""."""
        return ""
