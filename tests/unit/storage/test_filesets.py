import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdk.storage.errors import StoreInUse
from pdk.storage.filesets import FileSetStorage
from pdk.storage.tree import EMPTY
from pdk.storage.writer import FileSetWriter


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


def hash_of(storage, tree, path="/f"):
    return storage.trees.find(tree, path)[0].hash


def growth(storage, tmp_path):
    files = sum(path.stat().st_size for path in (tmp_path / "storage" / "chunks").rglob("*") if path.is_file())
    with storage.db.read() as conn:
        rows = conn.execute("SELECT total(length(body)) FROM tree_nodes").fetchone()[0]
        return files + rows + conn.execute("SELECT total(length(data)) FROM small_chunks").fetchone()[0]


@pytest.mark.parametrize("size", [0, 1, 20_000, 700_000, 5 << 20])
def test_files_read_as_written_from_any_offset(storage, put, size):
    tree = put({"/f": noise(size)})
    file, _ = storage.trees.find(tree, "/f")
    assert file.size == size
    for offset in (0, 1, size // 2, size, size + 5):
        assert b"".join(storage.read(file, offset)) == noise(size)[offset:]


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_appending_makes_the_same_file_as_writing_at_once(storage, put, sizes):
    data, tree, start = noise(sum(sizes)), EMPTY, 0
    for size in sizes:
        tree = put({"/f": data[start : start + size]}, tree, append=True)
        start += size
    assert tree == put({"/f": data})


def test_appending_one_row_to_a_large_csv_stores_little(storage, put, tmp_path):
    rows = "".join(f"{i},{i * 7919 % 1000},{'yes' if i % 3 else 'no'},{i / 7:.6f}\n" for i in range(700_000)).encode()
    assert len(rows) > 16e6
    tree = put({"/f": rows})
    before = growth(storage, tmp_path)
    appended = put({"/f": b"700000,1,no,2.5\n"}, tree, append=True)
    assert growth(storage, tmp_path) - before < 700_000
    before = growth(storage, tmp_path)
    middle = len(rows) // 2
    put({"/f": rows[:middle] + b"inserted,1,no,2.5\n" + rows[middle:]}, appended)
    assert growth(storage, tmp_path) - before < 1_000_000


def test_changes_are_applied_in_order(storage, contents_of):
    writer = FileSetWriter(storage)
    writer.append("/a/x", b"1", "t")
    writer.append("/a/y", b"2", "t")
    writer.delete_folder("/a/", "t")
    writer.append("/a/y", b"3", "t")
    writer.append("/a/y", b"4", "t")
    writer.delete("/a/z", "t")
    writer.append("/b", b"", "t")
    with storage.db.transaction() as conn:
        tree = writer.apply(conn, EMPTY)
    writer.close()
    assert contents_of(tree) == {"/a/y": b"34", "/b": b""}


def test_deleting_takes_only_the_parts_of_the_same_datum(storage, put, contents_of):
    tree = put({"/d/f": b"two"}, put({"/d/f": b"one", "/d/g": b"g"}, tag="1"), tag="2")
    assert contents_of(tree) == {"/d/f": b"onetwo", "/d/g": b"g"}
    writer = FileSetWriter(storage)
    writer.delete_folder("/", "1")
    with storage.db.transaction() as conn:
        tree = writer.apply(conn, tree)
    writer.close()
    assert contents_of(tree) == {"/d/f": b"two"}


def test_copies_share_chunks_and_are_equal(storage, put, contents_of, tmp_path):
    tree = put({"/f": noise(3 << 20)})
    before = growth(storage, tmp_path)
    source, _ = storage.trees.find(tree, "/f")
    writer = FileSetWriter(storage)
    writer.hold(tree)
    writer.copy("/g", source, "default", append=False)
    writer.copy("/h", source, "default", append=False)
    writer.copy("/h", source, "default", append=True)
    with storage.db.transaction() as conn:
        copied = writer.apply(conn, tree)
    writer.close()
    assert hash_of(storage, copied, "/g") == source.hash
    assert contents_of(copied)["/h"] == noise(3 << 20) * 2
    assert growth(storage, tmp_path) - before < 700_000


def test_validation_finds_what_a_change_broke(storage, put):
    base = put({"/a": b"1", "/d/x": b"2"}, tag="1")
    assert storage.validate(base, EMPTY) == ""
    twice = put({"/a": b"1"}, base, tag="2")
    expected = "duplicate path output by different datums (/a from 1 and /a from 2)"
    assert storage.validate(twice, base) == storage.validate(twice, EMPTY) == expected
    assert storage.validate(put({"/d": b""}, base), base) == "file / directory path collision (/d)"
    assert storage.validate(put({"/a/b": b""}, base), base) == "file / directory path collision (/a)"
    assert storage.validate(put({"/n": b""}, twice), twice) == "", "what the base has was judged before"


def test_who_wrote_a_file_is_no_part_of_a_folders_hash(storage, put):
    one, two = put({"/d/f": b"x"}, tag="1"), put({"/d/f": b"x"}, tag="2")
    assert one != two
    assert storage.trees.root(one).hash == storage.trees.root(two).hash
    assert list(storage.trees.diff(one, two)) == []


def test_the_store_is_opened_by_one_at_a_time(storage, db, tmp_path):
    with pytest.raises(StoreInUse, match="storage"):
        FileSetStorage(tmp_path / "storage", db)
