"""Tables of the storage layer: file-tree pages and the chunks too small for a file of their own.

Run by whoever opens the `Database` that a `FileSetStorage` uses (for pachd: `pdk.pachyderm.store.pfs_schema`).
"""

from pdk.db.database import Migration

MIGRATIONS: list[Migration] = [
    (
        "storage-1-nodes-and-small-chunks",
        """
        CREATE TABLE tree_nodes (
            hash BLOB NOT NULL PRIMARY KEY,
            body BLOB NOT NULL
        );
        CREATE TABLE small_chunks (
            hash BLOB NOT NULL PRIMARY KEY,
            data BLOB NOT NULL
        );
        """,
    ),
]
