"""Transactions, nested ones, readers, callbacks, migrations."""

import gc
import sqlite3
import stat
import threading

import pytest
from descriptors import times_open

from pdk.db.database import Database, split_statements

SCHEMA = [("first", "CREATE TABLE t (x INTEGER);\nCREATE INDEX ti ON t (x);")]


@pytest.fixture
def db(tmp_path):
    database = Database(tmp_path / "a" / "t.db", SCHEMA)
    yield database
    database.close()


def values(db):
    with db.read() as conn:
        return [row["x"] for row in conn.execute("SELECT x FROM t ORDER BY x")]


def test_only_this_user_may_read_it(db, tmp_path):
    with db.transaction() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").iterdir()}
    assert modes == {"t.db": 0o600, "t.db-wal": 0o600, "t.db-shm": 0o600}


def test_a_failed_transaction_leaves_nothing(db):
    with pytest.raises(ValueError, match="no"), db.transaction() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        raise ValueError("no")
    assert values(db) == []


def test_a_signal_that_fails_neither_hides_the_commit_nor_the_other_signals(db, caplog):
    called = []

    def broken():
        raise OSError("nobody listens")

    with db.transaction() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        db.after_commit(broken)
        db.after_commit(lambda: called.append(1))
    assert values(db) == [1]
    assert called == [1]
    assert "nobody listens" in caplog.text


def test_nested_transaction_joins_the_outer_one(db):
    called = []
    with pytest.raises(ValueError, match="outer"), db.transaction() as conn:
        with db.transaction() as inner:
            inner.execute("INSERT INTO t VALUES (1)")
            db.after_commit(lambda: called.append(1))
        assert conn is inner
        raise ValueError("outer")
    assert values(db) == []
    assert called == []


def test_callbacks_run_after_the_commit_and_see_it(db):
    seen = []
    with db.transaction() as conn:
        conn.execute("INSERT INTO t VALUES (7)")
        db.after_commit(lambda: seen.append(values(db)))
        assert seen == []
    assert seen == [[7]]


def test_after_commit_outside_a_transaction_is_an_error(db):
    with pytest.raises(RuntimeError):
        db.after_commit(lambda: None)


def test_readers_of_other_threads_do_not_see_uncommitted_rows(db):
    result = []
    with db.transaction() as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        thread = threading.Thread(target=lambda: result.append(values(db)))
        thread.start()
        thread.join()
        assert values(db) == [1]
    assert result == [[]]


def test_migrations_run_once(tmp_path):
    for _ in range(2):
        database = Database(tmp_path / "t.db", [*SCHEMA, ("second", "INSERT INTO t VALUES (5);")])
        assert values(database) == [5]
        database.close()


def test_failed_migration_leaves_no_trace(tmp_path):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        Database(tmp_path / "t.db", [*SCHEMA, ("bad", "INSERT INTO t VALUES (5);\nINSERT INTO missing VALUES (1);")])
    database = Database(tmp_path / "t.db", SCHEMA)
    assert values(database) == []
    database.close()


def test_statements_split_outside_strings():
    assert split_statements("CREATE TABLE a (x);\nINSERT INTO a VALUES ('x;\ny');") == [
        "CREATE TABLE a (x);",
        "INSERT INTO a VALUES ('x;\ny');",
    ]


def test_a_thread_that_ends_leaves_no_connection(db):
    values(db)
    before = times_open(db.path)
    for _ in range(5):
        thread = threading.Thread(target=lambda: values(db))
        thread.start()
        thread.join()
        gc.collect()
    # SQLite keeps the descriptor of a closed connection for the next one.
    assert times_open(db.path) <= before + 1
