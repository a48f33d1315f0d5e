"""One SQLite file per server: WAL mode, one writer at a time, snapshot readers, each migration a transaction.

Used by every `store` package. A state change is one `transaction()`; what must happen after it (signals, never work
that may be lost) is registered with `after_commit`.
"""

import contextlib
import logging
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

# A name, unique for ever, and the SQL script it runs.
Migration = tuple[str, str]


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly."""


class Database:
    """A SQLite database shared by the threads of one process.

    Writers are serialised by a lock and `BEGIN IMMEDIATE`; a nested `transaction()` on the same thread joins the outer
    one. Readers use one connection per thread and see a committed snapshot, or, inside a transaction of the same
    thread, that transaction's own writes. `synchronous=FULL`: what was committed survives power loss.
    """

    def __init__(self, path: Path | str, migrations: Sequence[Migration]) -> None:
        """Open (creating folders and file), then run the migrations not run yet, each in a transaction with its record.

        Nobody but this user may read it: databases hold secrets and tokens. SQLite gives its companions the same mode.
        """
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        self.path.chmod(0o600)
        self._write_lock = threading.RLock()
        self._local = threading.local()
        # Weak: a thread that ends drops its reader, and with it the open files.
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._connections_lock = threading.Lock()
        self._writer = self._connect()
        self._depth = 0
        self._callbacks: list[Callable[[], None]] = []
        self._migrate(migrations)

    def _connect(self) -> "_Connection":
        conn = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        conn.row_factory = sqlite3.Row
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        conn.execute("PRAGMA foreign_keys=ON")
        with self._connections_lock:
            self._connections.add(conn)
        return conn

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        with self.transaction() as conn:
            conn.execute(
                "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied TEXT DEFAULT CURRENT_TIMESTAMP)"
            )
        for name, script in migrations:
            with self.transaction() as conn:
                if conn.execute("SELECT 1 FROM migrations WHERE name = ?", (name,)).fetchone():
                    continue
                for statement in split_statements(script):
                    conn.execute(statement)
                conn.execute("INSERT INTO migrations (name) VALUES (?)", (name,))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the writer connection inside one transaction; commit on success, roll back on any exception."""
        with self._write_lock:
            outermost = self._depth == 0
            if outermost:
                self._writer.execute("BEGIN IMMEDIATE")
                self._callbacks = []
            self._depth += 1
            try:
                yield self._writer
            except BaseException:
                self._depth -= 1
                if outermost:
                    self._writer.execute("ROLLBACK")
                raise
            self._depth -= 1
            if not outermost:
                return
            callbacks, self._callbacks = self._commit(), []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                # The change is made: its caller must not take it for failed, nor the other signals be lost.
                logger.exception("a signal after a transaction failed; the next resync makes up for it")

    def _commit(self) -> list[Callable[[], None]]:
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error:
            self._writer.execute("ROLLBACK")
            raise
        return self._callbacks

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that reads one consistent snapshot; inside this thread's transaction, its own writes."""
        if self._in_own_transaction():
            yield self._writer
            return
        conn = getattr(self._local, "reader", None)
        if conn is None:
            conn = self._local.reader = self._connect()
            conn.execute("PRAGMA query_only=ON")
        nested = conn.in_transaction
        if not nested:
            conn.execute("BEGIN")
        try:
            yield conn
        finally:
            if not nested:
                conn.execute("COMMIT")

    def _in_own_transaction(self) -> bool:
        # _is_owned is what threading.Condition itself relies on for an RLock.
        return self._depth > 0 and bool(self._write_lock._is_owned())  # type: ignore[attr-defined]

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` once the outermost transaction of this thread has committed; never when it rolls back.

        Raises RuntimeError outside a transaction of this thread.
        """
        if not self._in_own_transaction():
            raise RuntimeError("after_commit is only meaningful inside a transaction")
        self._callbacks.append(callback)

    def close(self) -> None:
        """Close every connection of every thread; the database must not be used afterwards."""
        with self._write_lock, self._connections_lock:
            for conn in list(self._connections):
                conn.close()
            self._connections.clear()


def split_statements(script: str) -> list[str]:
    """Split an SQL script into statements, each ending a line (`executescript` would commit the open transaction)."""
    statements: list[str] = []
    buffer = ""
    for line in script.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            statements.append(buffer.strip())
            buffer = ""
    if buffer.strip():
        statements.append(buffer.strip())
    return statements
