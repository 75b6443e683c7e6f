"""Documents in one SQLite file: the embedded engine, nothing to install.

`document` holds the bodies; `field` every value of every field, for filters, facets and sorting; `words_<collection>`
is the full-text index (FTS5). Several processes may have the file open; it is in WAL mode, so readers never wait.
"""

# Table names are made from checked collection names; every value is a parameter.
# ruff: noqa: S608

from __future__ import annotations

import contextlib
import fcntl
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.disk import DiskFull
from zoo.document_fields import encode, text_of, values
from zoo.documents import (
    DocumentExists,
    DocumentsUnavailable,
    Page,
    Query,
    Stored,
    check_collection,
    conflict,
    missing,
)
from zoo.identifiers import new_uuid
from zoo.sqlite_search import run_query, text_table

BUSY_SECONDS = 15.0
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE document (
    row INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    revision TEXT NOT NULL,
    UNIQUE (collection, id)
);
CREATE TABLE field (
    row INTEGER NOT NULL,
    path TEXT NOT NULL,
    word TEXT NOT NULL,
    number REAL,
    collection TEXT NOT NULL,
    PRIMARY KEY (row, path, word)
) WITHOUT ROWID;
CREATE INDEX field_values ON field (collection, path, word);
"""


class SqliteDocuments:
    """The documents in `file`, made with its folder if missing. Open it after a fork, not before."""

    def __init__(self, file: Path) -> None:
        self.file = Path(file)
        # SQLite polls when the file is busy; between the threads of one process a lock is quicker and fair.
        self._writing = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._closed = False
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._prepare()

    def create(self, collection: str, id: str, body: Mapping[str, Any]) -> Stored:
        check_collection(collection)
        text = encode(id, body)
        stored = Stored(id, json.loads(text), new_uuid())
        table = text_table(collection)
        with self._write() as connection:
            connection.execute(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING fts5 (title, words, tokenize = 'ascii')"
            )
            try:
                row = connection.execute(
                    "INSERT INTO document (collection, id, body, revision) VALUES (?, ?, ?, ?)",
                    (collection, id, text, stored.revision),
                ).lastrowid
            except sqlite3.IntegrityError as error:
                raise DocumentExists(
                    f"There is already a document {id!r} in {collection}.", "Choose another id."
                ) from error
            assert row is not None
            self._index(connection, collection, row, {}, stored)
        return stored

    def get(self, collection: str, id: str) -> Stored:
        check_collection(collection)
        with self._connection() as connection:
            found = connection.execute(
                "SELECT body, revision FROM document WHERE collection = ? AND id = ?", (collection, _bindable(id))
            ).fetchone()
        if found is None:
            raise missing(collection, id)
        return Stored(id, json.loads(found[0]), found[1])

    def replace(self, collection: str, id: str, body: Mapping[str, Any], revision: str) -> Stored:
        check_collection(collection)
        text = encode(id, body)
        stored = Stored(id, json.loads(text), new_uuid())
        with self._write() as connection:
            row, old = self._current(connection, collection, id, revision)
            connection.execute("UPDATE document SET body = ?, revision = ? WHERE row = ?", (text, stored.revision, row))
            self._index(connection, collection, row, old, stored)
        return stored

    def delete(self, collection: str, id: str, revision: str | None = None) -> None:
        check_collection(collection)
        with self._write() as connection:
            row, _ = self._current(connection, collection, id, revision)
            connection.execute("DELETE FROM document WHERE row = ?", (row,))
            connection.execute("DELETE FROM field WHERE row = ?", (row,))
            connection.execute(f"DELETE FROM {text_table(collection)} WHERE rowid = ?", (row,))

    def search(self, collection: str, query: Query) -> Page:
        check_collection(collection)
        query.check()
        with self._connection() as connection:
            # One transaction, so that items, total and facets are of the same moment.
            connection.execute("BEGIN")
            try:
                any_there = connection.execute("SELECT 1 FROM document WHERE collection = ? LIMIT 1", (collection,))
                if any_there.fetchone() is None:
                    return Page([], 0, {path: {} for path in query.facets})
                return run_query(connection, collection, query)
            finally:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close every connection; one that a thread still uses is closed when that thread is done with it."""
        with self._idle_lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _current(
        self, connection: sqlite3.Connection, collection: str, id: str, revision: str | None
    ) -> tuple[int, dict[str, Any]]:
        found = connection.execute(
            "SELECT row, body, revision FROM document WHERE collection = ? AND id = ?", (collection, _bindable(id))
        ).fetchone()
        if found is None:
            raise missing(collection, id)
        if revision is not None and found[2] != revision:
            raise conflict(collection, id)
        return found[0], json.loads(found[1])

    def _index(
        self, connection: sqlite3.Connection, collection: str, row: int, old: dict[str, Any], stored: Stored
    ) -> None:
        """Write what changed from the body `old` (empty for a new document): a job's progress touches a few rows."""
        before, after = values(old), values(stored.body)
        connection.executemany(
            "DELETE FROM field WHERE row = ? AND path = ? AND word = ?",
            [(row, value.path, value.word) for value in before - after],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO field (row, path, word, number, collection) VALUES (?, ?, ?, ?, ?)",
            [(row, *value, collection) for value in after - before],
        )
        table, text = text_table(collection), text_of(stored.id, stored.body)
        if not old:
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
            connection.execute(f"INSERT INTO {table} (rowid, title, words) VALUES (?, ?, ?)", (row, *text))
        elif text != text_of(stored.id, old):
            connection.execute(f"UPDATE {table} SET title = ?, words = ? WHERE rowid = ?", (*text, row))

    def _prepare(self) -> None:
        # Two processes that make the file at once would fail in the switch to WAL, which does not wait.
        with self.file.with_name(f"{self.file.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._connection() as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
                elif version != SCHEMA_VERSION:
                    raise DocumentsUnavailable(
                        f"The documents in {self.file.name} were written by another version of Zooscope.",
                        "Start the version that wrote them, or give another data folder.",
                    )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        # FULL: what was answered with success survives a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile."""
        with self._idle_lock:
            if self._closed:
                raise DocumentsUnavailable("The documents were closed.", "Try again in a moment.")
            connection = self._idle.pop() if self._idle else None
        with self._errors():
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

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no one else writes in, committed at the end and undone by any exception."""
        with self._writing, self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise DiskFull(self.file.parent) from error
            raise DocumentsUnavailable(
                f"The documents cannot be used at the moment: {error}.", "Try again in a moment."
            ) from error


def _bindable(id: str) -> str:
    """An id as a parameter: half a surrogate pair, which SQLite cannot take, is in no document."""
    return id.encode("utf-8", "replace").decode()
