"""A `Query` as SQL over the tables of `zoo/documents_sqlite.py`. Everything a user typed goes in as a parameter."""

# The only text put into statements is table names made from checked collection names and fixed fragments of this file.
# ruff: noqa: S608

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from zoo.document_fields import spelling, words_of_text
from zoo.documents import MAXIMUM_FACET_VALUES, SCORE, Page, Query, Stored
from zoo.sqlite_words import match_of, text_table

# A word in what names a document counts this many times as much as one in the rest.
TITLE_WEIGHT = 5.0


def run_query(connection: sqlite3.Connection, collection: str, query: Query) -> Page:
    """One page of a query on a collection that has documents. The caller holds a transaction and checked the query."""
    if query.text.strip() and not words_of_text(query.text):
        # Nothing but punctuation is not the same as no text at all: it is in no document.
        return Page([], 0, {path: {} for path in query.facets})
    match = match_of(connection, text_table(collection), words_of_text(query.text))
    matching = _matching(collection, query, match)
    total = _total(connection, matching, query.count_limit)
    order = _order(query)
    columns = "SELECT document.id, document.body, document.revision"
    sql, parameters = matching.statement(columns, order)
    rows = connection.execute(
        f"{sql} LIMIT :size OFFSET :offset", parameters | {"size": query.size, "offset": (query.page - 1) * query.size}
    )
    items = [Stored(id, json.loads(body), revision) for id, body, revision in rows]
    facets = {path: _facet(connection, collection, query, match, path) for path in query.facets}
    return Page(items, total, facets)


def _total(connection: sqlite3.Connection, matching: _Part, limit: int | None) -> int:
    if limit is None:
        statement = matching.statement("SELECT count(*)")
    else:
        sql, parameters = matching.statement("SELECT 1", f"LIMIT {int(limit)}")
        head, _, rest = sql.partition(" SELECT 1 ")
        statement = f"{head} SELECT count(*) FROM (SELECT 1 {rest})", parameters
    return int(connection.execute(*statement).fetchone()[0])


@dataclass
class _Part:
    """A piece of a statement, with the parameters it brings."""

    with_: str = ""
    from_: str = "FROM document"
    where: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def statement(self, columns: str, order: str = "") -> tuple[str, dict[str, Any]]:
        return f"{self.with_} {columns} {self.from_} WHERE {' AND '.join(self.where)} {order}", self.parameters


def _matching(collection: str, query: Query, match: str, leaving_out: str | None = None) -> _Part:
    """The documents the query finds, without the filter on the field `leaving_out`; `match` stands for its text."""
    part = _Part()
    part.where.append(f"document.collection = {part.bind(collection)}")
    part.parameters["sort"] = query.sort
    if match:
        table = text_table(collection)
        part.with_ = (
            f"WITH found AS MATERIALIZED (SELECT rowid AS row, bm25({table}, {TITLE_WEIGHT}, 1.0) AS score "
            f"FROM {table} WHERE {table} MATCH {part.bind(match)})"
        )
        part.from_ = "FROM found JOIN document ON document.row = found.row"
    for path, values in query.filters.items():
        if values and path != leaving_out:
            allowed = ", ".join(part.bind(spelling(value)) for value in values)
            part.where.append(
                f"document.row IN (SELECT row FROM field WHERE collection = {part.bind(collection)} "
                f"AND path = {part.bind(path)} AND word IN ({allowed}))"
            )
    for path, (low, high) in query.ranges.items():
        limits = [] if low is None else [f"number >= {part.bind(float(low))}"]
        limits += [] if high is None else [f"number <= {part.bind(float(high))}"]
        if limits:
            part.where.append(
                f"EXISTS (SELECT 1 FROM field WHERE row = document.row AND path = {part.bind(path)} "
                f"AND {' AND '.join(limits)})"
            )
    return part


def _order(query: Query) -> str:
    """The ORDER BY of a query: what lacks the field comes last, ties by id."""
    if query.sort == SCORE:
        # bm25 is the smaller the better.
        score = f"found.score {'ASC' if query.descending else 'DESC'}, " if words_of_text(query.text) else ""
        return f"ORDER BY {score}document.id"
    chosen = "max" if query.descending else "min"
    of_field = "FROM field WHERE row = document.row AND path = :sort"
    number = f"(SELECT {chosen}(number) {of_field})"
    word = f"(SELECT {chosen}(word) {of_field} AND number IS NULL)"
    if query.descending:
        return f"ORDER BY {word} DESC NULLS LAST, {number} DESC NULLS LAST, document.id"
    # Numbers come before words, so a document's words only matter when it has no number.
    return f"ORDER BY {number} ASC NULLS LAST, {word} ASC NULLS LAST, document.id"


def _facet(connection: sqlite3.Connection, collection: str, query: Query, match: str, path: str) -> dict[str, int]:
    matching = _matching(collection, query, match, leaving_out=path)
    inner, parameters = matching.statement("SELECT document.row")
    rows = connection.execute(
        f"SELECT word, count(*) AS documents FROM field WHERE collection = :facet_collection AND path = :facet_path "
        f"AND row IN ({inner}) GROUP BY word ORDER BY documents DESC, word LIMIT {MAXIMUM_FACET_VALUES}",
        parameters | {"facet_collection": collection, "facet_path": path},
    )
    return dict(rows.fetchall())
