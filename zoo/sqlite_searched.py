"""Declared collections in SQLite that are searched by words and facets, quickly also with a hundred thousand documents.

Besides the table of declared fields (`zoo/sqlite_declared.py`), a collection has here: `words_<collection>`, its
full-text index; `terms_<collection>`, a number for every value of a facet; and `packed_<collection>`, per document the
numbers of its values, its numeric fields, and when it was written. A process reads what was written since it last
looked into arrays (`zoo/search_columns.py`), which find and count; SQLite finds words, sorts by texts, and has the
bodies.
"""

# Names of tables are made of checked collection names and declared fields; every value is a parameter.
# ruff: noqa: S608

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.document_fields import spelling, text_of, value_at, words_of_text
from zoo.documents import SCORE, Fields, Page, Query, Stored
from zoo.identifiers import new_uuid
from zoo.search_columns import Changed, Columns, Mask, Places, first
from zoo.sqlite_declared import DeclaredCollection
from zoo.sqlite_ranking import FoundWords, WordSets
from zoo.sqlite_words import text_table

# The code whose word tells one making of the tables from another.
EPOCH_CODE = 0
# Fewer documents than these are sorted by a text field one by one; of more, its index is read until there are enough.
SORTED_ONE_BY_ONE = 2000
READ_AT_ONCE = 2000


@dataclass(frozen=True)
class _Moment:
    """The collection as it was after write number `version`; its words last changed with number `text_version`."""

    epoch: str
    version: int
    text_version: int
    columns: Columns
    words: WordSets
    ranks: Places | None = None


