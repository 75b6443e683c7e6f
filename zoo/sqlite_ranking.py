"""Which documents have the words of a search, and how well: BM25 (Robertson and Zaragoza 2009) as far as it needs no
more than whether a word is in a document and in its title, and how long the document is.

SQLite's own `bm25` looks at every occurrence in everything found, which takes a quarter of a second for a word of
100,000 documents.
"""

# The name of the table is made from a checked collection name; words are parameters.
# ruff: noqa: S608

from __future__ import annotations

import math
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.document_fields import differences_allowed, misspellings
from zoo.search_columns import Columns, Mask, Places
from zoo.sqlite_words import MOST_MEANT, words_beginning

# Robertson's usual constants; a word in what names a document counts this many times as much as one in the rest.
K1, B = 1.2, 0.75
TITLE_WEIGHT = 5.0
# Words whose documents are remembered until any document's words change: two bits a document for each.
REMEMBERED_WORDS = 400


@dataclass(frozen=True)
class _Word:
    """Which documents have a word, have it in their title, and have it whole rather than as a beginning; packed."""

    anywhere: NDArray[np.uint8]
    in_title: NDArray[np.uint8]
    whole: NDArray[np.uint8] | None
    documents: int


@dataclass(frozen=True)
class FoundWords:
    words: list[_Word]
    columns: Columns

    def mask(self) -> Mask:
        """The documents that have all the words."""
        packed = self.words[0].anywhere
        for word in self.words[1:]:
            packed = packed & word.anywhere
        return _unpacked(packed, len(self.columns))

    def scores(self, hits: Places) -> NDArray[np.float64]:
        """How well each of the places fits, the more the better."""
        lengths = self.columns.numbers[:, -1]
        norm = K1 * (1 - B + B * lengths[hits] / max(float(lengths.mean()), 1.0))
        scores = np.zeros(len(hits))
        for word in self.words:
            times = 1.0 + TITLE_WEIGHT * _unpacked(word.in_title, len(self.columns))[hits]
            if word.whole is not None:
                times += _unpacked(word.whole, len(self.columns))[hits]
            rarity = math.log(1 + (len(self.columns) - word.documents + 0.5) / (word.documents + 0.5))
            scores += rarity * times * (K1 + 1) / (times + norm)
        return scores


class WordSets:
    """The documents of each word in the full-text table, as `columns` numbers them, remembered. Threads share it."""

    def __init__(self, table: str, columns: Columns) -> None:
        self._table = table
        self._columns = columns
        self._lock = threading.Lock()
        self._words: OrderedDict[tuple[str, bool], _Word] = OrderedDict()
        self._letters: dict[str, list[str]] = {}

    def find(self, connection: sqlite3.Connection, words: list[str]) -> FoundWords:
        found = [self._word(connection, word, False) for word in dict.fromkeys(words[:-1])]
        return FoundWords([*found, self._word(connection, words[-1], True)], self._columns)

    def _word(self, connection: sqlite3.Connection, word: str, beginning: bool) -> _Word:
        with self._lock:
            known = self._words.get((word, beginning))
            if known is not None:
                self._words.move_to_end((word, beginning))
                return known
        match = f'"{word}"{" *" if beginning else ""}'
        found = self._read(connection, match, f'"{word}"' if beginning else None)
        if not found.documents and differences_allowed(word):
            meant = misspellings(word, self._beginning(connection, word[:1]), MOST_MEANT)
            if meant:
                found = self._read(connection, " OR ".join(f'"{other}"' for other in meant), None)
        with self._lock:
            self._words[word, beginning] = found
            while len(self._words) > REMEMBERED_WORDS:
                self._words.popitem(last=False)
        return found

    def _read(self, connection: sqlite3.Connection, match: str, whole: str | None) -> _Word:
        anywhere = self._mask(connection, f"words : ({match})")
        documents = int(np.count_nonzero(anywhere))
        in_title = self._mask(connection, f"title : ({match})") if documents else anywhere
        is_whole = np.packbits(self._mask(connection, f"words : ({whole})")) if whole and documents else None
        return _Word(np.packbits(anywhere), np.packbits(in_title), is_whole, documents)

    def _mask(self, connection: sqlite3.Connection, match: str) -> Mask:
        statement = f"SELECT group_concat(rowid) FROM {self._table} WHERE {self._table} MATCH ?"
        text = connection.execute(statement, (match,)).fetchone()[0]
        return self._columns.mask(np.fromstring(text, np.int64, sep=",") if text else np.zeros(0, np.int64))

    def _beginning(self, connection: sqlite3.Connection, letter: str) -> list[str]:
        with self._lock:
            known = self._letters.get(letter)
        if known is None:
            known = words_beginning(connection, self._table, letter)
            with self._lock:
                self._letters[letter] = known
        return known


def _unpacked(packed: NDArray[np.uint8], count: int) -> Mask:
    return np.unpackbits(packed, count=count).view(np.bool_)
