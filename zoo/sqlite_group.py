"""Several writes to one declared collection, in as few statements as there are kinds of rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from zoo import sqlite_rows
from zoo.documents import DocumentExists, Stored, Write, conflict, missing
from zoo.errors import UserError
from zoo.sqlite_declared import DeclaredCollection


def are_alike(declared: DeclaredCollection, writes: Sequence[Write]) -> bool:
    """Whether `write_alike` can do them: several, of different documents, with nothing to be looked up for them."""
    if len(writes) < 2 or type(declared) is not DeclaredCollection:
        return False
    known = all(one.revision is None or one.before is not None for one in writes)
    return known and len({one.id for one in writes}) == len(writes)


def write_alike(
    connection: sqlite3.Connection,
    declared: DeclaredCollection,
    writes: Sequence[Write],
    texts: Sequence[str],
    new: Sequence[Stored],
) -> list[Stored | UserError]:
    """What became of each, within a transaction; `texts` are the bodies as they are kept, `new` the documents."""
    there = _there(connection, declared.collection, [one.id for one in writes])
    outcomes: list[Stored | UserError] = []
    created: list[tuple[Stored, str]] = []
    replaced: list[tuple[int, str, str]] = []
    for one, text, stored in zip(writes, texts, new, strict=True):
        row, revision = there.get(one.id, (0, None))
        outcomes.append(_refused(declared.collection, one, revision) or stored)
        if outcomes[-1] is not stored:
            continue
        if one.revision is None:
            created.append((stored, text))
        else:
            declared.update(connection, row, stored.body, one.before)
            replaced.append((row, text, stored.revision))
    _create(connection, declared, created)
    sqlite_rows.update(connection, "document", "row", ("body", "revision"), replaced)
    return outcomes


def _there(connection: sqlite3.Connection, collection: str, ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Row and revision of those of the ids that are there."""
    found = connection.execute(
        "SELECT id, row, revision FROM document WHERE collection = ? AND id IN (SELECT value FROM json_each(?))",
        (collection, json.dumps(ids)),
    )
    return {id: (row, revision) for id, row, revision in found.fetchall()}


def _refused(collection: str, write: Write, revision: str | None) -> UserError | None:
    """Why a write cannot be done to a document of this revision, None when there is none."""
    if write.revision is None:
        if revision is None:
            return None
        return DocumentExists(f"There is already a document {write.id!r} in {collection}.", "Choose another id.")
    if revision is None:
        return missing(collection, write.id)
    return None if revision == write.revision else conflict(collection, write.id)


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