class SearchedCollection(DeclaredCollection):
    """The statements of one searched collection. Every method is given a connection within a transaction."""

    def __init__(self, collection: str, fields: Fields) -> None:
        super().__init__(collection, fields)
        self._facets = {path: path.split(".") for path in fields.facets}
        self._numbers = [path.split(".") for path in fields.numbers]
        # Facets are in the packed values.
        self._several = [(path, steps) for path, steps in self._several if path not in self._facets]
        self._packed, self._terms = f"packed_{collection}", f"terms_{collection}"
        self._text = text_table(collection)
        self._lock = threading.Lock()
        self._moment: _Moment | None = None

    # The tables.

    def make(self, connection: sqlite3.Connection) -> None:
        super().make(connection)
        connection.execute(
            f"CREATE TABLE {self._packed} (row INTEGER PRIMARY KEY, version INTEGER NOT NULL, "
            "text_version INTEGER NOT NULL, codes BLOB, numbers BLOB)"
        )
        connection.execute(f"CREATE INDEX {self._packed}_version ON {self._packed} (version)")
        connection.execute(
            f"CREATE TABLE {self._terms} (code INTEGER PRIMARY KEY, path TEXT, word TEXT, UNIQUE (path, word))"
        )
        connection.execute(f"INSERT INTO {self._terms} VALUES ({EPOCH_CODE}, '', ?)", (new_uuid(),))
        connection.execute(
            f"CREATE VIRTUAL TABLE {self._text} USING fts5 (title, words, tokenize = 'ascii', detail = 'column', "
            "columnsize = 0)"
        )

    # A document.

    def insert(self, connection: sqlite3.Connection, row: int, id: str, body: Mapping[str, Any]) -> None:
        super().insert(connection, row, id, body)
        text = text_of(id, body)
        connection.execute(f"INSERT INTO {self._text} (rowid, title, words) VALUES (?, ?, ?)", (row, *text))
        self._pack(connection, row, body, _length(text[1]), True)

    def update(
        self, connection: sqlite3.Connection, row: int, body: Mapping[str, Any], known: Mapping[str, Any] | None = None
    ) -> None:
        super().update(connection, row, body, known)
        id, before = connection.execute("SELECT id, body FROM document WHERE row = ?", (row,)).fetchone()
        text = text_of(id, body)
        other_words = text != text_of(id, json.loads(before))
        if other_words:
            connection.execute(f"UPDATE {self._text} SET title = ?, words = ? WHERE rowid = ?", (*text, row))
        self._pack(connection, row, body, _length(text[1]), other_words)

    def delete(self, connection: sqlite3.Connection, row: int) -> None:
        super().delete(connection, row)
        connection.execute(f"DELETE FROM {self._text} WHERE rowid = ?", (row,))
        version = self._next_version(connection)
        connection.execute(
            f"INSERT OR REPLACE INTO {self._packed} VALUES (?, ?, ?, NULL, NULL)", (row, version, version)
        )

    def _pack(
        self, connection: sqlite3.Connection, row: int, body: Mapping[str, Any], length: int, other_words: bool
    ) -> None:
        codes = sorted(self._code(connection, path, word) for path, word in self._facet_words(body))
        numbers = [_number(value_at(body, steps)) for steps in self._numbers] + [float(length)]
        version = self._next_version(connection)
        known = connection.execute(f"SELECT text_version FROM {self._packed} WHERE row = ?", (row,)).fetchone()
        connection.execute(
            f"INSERT OR REPLACE INTO {self._packed} VALUES (?, ?, ?, ?, ?)",
            (row, version, version if other_words or known is None else known[0], np.array(codes, "<i4").tobytes(),
             np.array(numbers, "<f8").tobytes()),
        )  # fmt: skip

    def _facet_words(self, body: Mapping[str, Any]) -> set[tuple[str, str]]:
        return self._words_at(body, self._facets.items())

    def _code(self, connection: sqlite3.Connection, path: str, word: str) -> int:
        found = connection.execute(
            f"SELECT code FROM {self._terms} WHERE path = ? AND word = ?", (path, word)
        ).fetchone()
        if found is not None:
            return int(found[0])
        code = connection.execute(f"INSERT INTO {self._terms} (path, word) VALUES (?, ?)", (path, word)).lastrowid
        assert code is not None
        return code

    def _next_version(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute(f"SELECT coalesce(max(version), 0) + 1 FROM {self._packed}").fetchone()[0])

    # A search.

    def search(self, connection: sqlite3.Connection, query: Query) -> Page:
        self.fields.check_query(self.collection, query)
        moment = self._now(connection)
        columns = moment.columns
        words = words_of_text(query.text)
        if query.text.strip() and not words:
            return Page([], 0, {path: {} for path in query.facets})
        found = moment.words.find(connection, words) if words else None
        always = np.ones(len(columns), np.bool_) if found is None else found.mask()
        for path, (low, high) in query.ranges.items():
            always &= self._within(connection, columns, path, low, high)
        chosen = {
            path: self._having(connection, columns, path, values) for path, values in query.filters.items() if values
        }
        mask = _all(always, chosen)
        facets = {
            path: columns.count(path, _all(always, {other: has for other, has in chosen.items() if other != path}))
            if path in self._facets else self._facet(connection, query, path)
            for path in query.facets
        }  # fmt: skip
        total = int(np.count_nonzero(mask))
        items = self._found(connection, query, moment, mask, found) if query.size else []
        return Page(items, total if query.count_limit is None else min(total, query.count_limit), facets)

    def _having(self, connection: sqlite3.Connection, columns: Columns, path: str, values: Any) -> Mask:
        if path in self._facets:
            return columns.having(path, [spelling(value) for value in values])
        return columns.mask(self._rows(connection, Query(filters={path: values})))

    def _within(
        self, connection: sqlite3.Connection, columns: Columns, path: str, low: float | None, high: float | None
    ) -> Mask:
        if (low, high) == (None, None):
            return np.ones(len(columns), np.bool_)
        if path in self.fields.numbers:
            limits = -math.inf if low is None else float(low), math.inf if high is None else float(high)
            return columns.within(self.fields.numbers.index(path), *limits)
        return columns.mask(self._rows(connection, Query(ranges={path: (low, high)})))

    def _rows(self, connection: sqlite3.Connection, query: Query) -> Places:
        where, parameters = self._where(query)
        return _listed(connection, f"SELECT group_concat(f.row) FROM {self._table} AS f WHERE {where}", parameters)

    def _found(
        self, connection: sqlite3.Connection, query: Query, moment: _Moment, mask: Mask, found: FoundWords | None
    ) -> list[Stored]:
        """The documents of the query's page, among those of the mask."""
        skip, hits = (query.page - 1) * query.size, np.flatnonzero(mask)
        if len(hits) <= skip:
            return []
        if query.sort != SCORE and query.sort not in self.fields.numbers:
            rows = self._by_text(connection, query, moment.columns, mask, hits)
        else:
            keys = np.zeros(len(hits))
            if query.sort != SCORE:
                keys = moment.columns.numbers[hits, self.fields.numbers.index(query.sort)]
            elif found is not None:
                keys = found.scores(hits)
            ranks = self._ranks(connection, moment)
            page = first(hits, -keys if query.descending else keys, ranks, skip, query.size)
            rows = moment.columns.rows[page].tolist()
        body = "SELECT id, body, revision FROM document WHERE row = ?"
        read = [connection.execute(body, (row,)).fetchone() for row in rows]
        return [Stored(id, json.loads(text), revision) for id, text, revision in read]

    def _by_text(
        self, connection: sqlite3.Connection, query: Query, columns: Columns, mask: Mask, hits: Places
    ) -> list[int]:
        """The rows of a page sorted by a field of texts."""
        column, way = f'f."{query.sort}"', " DESC" if query.descending else ""
        skip, wanted = (query.page - 1) * query.size, query.page * query.size
        if len(hits) <= SORTED_ONE_BY_ONE:
            rows = json.dumps(columns.rows[hits].tolist())
            sorted_rows = connection.execute(
                f"SELECT f.row FROM json_each(?) AS hit CROSS JOIN {self._table} AS f ON f.row = hit.value "
                f"ORDER BY {column} IS NULL, {column}{way}, f.id LIMIT ? OFFSET ?",
                (rows, query.size, skip),
            )
            return [row for (row,) in sorted_rows]
        found: list[int] = []
        for condition, order in ((f"{column} IS NOT NULL", f"{column}{way}, f.id"), (f"{column} IS NULL", "f.id")):
            cursor = connection.execute(f"SELECT f.row FROM {self._table} AS f WHERE {condition} ORDER BY {order}")
            while len(found) < wanted and (read := cursor.fetchmany(READ_AT_ONCE)):
                places = columns.places(np.array(read, np.int64)[:, 0])
                found += columns.rows[places[mask[places]]].tolist()
            cursor.close()
        return found[skip:wanted]

    # What was read so far.

    def _now(self, connection: sqlite3.Connection) -> _Moment:
        """The collection as this transaction sees it.

        Its first read is made under the lock, so no other thread can have seen anything newer before.
        """
        with self._lock:
            epoch = connection.execute(f"SELECT word FROM {self._terms} WHERE code = {EPOCH_CODE}").fetchone()[0]
            version = connection.execute(f"SELECT coalesce(max(version), 0) FROM {self._packed}").fetchone()[0]
            moment = self._moment
            if moment is None or moment.epoch != epoch or moment.version > version:
                columns = Columns.empty(self.fields.facets, len(self.fields.numbers) + 1)
                moment = _Moment(epoch, 0, 0, columns, WordSets(self._text, columns))
            if moment.version < version:
                moment = self._caught_up(connection, moment, version)
            self._moment = moment
            return moment

    def _caught_up(self, connection: sqlite3.Connection, moment: _Moment, version: int) -> _Moment:
        terms = moment.columns.terms
        new_terms = f"SELECT code, path, word FROM {self._terms} WHERE code >= ? ORDER BY code"
        for code, path, word in connection.execute(new_terms, (max(len(terms.path_of), EPOCH_CODE + 1),)):
            terms.add(code, path, word)
        written = connection.execute(
            f"SELECT row, text_version, codes, numbers FROM {self._packed} WHERE version > ?", (moment.version,)
        ).fetchall()
        rows, text_versions, codes, numbers = zip(*written, strict=True)
        there = np.array([packed is not None for packed in codes])
        counts = np.array([0 if packed is None else len(packed) // 4 for packed in codes])
        width = len(self.fields.numbers) + 1
        nothing = np.full(width, np.nan).tobytes()
        changed = Changed(
            rows=np.array(rows, np.int64),
            there=there,
            owners=np.repeat(np.arange(len(rows)), counts),
            codes=np.frombuffer(b"".join(packed or b"" for packed in codes), "<i4").astype(np.int64),
            numbers=np.frombuffer(b"".join(packed or nothing for packed in numbers), "<f8").reshape(-1, width),
        )
        columns = moment.columns.with_changes(changed)
        text_version = max(moment.text_version, *text_versions)
        if text_version > moment.text_version:
            return _Moment(moment.epoch, version, text_version, columns, WordSets(self._text, columns))
        # The same documents with the same words, if with other values.
        return _Moment(moment.epoch, version, text_version, columns, moment.words, moment.ranks)

    def _ranks(self, connection: sqlite3.Connection, moment: _Moment) -> Places:
        """The rank of every place in the order of the ids."""
        if moment.ranks is not None:
            return moment.ranks
        by_id = "SELECT group_concat(row) FROM (SELECT row FROM document WHERE collection = ? ORDER BY id)"
        places = moment.columns.places(_listed(connection, by_id, (self.collection,)))
        ranks = np.zeros(len(moment.columns), np.int64)
        ranks[places] = np.arange(len(places))
        with self._lock:
            if self._moment is moment:
                self._moment = _Moment(
                    moment.epoch, moment.version, moment.text_version, moment.columns, moment.words, ranks
                )
        return ranks


def _all(mask: Mask, more: Mapping[str, Mask]) -> Mask:
    for other in more.values():
        mask = mask & other
    return mask


def _listed(connection: sqlite3.Connection, statement: str, parameters: Any) -> Places:
    """The numbers that a statement joins with commas: several times quicker than fetching them as rows."""
    text = connection.execute(statement, parameters).fetchone()[0]
    return np.fromstring(text, np.int64, sep=",") if text else np.zeros(0, np.int64)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _length(words: str) -> int:
    return words.count(" ") + 1
