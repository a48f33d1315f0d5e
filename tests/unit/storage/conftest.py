import pytest

from pdk.db.database import Database
from pdk.storage.filesets import FileSetStorage
from pdk.storage.schema import MIGRATIONS
from pdk.storage.writer import FileSetWriter


@pytest.fixture
def db(tmp_path):
    database = Database(tmp_path / "test.db", MIGRATIONS)
    yield database
    database.close()


@pytest.fixture
def storage(tmp_path, db):
    opened = FileSetStorage(tmp_path / "storage", db)
    yield opened
    opened.close()


@pytest.fixture
def put(storage):
    """Return a function that writes {path: bytes} over a tree (appending with append=True) and returns the new tree."""

    def put(files, tree=b"", tag="default", append=False):
        writer = FileSetWriter(storage)
        try:
            for path, data in files.items():
                if not append:
                    writer.delete(path, tag)
                writer.append(path, data, tag)
            with storage.db.transaction() as conn:
                return writer.apply(conn, tree)
        finally:
            writer.close()

    return put


@pytest.fixture
def contents_of(storage):
    """Return a function that reads a whole tree as {path: bytes}."""

    def contents_of(tree):
        return {
            path: b"".join(storage.read(entry)) for path, entry in storage.trees.walk(tree) if not path.endswith("/")
        }

    return contents_of
