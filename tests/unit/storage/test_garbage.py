import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from pdk.storage.errors import NodeMissing
from pdk.storage.garbage import Collected, collect
from pdk.storage.nodes import Nodes
from pdk.storage.tree import EMPTY, Trees
from pdk.storage.writer import FileSetWriter

LARGE = random.Random(5).randbytes(400_000)


def only(*trees):
    return lambda conn: list(trees)


def test_what_is_referred_to_stays_and_the_rest_goes(storage, put, contents_of):
    kept = put({"/a/f": LARGE, "/s": b"small"})
    gone = put({"/a/f": LARGE, "/g": LARGE[::-1], "/t": b"tiny"}, kept)
    collected = collect(storage, only(kept))
    assert collected.pages > 0
    assert collected.small_chunks == 1
    assert collected.chunk_files > 0
    assert contents_of(kept) == {"/a/f": LARGE, "/s": b"small"}
    assert collect(storage, only(kept)) == Collected()
    assert put({"/g": LARGE[::-1], "/t": b"tiny"}, kept) == gone
    assert contents_of(gone)["/g"] == LARGE[::-1]


def test_nothing_is_left_when_nothing_is_referred_to(storage, put):
    put({"/a/f": LARGE, "/s": b"small"})
    collect(storage, only())
    assert list(storage.chunks.list_large()) == []
    with storage.db.read() as conn:
        assert (
            conn.execute("SELECT (SELECT count(*) FROM tree_nodes) + (SELECT count(*) FROM small_chunks)").fetchone()[0]
            == 0
        )


def test_an_upload_in_flight_is_left_alone(storage, put, contents_of):
    old = put({"/f": LARGE})
    writer = FileSetWriter(storage)
    for start in range(0, len(LARGE), 1000):
        writer.append("/f", LARGE[start : start + 1000], "default")
    writer.append("/small", b"s", "default")
    collect(storage, only())
    with storage.db.transaction() as conn:
        tree = writer.apply(conn, EMPTY)
    writer.close()
    assert old != tree
    collect(storage, only(tree))
    assert contents_of(tree) == {"/f": LARGE, "/small": b"s"}


def test_a_commit_while_the_marking_runs_is_left_alone(storage, contents_of):
    """The writer commits and lets go after the collection looked at the roots and before it sweeps."""
    committed = []
    writer = FileSetWriter(storage)
    writer.append("/f", LARGE, "default")

    def roots(conn):
        if committed:
            return []  # the commit came too late for this look at the roots
        with storage.db.transaction() as conn:
            committed.append(writer.apply(conn, EMPTY))
        writer.close()
        return []

    collect(storage, roots)
    # Its pages are in no root here, so they went; its chunks were pinned when the collection began.
    assert b"".join(sorted(storage.chunks.list_large())) != b""
    assert storage.pins.pinned() == []


def test_a_tree_being_read_is_left_alone(storage, put, contents_of):
    tree = put({"/f": LARGE})
    with storage.hold(tree):
        collect(storage, only())
        assert contents_of(tree) == {"/f": LARGE}
    collect(storage, only())
    with pytest.raises(NodeMissing, match="missing"):
        list(Trees(Nodes(storage.db)).walk(tree))


def roots_table(conn):
    return [row["tree"] for row in conn.execute("SELECT tree FROM roots ORDER BY name")]


def write_at_random(storage, name):
    dice = random.Random(name)
    for _ in range(12):
        writer = FileSetWriter(storage)
        for _ in range(2):
            path, size = f"/{dice.randrange(3)}", dice.choice([100, 150_000, 400_000])
            writer.delete(path, "default")
            writer.append(path, LARGE[:size], "default")
        with storage.db.transaction() as conn:
            tree = writer.apply(conn, roots_table(conn)[name])
            conn.execute("UPDATE roots SET tree = ? WHERE name = ?", (tree, name))
        writer.close()


def test_writers_and_collections_at_once(storage, contents_of):
    """Four writers share most chunks, trees come and go, the collection never takes what is still referred to."""
    with storage.db.transaction() as conn:
        conn.execute("CREATE TABLE roots (name INTEGER PRIMARY KEY, tree BLOB)")
        conn.executemany("INSERT INTO roots VALUES (?, ?)", [(name, EMPTY) for name in range(4)])
    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write_at_random, storage, name) for name in range(4)]
        while not all(future.done() for future in writing):
            collect(storage, roots_table)
        for future in writing:
            future.result()
    assert storage.pins.pinned() == []
    with storage.db.read() as conn:
        trees = roots_table(conn)
    for tree in trees:
        assert all(LARGE.startswith(data) for data in contents_of(tree).values())
