"""Many rows in few statements of SQLite.

Python lets go of its interpreter lock several times in every statement, and a thread that has to get it back from
another one waits about as long as the statement takes: one statement for many rows is what makes a group quick.
"""

# Statements are made of checked names; every value is a parameter.
# ruff: noqa: S608

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

# Numbers of rows for which a statement is prepared, and kept prepared; besides all smaller ones.
SIZES = (64, 32, 16, 8)

Row = Sequence[Any]


def insert(connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert the rows, in order."""
    names = ", ".join(columns)
    for piece in _pieces(rows):
        marks = _marks(len(columns), len(piece))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES {marks}", _flat(piece))


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    first = 0
    for size in SIZES:
        while len(rows) - first >= size:
            yield rows[first : first + size]
            first += size
    if first < len(rows):
        yield rows[first:]


def _marks(columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)


def _flat(rows: Sequence[Row]) -> list[Any]:
    return [cell for row in rows for cell in row]
