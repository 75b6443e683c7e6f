"""The SQLite file behind the documents: connections for readers, and writers that share transactions.

What makes a write slow is waiting for the disk at its end. Threads that come while a transaction is being committed
join the next one, so that many writers wait for the disk once (group commit, as databases have done since DeWitt et al.
1984). The file is in WAL mode, so readers never wait.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from zoo.disk import DiskFull
from zoo.documents import DocumentsUnavailable
from zoo.errors import ZooscopeError

BUSY_SECONDS = 15.0
BUSY_PAUSE_SECONDS = 0.0001
CACHED_STATEMENTS = 256
# Of the one connection that writes: its pages of every index of a large collection, so that they are not read again.
WRITER_CACHE_KIB = 16 * 1024
# Pages of the write-ahead log after which it is carried over into the file: what one commit in many waits for.
CHECKPOINT_PAGES = 4000

T = TypeVar("T")


class _Write(Generic[T]):
    """One thread's part of a transaction, and what became of it."""

    def __init__(self, act: Callable[[sqlite3.Connection], T], lasting: bool) -> None:
        self.act = act
        self.lasting = lasting
        self.over = False
        self.value: T | None = None
        self.error: Exception | None = None

    def run(self, connection: sqlite3.Connection, alone: bool) -> None:
        """Do it within the transaction; if it fails, only its own changes are undone, or all when it is alone there."""
        if alone:
            self.value = self.act(connection)
            return
        connection.execute("SAVEPOINT one")
        try:
            self.value = self.act(connection)
        except Exception as error:
            if not connection.in_transaction:
                # SQLite gave up the whole transaction, with what others wrote in it.
                raise
            connection.execute("ROLLBACK TO one")
            self.error = error
        connection.execute("RELEASE one")

    def answer(self, folder: Path) -> T:
        if isinstance(self.error, sqlite3.Error):
            raise told(self.error, folder) from self.error
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class SqliteFile:
    """The file at `file`, made with its folder if missing. Open it after a fork, not before."""

    def __init__(self, file: Path) -> None:
        self.file = Path(file)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()
        self._waiting: deque[_Write[Any]] = deque()
        self._writer: sqlite3.Connection | None = None
        self._synchronous = ""
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Close every connection; one that a thread still reads with is closed when that thread is done with it."""
        with self._idle_lock:
            self._closed = True
            idle, self._idle = self._idle, []
        with self._writing:
            if self._writer is not None:
                idle.append(self._writer)
                self._writer = None
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile."""
        with self._idle_lock:
            self._check_open()
            connection = self._idle.pop() if self._idle else None
        with self.errors():
            connection = connection or self._connect()
            try:
                yield connection
            finally:
                with self._idle_lock:
                    keep = not self._closed
                    if keep:
                        self._idle.append(connection)
                if not keep:
                    connection.close()

    def write(self, act: Callable[[sqlite3.Connection], T], lasting: bool = True) -> T:
        """What `act` returns, once its changes are committed; what it raises undoes them. `lasting`: on the disk.

        `act` runs in a transaction that others may share, perhaps in another thread: it must not wait for anything.
        """
        mine = _Write(act, lasting)
        self._waiting.append(mine)
        with self._writing:
            if not mine.over:
                self._commit_waiting(mine)
        return mine.answer(self.file.parent)

    def _commit_waiting(self, mine: _Write[Any]) -> None:
        """One transaction for all who wait now; called by the first of them to get the lock."""
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._commit(batch)
        except Exception as error:
            for write in batch:
                write.error = write.error or error
        except BaseException:
            # This thread is being stopped; the others try again by themselves.
            self._waiting.extendleft(write for write in reversed(batch) if write is not mine)
            raise
        for write in batch:
            write.over = True

    def _commit(self, batch: list[_Write[Any]]) -> None:
        with self._idle_lock:
            self._check_open()
        if self._writer is None:
            self._writer = self._connect(waits=False)
            self._writer.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            self._synchronous = ""
        connection = self._writer
        wanted = "FULL" if any(write.lasting for write in batch) else "NORMAL"
        if wanted != self._synchronous:
            connection.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted
        self._begin(connection)
        try:
            for write in batch:
                write.run(connection, alone=len(batch) == 1)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin to write as soon as no other process does: SQLite itself would soon look for that a few times a second
        only.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(BUSY_PAUSE_SECONDS)
            else:
                return

    def _check_open(self) -> None:
        if self._closed:
            raise DocumentsUnavailable("The documents were closed.", "Try again in a moment.")

    def _connect(self, waits: bool = True) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.file,
            timeout=BUSY_SECONDS if waits else 0.0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        # Statements that fire triggers keep what they may have to undo; a file in /tmp each time is slow.
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise told(error, self.file.parent) from error


def told(error: sqlite3.Error, folder: Path) -> ZooscopeError:
    """An error of SQLite as DiskFull or DocumentsUnavailable."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return DiskFull(folder)
    return DocumentsUnavailable(f"The documents cannot be used at the moment: {error}.", "Try again in a moment.")
