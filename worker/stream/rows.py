"""Texts that are made in one order and written in another: the rows of a table, the features of a GeoJSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np


class Rows:
    """A text for each of `count` numbers, kept in a file in the order in which they are put."""

    def __init__(self, path: Path, count: int) -> None:
        self._file = path.open("w+b")
        self._starts, self._lengths = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._end = 0

    def put(self, number: int, text: bytes) -> None:
        self._file.write(text)
        self._starts[number], self._lengths[number] = self._end, len(text)
        self._end += len(text)

    def write(self, path: Path, *, head: bytes, between: bytes, tail: bytes) -> None:
        """All texts in the order of their numbers, with `between` between them; the scratch file is closed."""
        with self._file, path.open("wb") as out:
            out.write(head)
            at = -1
            for number, (start, length) in enumerate(zip(self._starts.tolist(), self._lengths.tolist(), strict=True)):
                if start != at:
                    self._file.seek(start)
                out.write(between * (number > 0) + self._file.read(length))
                at = start + length
            out.write(tail)

    def close(self) -> None:
        self._file.close()
