"""Errors of the storage layer: each means the store on disk is damaged or taken, never that a caller asked wrongly."""

from pdk.base.errors import Internal, Unavailable


class ChunkMissing(Internal):
    """A chunk that a file refers to is not in the store."""

    def __init__(self, digest: bytes, place: object) -> None:
        super().__init__(f"chunk {digest.hex()} is missing from {place}; restore it from a backup of the store")


class ChunkCorrupt(Internal):
    """A chunk's bytes do not have the hash it is named after."""

    def __init__(self, digest: bytes, place: object) -> None:
        super().__init__(
            f"chunk {digest.hex()} in {place} is corrupt: its bytes have another hash; "
            "delete it and put the file again, or restore it from a backup of the store"
        )


class NodeMissing(Internal):
    """A page that a tree refers to is not in the database, or is not a page."""

    def __init__(self, digest: bytes, reason: str = "missing from") -> None:
        super().__init__(f"page {digest.hex()} of a file tree is {reason} the database; restore it from a backup")


class StoreInUse(Unavailable):
    """Another process has the store open."""

    def __init__(self, root: object) -> None:
        super().__init__(f"the store {root} is in use by another process; stop that one first")
