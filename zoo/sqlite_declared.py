"""Declared collections in SQLite: a narrow table with a column per field, indexes for the orders, kept totals.

Per collection: `fields_<collection>` with a row per document, indexes over it, and `count_<collection>_<number>` with
the number of documents for every combination of values in use, which triggers keep. Values of fields that may hold
lists are rows of the table `field`, as for other collections.
"""

# Names of tables and columns are made of checked collection names and declared fields; every value is a parameter.
# ruff: noqa: S608

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo import sqlite_rows
from zoo.document_fields import MAXIMUM_VALUE, DocumentInvalid, spelling, value_at
from zoo.documents import MAXIMUM_FACET_VALUES, SCORE, Fields, Page, Query, Scalar, Stored

Cell = str | int | float | None
# Stands for no value in a count, which a key of a table cannot hold.
ABSENT = "x''"
LARGEST_INTEGER = 2**63 - 1


class DeclaredCollection:
    """The statements of one declared collection. Every method is given a connection within a transaction."""

    def __init__(self, collection: str, fields: Fields) -> None:
        self.collection = collection
        self.fields = fields
        self._table = f"fields_{collection}"
        self._single = [(path, path.split(".")) for path in fields.single]
        self._several = [(path, path.split(".")) for path in fields.several]
        columns = ", ".join(f'"{path}"' for path in fields.single)
        self._columns = ["row", "id", *(f'"{path}"' for path in fields.single)]
        self._select = f"SELECT {columns or 'NULL'} FROM {self._table} WHERE row = ?"

    # The tables.

    def make(self, connection: sqlite3.Connection) -> None:
        columns = "".join(f', "{path}"' for path in self.fields.single)
        connection.execute(f"CREATE TABLE {self._table} (row INTEGER PRIMARY KEY, id TEXT NOT NULL{columns})")
        for number, order in enumerate(self.fields.orders):
            columns = ", ".join(f'"{path}"' for path in (*order, "id"))
            connection.execute(f"CREATE INDEX order_{self.collection}_{number} ON {self._table} ({columns})")
        for number, group in enumerate(self.fields.counts):
            self._make_count(connection, number, group)

    def _make_count(self, connection: sqlite3.Connection, number: int, group: Sequence[str]) -> None:
        table = f"count_{self.collection}_{number}"
        columns = ", ".join(f'"{path}"' for path in group)
        connection.execute(f"CREATE TABLE {table} ({columns}, n INTEGER, PRIMARY KEY ({columns})) WITHOUT ROWID")
        new, old = ([f'ifnull({when}."{path}", {ABSENT})' for path in group] for when in ("NEW", "OLD"))
        more = f"INSERT INTO {table} VALUES ({', '.join(new)}, 1) ON CONFLICT DO UPDATE SET n = n + 1;"
        here = " AND ".join(f'"{path}" = {value}' for path, value in zip(group, old, strict=True))
        less = f"UPDATE {table} SET n = n - 1 WHERE {here}; DELETE FROM {table} WHERE {here} AND n <= 0;"
        triggers = {"INSERT": more, "DELETE": less, f"UPDATE OF {columns}": more + less}
        for kind, (event, act) in enumerate(triggers.items()):
            name = f"{table}_{kind}"
            connection.execute(f"CREATE TRIGGER {name} AFTER {event} ON {self._table} BEGIN {act} END")

    def drop(self, connection: sqlite3.Connection) -> None:
        """Remove the tables, whoever declared them, and what was indexed of the collection before it was declared."""
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND (name = ? OR name GLOB ?)",
            (self._table, f"count_{self.collection}_[0-9]*"),
        ).fetchall()
        others = [(f"{kind}_{self.collection}",) for kind in ("words", "packed", "terms")]
        for (name,) in [*names, *others]:
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        connection.execute("DELETE FROM field WHERE collection = ?", (self.collection,))

    def fill(self, connection: sqlite3.Connection) -> None:
        """Index every document of the collection."""
        rows = connection.execute("SELECT row, id, body FROM document WHERE collection = ?", (self.collection,))
        for row, id, body in rows:
            self.insert(connection, row, id, json.loads(body))

    # A document.

    def insert(self, connection: sqlite3.Connection, row: int, id: str, body: Mapping[str, Any]) -> None:
        self.insert_all(connection, [(row, id, body)])

    def insert_all(self, connection: sqlite3.Connection, new: Sequence[tuple[int, str, Mapping[str, Any]]]) -> None:
        """Index documents given as (row, id, body)."""
        rows = [(row, id, *self._cells(body)) for row, id, body in new]
        sqlite_rows.insert(connection, self._table, self._columns, rows)
        self._enter(connection, [(row, *word) for row, _, body in new for word in self._words(body)])

    def update(
        self, connection: sqlite3.Connection, row: int, body: Mapping[str, Any], known: Mapping[str, Any] | None = None
    ) -> None:
        """Write what changed, and nothing else: an index is only touched by the columns that are set. `known` is the
        body as it was before, if it is at hand.
        """
        cells = self._cells(body)
        before = connection.execute(self._select, (row,)).fetchone() if known is None else self._cells(known)
        changed = [number for number, cell in enumerate(cells) if not _same(cell, before[number])]
        if changed:
            sets = ", ".join(f'"{self.fields.single[number]}" = ?' for number in changed)
            values = [cells[number] for number in changed]
            connection.execute(f"UPDATE {self._table} SET {sets} WHERE row = ?", (*values, row))
        if self._several:
            words = self._words(body)
            if known is None:
                there = set(connection.execute("SELECT path, word FROM field WHERE row = ?", (row,)))
            else:
                there = self._words(known)
            if gone := [(row, *word) for word in there - words]:
                connection.executemany("DELETE FROM field WHERE row = ? AND path = ? AND word = ?", gone)
            self._enter(connection, [(row, *word) for word in words - there])

    def delete(self, connection: sqlite3.Connection, row: int) -> None:
        connection.execute(f"DELETE FROM {self._table} WHERE row = ?", (row,))
        connection.execute("DELETE FROM field WHERE row = ?", (row,))

    def _enter(self, connection: sqlite3.Connection, words: Sequence[tuple[int, str, str]]) -> None:
        """Values of fields that may have several, given as (row, path, word)."""
        rows = [(*word, self.collection) for word in words]
        sqlite_rows.insert(connection, "field", ("row", "path", "word", "collection"), rows)

    def _cells(self, body: Mapping[str, Any]) -> list[Cell]:
        # Most fields lie at the top of a body.
        return [
            _cell(path, body.get(path) if len(steps) == 1 else value_at(body, steps)) for path, steps in self._single
        ]

    def _words(self, body: Mapping[str, Any]) -> set[tuple[str, str]]:
        return self._words_at(body, self._several)

    def _words_at(self, body: Mapping[str, Any], fields: Iterable[tuple[str, list[str]]]) -> set[tuple[str, str]]:
        """The paths and spelled values of some fields, which may have one value or several."""
        words: set[tuple[str, str]] = set()
        for path, steps in fields:
            leaf = value_at(body, steps)
            for value in leaf if isinstance(leaf, list) else [leaf]:
                cell = _cell(path, value)
                if cell is not None:
                    words.add((path, spelling(cell)))
        return words

    # A search.

    def search(self, connection: sqlite3.Connection, query: Query) -> Page:
        self.fields.check_query(self.collection, query)
        where, parameters = self._where(query)
        total = self._total(connection, query, where, parameters)
        items = self._items(connection, query, where, parameters) if query.size else []
        return Page(items, total, {path: self._facet(connection, query, path) for path in query.facets})

    def edge(self, connection: sqlite3.Connection, query: Query) -> Scalar | None:
        """The value of the field that the query sorts by in the first document that it finds and that has one."""
        self.fields.check_query(self.collection, query)
        where, parameters = self._where(query)
        column, order = f'f."{query.sort}"', " DESC" if query.descending else ""
        found = connection.execute(
            f"SELECT {column} FROM {self._table} AS f WHERE {where} AND {column} IS NOT NULL "
            f"ORDER BY {column}{order} LIMIT 1",
            parameters,
        ).fetchone()
        return None if found is None else found[0]

    def _where(self, query: Query, leaving_out: str | None = None) -> tuple[str, list[Any]]:
        """The condition of a query, without the filter on the field `leaving_out`, and its parameters."""
        conditions: list[str] = []
        parameters: list[Any] = []
        for path, values in query.filters.items():
            if not values or path == leaving_out:
                continue
            if path in self.fields.several:
                allowed = [spelling(value) for value in values]
                inside = f"SELECT row FROM field WHERE collection = ? AND path = ? AND {_among('word', allowed)}"
                conditions.append(f"f.row IN ({inside})")
                parameters += [self.collection, path, *allowed]
            else:
                cells = [cell for value in values for cell in _alike(value)]
                conditions.append(_among(f'f."{path}"', cells))
                parameters += cells
        for path, (low, high) in query.ranges.items():
            if low is not None or high is not None:
                # Between two numbers there are no words.
                conditions.append(f'f."{path}" BETWEEN ? AND ?')
                parameters += [-math.inf if low is None else float(low), math.inf if high is None else float(high)]
        return " AND ".join(conditions) or "1", parameters

    def _total(self, connection: sqlite3.Connection, query: Query, where: str, parameters: list[Any]) -> int:
        limit = query.count_limit
        if limit == 0:
            return 0
        paths = {path for path, values in query.filters.items() if values}
        ranged = any(limits != (None, None) for limits in query.ranges.values())
        for number, group in enumerate(self.fields.counts):
            if not ranged and paths <= set(group):
                kept = f"SELECT coalesce(sum(n), 0) FROM count_{self.collection}_{number} AS f WHERE {where}"
                total = int(connection.execute(kept, parameters).fetchone()[0])
                return total if limit is None else min(total, limit)
        counted = f"SELECT 1 FROM {self._table} AS f WHERE {where}"
        if limit is not None:
            counted += f" LIMIT {int(limit)}"
        return int(connection.execute(f"SELECT count(*) FROM ({counted})", parameters).fetchone()[0])

    def _items(self, connection: sqlite3.Connection, query: Query, where: str, parameters: list[Any]) -> list[Stored]:
        skip = (query.page - 1) * query.size
        if query.sort == SCORE:
            return self._page(connection, where, parameters, "f.id", query.size, skip)
        column = f'f."{query.sort}"'
        if query.descending:
            return self._page(connection, where, parameters, f"{column} DESC, f.id", query.size, skip)
        # What lacks the field comes last, though SQLite's indexes have it first.
        there = f"{where} AND {column} IS NOT NULL"
        items = self._page(connection, there, parameters, f"{column}, f.id", query.size, skip)
        if len(items) < query.size and query.ranges.get(query.sort, (None, None)) == (None, None):
            if skip and not items:
                before = f"SELECT count(*) FROM {self._table} AS f WHERE {there}"
                skip -= int(connection.execute(before, parameters).fetchone()[0])
            else:
                skip = 0
            lacking = f"{where} AND {column} IS NULL"
            items += self._page(connection, lacking, parameters, "f.id", query.size - len(items), max(0, skip))
        return items

    def _page(
        self, connection: sqlite3.Connection, where: str, parameters: list[Any], order: str, size: int, skip: int
    ) -> list[Stored]:
        # The rows are chosen before their bodies are looked up.
        chosen = f"SELECT f.row FROM {self._table} AS f WHERE {where} ORDER BY {order} LIMIT {size} OFFSET {skip}"
        rows = [row for (row,) in connection.execute(chosen, parameters)]
        body = "SELECT id, body, revision FROM document WHERE row = ?"
        found = [connection.execute(body, (row,)).fetchone() for row in rows]
        return [Stored(id, json.loads(text), revision) for id, text, revision in found]

    def _facet(self, connection: sqlite3.Connection, query: Query, path: str) -> dict[str, int]:
        where, parameters = self._where(query, leaving_out=path)
        if path in self.fields.several:
            inside = f"SELECT f.row FROM {self._table} AS f WHERE {where}"
            statement = (
                f"SELECT word, count(*) FROM field WHERE collection = ? AND path = ? AND row IN ({inside}) GROUP BY 1"
            )
            parameters = [self.collection, path, *parameters]
        else:
            statement = f'SELECT f."{path}", count(*) FROM {self._table} AS f WHERE {where} GROUP BY 1'
        counts: Counter[str] = Counter()
        for value, number in connection.execute(statement, parameters):
            if value is not None:
                counts[spelling(value)] += number
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return dict(ordered[:MAXIMUM_FACET_VALUES])


