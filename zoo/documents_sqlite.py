"""Documents in one SQLite file: the embedded engine, nothing to install.

`document` holds the bodies; `field` every value of every field, for filters, facets and sorting; `words_<collection>`
is the full-text index (FTS5). Declared collections have neither, but tables of their own: `zoo/sqlite_declared.py`.
Several processes may have the file open.
"""

# Table names are made from checked collection names; every value is a parameter.
# ruff: noqa: S608

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.document_fields import encode, text_of, values
from zoo.documents import (
    DocumentExists,
    DocumentMissing,
    DocumentsUnavailable,
    Fields,
    Page,
    Query,
    RevisionConflict,
    Scalar,
    Stored,
    Write,
    check_collection,
    conflict,
    first_value,
    missing,
)
from zoo.errors import UserError
from zoo.identifiers import new_uuid
from zoo.sqlite_declared import DeclaredCollection
from zoo.sqlite_file import SqliteFile
from zoo.sqlite_group import are_new, create_all
from zoo.sqlite_search import run_query
from zoo.sqlite_words import text_table

SCHEMA_VERSION = 2
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
# Since version 2: what each declared collection is searched by, as JSON.
DECLARED = "CREATE TABLE declared (collection TEXT PRIMARY KEY, fields TEXT NOT NULL);"


