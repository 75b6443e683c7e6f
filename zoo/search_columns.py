"""The columns of a searched collection in memory: which document has which values, and its numbers, as arrays.

Counting the values of a facet among 100,000 documents takes SQLite a tenth of a second, and arrays a millisecond. They
are made of the packed values that SQLite keeps per document (`zoo/sqlite_searched.py`), and never change: a write
makes new ones, so that every search counts what it found.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zoo.documents import MAXIMUM_FACET_VALUES

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass
class Vocabulary:
    """The values of one facet, in the order they came up; only ever added to."""

    words: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, word: str) -> int:
        self.words.append(word)
        return self.numbers.setdefault(word, len(self.words) - 1)


@dataclass
class Terms:
    """What the codes in packed values mean: the number of a facet's path, and the value's number in its vocabulary."""

    paths: Sequence[str]
    path_of: list[int] = field(default_factory=list)
    number_of: list[int] = field(default_factory=list)
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)

    def add(self, code: int, path: str, word: str) -> None:
        """Codes come in order, without gaps but for those that no document has."""
        while len(self.path_of) < code:
            self.path_of.append(-1)
            self.number_of.append(-1)
        self.path_of.append(self.paths.index(path))
        self.number_of.append(self.vocabularies.setdefault(path, Vocabulary()).add(word))


@dataclass(frozen=True)
class Changed:
    """Documents that were written: their rows, whether they are still there, codes with the place of their document
    in `rows`, and numbers (document, column), NaN for none."""

    rows: Places
    there: Mask
    owners: Places
    codes: Places
    numbers: NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """`rows` are the documents' row numbers in ascending order; a document's place is its index there.

    `owners` and `values` of a path: which place has which value of its vocabulary. `numbers` is (place, column).
    """

    terms: Terms
    rows: Places
    numbers: NDArray[np.float64]
    owners: dict[str, Places]
    values: dict[str, Places]

    @classmethod
    def empty(cls, paths: Sequence[str], number_columns: int) -> Columns:
        nothing = {path: np.zeros(0, np.int64) for path in paths}
        return cls(Terms(paths), np.zeros(0, np.int64), np.zeros((0, number_columns)), nothing, nothing)

    def __len__(self) -> int:
        return len(self.rows)

    def with_changes(self, changed: Changed) -> Columns:
        """The columns after the documents in `changed` were written."""
        kept = ~np.isin(self.rows, changed.rows)
        rows = np.concatenate([self.rows[kept], changed.rows[changed.there]])
        order = np.argsort(rows, kind="stable")
        place = np.empty(len(rows), np.int64)
        place[order] = np.arange(len(rows))
        remaining = int(np.count_nonzero(kept))
        # Where a document of before is now, and a changed one.
        moved = np.full(len(self.rows), -1, np.int64)
        moved[kept] = place[:remaining]
        entered = np.full(len(changed.rows), -1, np.int64)
        entered[changed.there] = place[remaining:]
        numbers = np.concatenate([self.numbers[kept], changed.numbers[changed.there]])[order]
        path_of, number_of = np.array(self.terms.path_of, np.int64), np.array(self.terms.number_of, np.int64)
        owners, values = {}, {}
        for index, path in enumerate(self.terms.paths):
            before = kept[self.owners[path]]
            new = path_of[changed.codes] == index if len(path_of) else np.zeros(0, np.bool_)
            owners[path] = np.concatenate(
                [moved[self.owners[path][before]], entered[changed.owners[new]]], dtype=np.int64
            )
            values[path] = np.concatenate([self.values[path][before], number_of[changed.codes[new]]], dtype=np.int64)
        return Columns(self.terms, rows[order], numbers, owners, values)

    # What is found.

    def places(self, rows: Places) -> Places:
        """The places of row numbers; those that are not there are left out."""
        found = np.searchsorted(self.rows, rows)
        found[found == len(self.rows)] = 0
        return found[self.rows[found] == rows] if len(self.rows) else found[:0]

    def mask(self, rows: Places) -> Mask:
        """Which documents have one of the row numbers."""
        mask = np.zeros(len(self.rows), np.bool_)
        mask[self.places(rows)] = True
        return mask

    def having(self, path: str, words: Collection[str]) -> Mask:
        """Which documents have one of the values of a facet."""
        mask = np.zeros(len(self.rows), np.bool_)
        vocabulary = self.terms.vocabularies.get(path)
        known = [vocabulary.numbers[word] for word in words if word in vocabulary.numbers] if vocabulary else []
        if known:
            values = self.values[path]
            mask[self.owners[path][values == known[0] if len(known) == 1 else np.isin(values, known)]] = True
        return mask

    def within(self, column: int, low: float, high: float) -> Mask:
        numbers = self.numbers[:, column]
        return (numbers >= low) & (numbers <= high)

    def count(self, path: str, mask: Mask) -> dict[str, int]:
        """How many documents of the mask have each value; the most frequent first, ties in their order."""
        vocabulary = self.terms.vocabularies.get(path)
        if vocabulary is None:
            return {}
        owners, values = self.owners[path], self.values[path]
        counts = np.bincount(values[mask[owners]])
        used = np.flatnonzero(counts)
        if len(used) > MAXIMUM_FACET_VALUES:
            least = np.partition(counts[used], -MAXIMUM_FACET_VALUES)[-MAXIMUM_FACET_VALUES]
            used = used[counts[used] >= least]
        found = sorted((-int(counts[number]), vocabulary.words[number]) for number in used.tolist())
        return {word: -count for count, word in found[:MAXIMUM_FACET_VALUES]}


def first(hits: Places, keys: NDArray[np.float64], ranks: Places, skip: int, size: int) -> Places:
    """The places in `hits` of a page: by `keys`, which are theirs, the least first and NaN last, ties by `ranks`.

    `ranks` are of every place. Takes time for each hit once, however they are ordered.
    """
    wanted = skip + size
    if len(hits) > 2 * wanted:
        last = np.partition(keys, wanted - 1)[wanted - 1]
        better = ~np.isnan(keys) if np.isnan(last) else keys < last
        tied = np.flatnonzero(np.isnan(keys) if np.isnan(last) else keys == last)
        needed = wanted - int(np.count_nonzero(better))
        if len(tied) > needed:
            tied = tied[np.argpartition(ranks[hits[tied]], needed - 1)[:needed]]
        chosen = np.concatenate([np.flatnonzero(better), tied])
        hits, keys = hits[chosen], keys[chosen]
    return hits[np.lexsort((ranks[hits], keys))][skip:wanted]
