import os
import stat

import pytest

from pdk.storage.chunks import SMALL_BYTES, Chunk, ChunkStore, ChunkWriter, digest_of
from pdk.storage.errors import ChunkCorrupt, ChunkMissing
from pdk.storage.pins import Pins

LARGE = bytes(range(256)) * 200
SMALL = b"small"


def write(storage, *pieces):
    writer = ChunkWriter(storage.chunks)
    chunks = [writer.put(piece) for piece in pieces]
    with storage.db.transaction() as conn:
        writer.flush(conn)
    writer.close()
    return chunks


def test_a_large_chunk_is_a_read_only_file_named_after_its_hash(storage):
    (chunk,) = write(storage, LARGE)
    path = storage.chunks.path(chunk.digest)
    assert path.read_bytes() == LARGE
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert path.parent.name + path.name == digest_of(LARGE).hex()
    assert storage.chunks.read(chunk) == LARGE


def test_a_small_chunk_makes_no_file(storage):
    (chunk,) = write(storage, SMALL)
    assert list(storage.chunks.list_large()) == []
    assert storage.chunks.read(chunk) == SMALL


@pytest.mark.parametrize("size", [SMALL_BYTES, SMALL_BYTES + 1])
def test_the_size_tells_where_a_chunk_is(storage, size):
    (chunk,) = write(storage, bytes(size))
    assert storage.chunks.read(chunk) == bytes(size)
    assert len(list(storage.chunks.list_large())) == (size > SMALL_BYTES)


def test_equal_chunks_are_stored_once(storage):
    write(storage, LARGE, SMALL)
    before = storage.chunks.path(digest_of(LARGE)).stat()
    write(storage, LARGE, SMALL, LARGE)
    assert storage.chunks.path(digest_of(LARGE)).stat().st_ino == before.st_ino
    with storage.db.read() as conn:
        assert conn.execute("SELECT count(*) FROM small_chunks").fetchone()[0] == 1


@pytest.mark.parametrize("bad", [LARGE[:-1] + b"!", LARGE[:-1], b""])
def test_a_corrupt_chunk_is_noticed(storage, bad):
    (chunk,) = write(storage, LARGE)
    path = storage.chunks.path(chunk.digest)
    path.chmod(0o644)
    path.write_bytes(bad)
    with pytest.raises(ChunkCorrupt, match=str(path)):
        storage.chunks.read(chunk)


def test_a_corrupt_row_is_noticed(storage):
    (chunk,) = write(storage, SMALL)
    with storage.db.transaction() as conn:
        conn.execute("UPDATE small_chunks SET data = x'00'")
    with pytest.raises(ChunkCorrupt):
        storage.chunks.read(chunk)


def test_a_file_cut_short_is_written_again(storage):
    (chunk,) = write(storage, LARGE)
    path = storage.chunks.path(chunk.digest)
    path.chmod(0o644)
    path.write_bytes(LARGE[:10])
    write(storage, LARGE)
    assert storage.chunks.read(chunk) == LARGE


@pytest.mark.parametrize("size", [3, SMALL_BYTES + 1])
def test_a_missing_chunk_is_named(storage, size):
    with pytest.raises(ChunkMissing, match=digest_of(b"x").hex()):
        storage.chunks.read(Chunk(digest_of(b"x"), size))


def test_a_crash_before_the_rename_leaves_nothing_under_the_final_name(storage, tmp_path, monkeypatch):
    """The process dies after the bytes were written and before they have their name: the next start cleans up."""

    def die(self, target):
        raise KeyboardInterrupt

    writer = ChunkWriter(storage.chunks)
    writer.put(LARGE)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", die)
        with pytest.raises(KeyboardInterrupt), storage.db.transaction() as conn:
            writer.flush(conn)
    root = tmp_path / "storage"
    assert len(list((root / "tmp").iterdir())) == 1
    reopened = ChunkStore(root, storage.db, Pins())
    assert list((root / "tmp").iterdir()) == []
    assert list(reopened.list_large()) == []
    write(storage, LARGE)
    assert reopened.read(Chunk(digest_of(LARGE), len(LARGE))) == LARGE


def test_bytes_are_synced_before_they_get_their_name_and_the_folder_after(storage, monkeypatch):
    events = []
    real_sync, real_rename = os.fsync, type(storage.chunks.path(b"x")).rename

    def sync(handle):
        events.append("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        real_sync(handle)

    def rename(self, target):
        events.append("rename")
        return real_rename(self, target)

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr("pathlib.Path.rename", rename)
    write(storage, LARGE)
    assert events == ["sync file", "rename", "sync folder"]


def test_closing_without_flush_forgets_everything(storage, tmp_path):
    writer = ChunkWriter(storage.chunks)
    writer.put(LARGE)
    writer.put(SMALL)
    writer.close()
    assert list((tmp_path / "storage" / "tmp").iterdir()) == []
    assert list(storage.chunks.list_large()) == []
    assert storage.pins.pinned() == []


def test_a_full_disk_leaves_no_temporary_file(storage, tmp_path, monkeypatch):
    def fail(handle, mode):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fchmod", fail)
    writer = ChunkWriter(storage.chunks)
    with pytest.raises(OSError, match="No space left"):
        writer.put(LARGE)
    writer.close()
    assert list((tmp_path / "storage" / "tmp").iterdir()) == []
