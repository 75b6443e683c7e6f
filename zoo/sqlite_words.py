"""Words in a full-text table of SQLite: which documents have them, and what a misspelt one may stand for."""

# Table names are made from checked collection names; words are of letters and digits alone, and parameters besides.
# ruff: noqa: S608

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from zoo.document_fields import differences_allowed, misspellings

MOST_MEANT = 50


def text_table(collection: str) -> str:
    return f"words_{collection}"


def occurs(connection: sqlite3.Connection, table: str, match: str) -> bool:
    """Whether any document fits the expression."""
    return connection.execute(f"SELECT 1 FROM {table} WHERE {table} MATCH ? LIMIT 1", (match,)).fetchone() is not None


def meant(connection: sqlite3.Connection, table: str, word: str) -> list[str]:
    """The words in the table that `word`, which is not there, may be a misspelling of; the nearest first."""
    if not differences_allowed(word):
        return []
    return misspellings(word, words_beginning(connection, table, word[:1]), MOST_MEANT)


def words_beginning(connection: sqlite3.Connection, table: str, letter: str) -> list[str]:
    """Every word in the table that begins with a letter."""
    connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.all_{table} USING fts5vocab('main', '{table}', 'row')")
    after = letter[:-1] + chr(ord(letter[-1]) + 1)
    found = connection.execute(f"SELECT term FROM temp.all_{table} WHERE term >= ? AND term < ?", (letter, after))
    return [word for (word,) in found]


def match_of(connection: sqlite3.Connection, table: str, words: Sequence[str]) -> str:
    """The expression for documents with all words, the last as a beginning; words that occur nowhere are taken for
    those they may be misspellings of. Empty without words."""
    parts = []
    for number, word in enumerate(words):
        beginning = number == len(words) - 1
        exact = f'"{word}"{" *" if beginning else ""}'
        others = [] if occurs(connection, table, exact) else meant(connection, table, word)
        parts.append(f"({' OR '.join(map(quoted, others))})" if others else exact)
    return " AND ".join(parts)


def quoted(word: str) -> str:
    return f'"{word}"'
