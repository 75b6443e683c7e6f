"""Several new documents of one declared collection, in as few statements as there are kinds of rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from zoo import sqlite_rows
from zoo.documents import DocumentExists, Stored, Write
from zoo.errors import UserError
from zoo.sqlite_declared import DeclaredCollection


def are_new(declared: DeclaredCollection, writes: Sequence[Write]) -> bool:
    """Whether `create_all` can do them: several new documents of different ids."""
    if len(writes) < 2 or type(declared) is not DeclaredCollection:
        return False
    return all(one.revision is None for one in writes) and len({one.id for one in writes}) == len(writes)


def create_all(
    connection: sqlite3.Connection, declared: DeclaredCollection, texts: Sequence[str], new: Sequence[Stored]
) -> list[Stored | UserError]:
    """What became of each, within a transaction: the document, or DocumentExists; `texts` are the bodies as they are
    kept.
    """
    collection = declared.collection
    found = connection.execute(
        "SELECT id FROM document WHERE collection = ? AND id IN (SELECT value FROM json_each(?))",
        (collection, json.dumps([stored.id for stored in new])),
    )
    there = {id for (id,) in found.fetchall()}
    _create(connection, declared, [(one, text) for one, text in zip(new, texts, strict=True) if one.id not in there])
    return [
        DocumentExists(f"There is already a document {one.id!r} in {collection}.", "Choose another id.")
        if one.id in there
        else one
        for one in new
    ]


def _create(
    connection: sqlite3.Connection, declared: DeclaredCollection, created: Sequence[tuple[Stored, str]]
) -> None:
    if not created:
        return
    # The number after the largest one, as SQLite itself would give it.
    first = int(connection.execute("SELECT coalesce(max(row), 0) + 1 FROM document").fetchone()[0])
    numbered = list(enumerate(created, first))
    columns = ("row", "collection", "id", "body", "revision")
    rows = [(row, declared.collection, stored.id, text, stored.revision) for row, (stored, text) in numbered]
    sqlite_rows.insert(connection, "document", columns, rows)
    declared.insert_all(connection, [(row, stored.id, stored.body) for row, (stored, _) in numbered])