class SqliteDocuments:
    """The documents in `file`, made with its folder if missing. Open it after a fork, not before."""

    def __init__(self, file: Path) -> None:
        self.file = Path(file)
        self._sqlite = SqliteFile(self.file)
        self._declared: dict[str, DeclaredCollection] = {}
        with self._sqlite.errors():
            self._prepare()

    def declare(self, collection: str, fields: Fields) -> None:
        check_collection(collection)
        declared, text = _collection(collection, fields), json.dumps(asdict(fields))
        with self._sqlite.reading() as connection:
            known = self._declared_as(connection, collection)
        if known == fields and collection in self._declared:
            return

        def index(connection: sqlite3.Connection) -> None:
            if self._declared_as(connection, collection) == fields:
                return
            declared.drop(connection)
            declared.make(connection)
            declared.fill(connection)
            connection.execute("INSERT OR REPLACE INTO declared VALUES (?, ?)", (collection, text))

        if known != fields:
            self._sqlite.write(index)
        self._declared[collection] = declared

    def create(self, collection: str, id: str, body: Mapping[str, Any]) -> Stored:
        return _only(self.write(collection, [Write(id, body)]))

    def get(self, collection: str, id: str) -> Stored:
        check_collection(collection)
        with self._sqlite.reading() as connection:
            found = connection.execute(
                "SELECT body, revision FROM document WHERE collection = ? AND id = ?", (collection, _bindable(id))
            ).fetchone()
        if found is None:
            raise missing(collection, id)
        return Stored(id, json.loads(found[0]), found[1])

    def replace(self, collection: str, id: str, body: Mapping[str, Any], revision: str, lasting: bool = True) -> Stored:
        return _only(self.write(collection, [Write(id, body, revision)], lasting))

    def write(self, collection: str, writes: Sequence[Write], lasting: bool = True) -> list[Stored | UserError]:
        """In one transaction: what is raised undoes them all."""
        check_collection(collection)
        texts = [encode(one.id, one.body) for one in writes]
        new = [Stored(one.id, json.loads(text), new_uuid()) for one, text in zip(writes, texts, strict=True)]

        def write(connection: sqlite3.Connection) -> list[Stored | UserError]:
            if (declared := self._declared.get(collection)) is not None and are_new(declared, writes):
                return create_all(connection, declared, texts, new)
            outcomes: list[Stored | UserError] = []
            for one, text, stored in zip(writes, texts, new, strict=True):
                try:
                    self._write(connection, collection, one, text, stored)
                    outcomes.append(stored)
                except (DocumentExists, DocumentMissing, RevisionConflict) as error:
                    # Raised before anything was changed.
                    outcomes.append(error)
            return outcomes

        return self._sqlite.write(write, lasting) if writes else []

    def _write(self, connection: sqlite3.Connection, collection: str, write: Write, text: str, stored: Stored) -> None:
        declared, body = self._declared.get(collection), stored.body
        if write.revision is None:
            row = self._insert(connection, collection, text, stored)
            if declared is None:
                self._index(connection, collection, row, None, stored)
            else:
                declared.insert(connection, row, stored.id, body)
            return
        row = self._current(connection, collection, stored.id, write.revision)
        if declared is None:
            self._index(connection, collection, row, self._body(connection, row), stored)
        else:
            declared.update(connection, row, body, write.before)
        connection.execute("UPDATE document SET body = ?, revision = ? WHERE row = ?", (text, stored.revision, row))

    def _insert(self, connection: sqlite3.Connection, collection: str, text: str, stored: Stored) -> int:
        inserted = connection.execute(
            "INSERT INTO document (collection, id, body, revision) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (collection, stored.id, text, stored.revision),
        )
        if not inserted.rowcount or inserted.lastrowid is None:
            raise DocumentExists(f"There is already a document {stored.id!r} in {collection}.", "Choose another id.")
        return inserted.lastrowid

    def delete(self, collection: str, id: str, revision: str | None = None) -> None:
        check_collection(collection)
        declared = self._declared.get(collection)

        def delete(connection: sqlite3.Connection) -> None:
            row = self._current(connection, collection, id, revision)
            connection.execute("DELETE FROM document WHERE row = ?", (row,))
            if declared is None:
                connection.execute("DELETE FROM field WHERE row = ?", (row,))
                connection.execute(f"DELETE FROM {text_table(collection)} WHERE rowid = ?", (row,))
            else:
                declared.delete(connection, row)

        self._sqlite.write(delete)

    def search(self, collection: str, query: Query) -> Page:
        check_collection(collection)
        query.check()
        declared = self._declared.get(collection)
        with self._sqlite.reading() as connection:
            if declared is not None and not query.size and not query.facets and not declared.fields.text:
                return declared.search(connection, query)
            # One transaction, so that items, total and facets are of the same moment.
            connection.execute("BEGIN")
            try:
                if declared is not None:
                    return declared.search(connection, query)
                any_there = connection.execute("SELECT 1 FROM document WHERE collection = ? LIMIT 1", (collection,))
                if any_there.fetchone() is None:
                    return Page([], 0, {path: {} for path in query.facets})
                return run_query(connection, collection, query)
            finally:
                connection.execute("ROLLBACK")

    def edge(
        self, collection: str, field: str, filters: Mapping[str, Sequence[Scalar]], last: bool = False
    ) -> Scalar | None:
        query = Query(filters=filters, sort=field, descending=last, size=1, count_limit=0)
        declared = self._declared.get(collection)
        if declared is None:
            return first_value(self.search(collection, query), field)
        query.check()
        with self._sqlite.reading() as connection:
            return declared.edge(connection, query)

    def close(self) -> None:
        """Close every connection; one that a thread still uses is closed when that thread is done with it."""
        self._sqlite.close()

    def _declared_as(self, connection: sqlite3.Connection, collection: str) -> Fields | None:
        found = connection.execute("SELECT fields FROM declared WHERE collection = ?", (collection,)).fetchone()
        return None if found is None else _fields(found[0])

    def _body(self, connection: sqlite3.Connection, row: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            connection.execute("SELECT body FROM document WHERE row = ?", (row,)).fetchone()[0]
        )
        return found

    def _current(self, connection: sqlite3.Connection, collection: str, id: str, revision: str | None) -> int:
        """The row of the document, which still has `revision` if that is given."""
        found = connection.execute(
            "SELECT row, revision FROM document WHERE collection = ? AND id = ?", (collection, _bindable(id))
        ).fetchone()
        if found is None:
            raise missing(collection, id)
        if revision is not None and found[1] != revision:
            raise conflict(collection, id)
        return int(found[0])

    def _index(
        self, connection: sqlite3.Connection, collection: str, row: int, old: dict[str, Any] | None, stored: Stored
    ) -> None:
        """Write what changed from the body `old` (None for a new document): of a new name a few rows."""
        before, after = values(old or {}), values(stored.body)
        connection.executemany(
            "DELETE FROM field WHERE row = ? AND path = ? AND word = ?",
            [(row, value.path, value.word) for value in before - after],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO field (row, path, word, number, collection) VALUES (?, ?, ?, ?, ?)",
            [(row, *value, collection) for value in after - before],
        )
        table, text = text_table(collection), text_of(stored.id, stored.body)
        if old is None:
            connection.execute(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING fts5 (title, words, tokenize = 'ascii')"
            )
            connection.execute(f"INSERT INTO {table} (rowid, title, words) VALUES (?, ?, ?)", (row, *text))
        elif text != text_of(stored.id, old):
            connection.execute(f"UPDATE {table} SET title = ?, words = ? WHERE rowid = ?", (*text, row))

    def _prepare(self) -> None:
        # Two processes that make the file at once would fail in the switch to WAL, which does not wait.
        with self.file.with_name(f"{self.file.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._sqlite.reading() as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                missing_parts = {0: SCHEMA + DECLARED, 1: DECLARED, SCHEMA_VERSION: ""}
                if version not in missing_parts:
                    raise DocumentsUnavailable(
                        f"The documents in {self.file.name} were written by another version of Zooscope.",
                        "Start the version that wrote them, or give another data folder.",
                    )
                if version != SCHEMA_VERSION:
                    connection.executescript(
                        f"BEGIN; {missing_parts[version]} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                    )
                known = connection.execute("SELECT collection, fields FROM declared").fetchall()
        for collection, text in known:
            self._declared[collection] = _collection(collection, _fields(text))


def _collection(collection: str, fields: Fields) -> DeclaredCollection:
    """How a collection of declared fields is kept and searched."""
    if not fields.text and not fields.facets:
        return DeclaredCollection(collection, fields)
    # Arrays are for those who search; what only stores jobs does without.
    from zoo.sqlite_searched import SearchedCollection

    return SearchedCollection(collection, fields)


def _fields(text: str) -> Fields:
    read = json.loads(text)
    groups = {name: tuple(tuple(group) for group in read[name]) for name in ("orders", "counts")}
    # The last three are not in what was declared before there were any.
    lists = {name: tuple(read.get(name, ())) for name in ("facets", "numbers")}
    return Fields(tuple(read["single"]), tuple(read["several"]), **groups, text=bool(read.get("text")), **lists)  # type: ignore[arg-type]


def _only(outcomes: list[Stored | UserError]) -> Stored:
    """What became of a single write."""
    outcome = outcomes[0]
    if isinstance(outcome, UserError):
        raise outcome
    return outcome


def _bindable(id: str) -> str:
    """An id as a parameter: half a surrogate pair, which SQLite cannot take, is in no document."""
    return id.encode("utf-8", "replace").decode()