def _cell(path: str, value: Any) -> Cell:
    """A value as a column holds it; texts too long to be a value, and objects, are none."""
    if value is None:
        return None
    if isinstance(value, str):
        return value if len(value) <= MAXIMUM_VALUE else None
    if isinstance(value, bool):
        return spelling(value)
    if isinstance(value, int | float):
        return value if abs(value) <= LARGEST_INTEGER else float(value)
    if isinstance(value, list):
        raise DocumentInvalid(f"The field {path} is declared to have one value, and is given a list.")
    return None


def _same(one: Cell, other: Cell) -> bool:
    return one is other or (one == other and isinstance(one, str) == isinstance(other, str))


def _alike(value: str | int | float | bool) -> list[Cell]:
    """Everything in a column that is spelled like `value`: the number 3 and the text "3" are."""
    word = spelling(value)
    if isinstance(value, bool) or (isinstance(value, str) and not value[-1:].isdigit()):
        return [word]
    if isinstance(value, int | float):
        return [_cell("", value), word]
    try:
        number = float(word) if "." in word or "e" in word else int(word)
    except ValueError:
        return [word]
    return [_cell("", number), word] if math.isfinite(number) and spelling(number) == word else [word]


def _among(column: str, values: Sequence[Any]) -> str:
    return f"{column} = ?" if len(values) == 1 else f"{column} IN ({', '.join('?' * len(values))})"
