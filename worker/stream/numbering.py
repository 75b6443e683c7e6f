"""The final labels on the image's pixels: small objects dropped, the rest numbered from 1 in scan order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from worker.rescale import nearest
from worker.stream.components import Pieces
from worker.stream.scratch import Scratch, rectangle


@dataclass(frozen=True)
class Numbered:
    """Labels (y, x) of an image of `shape`, looked up in those that the windows gave, perhaps on another grid."""

    found: np.ndarray
    numbers: np.ndarray
    shape: tuple[int, int]

    def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
        """The rectangle of rows `y` and columns `x`, int32."""
        if self.found.shape == self.shape:
            return self.numbers[rectangle(self.found, y, x)]
        rows, columns = (
            nearest(have, side, span) for have, side, span in zip(self.found.shape, self.shape, (y, x), strict=True)
        )
        part = rectangle(self.found, (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1))
        return self.numbers[part[(rows - rows[0])[:, None], (columns - columns[0])[None, :]]]

    def at(self, y: np.ndarray, x: np.ndarray, scratch: Scratch) -> np.ndarray:
        """(n,) int32, the labels at these rows and columns (n,)."""
        found = np.zeros(len(y), np.int32)
        for top, band in self.bands(scratch):
            own = np.flatnonzero((y >= top) & (y < top + len(band)))
            found[own] = band[y[own] - top, x[own]]
        return found

    def bands(self, scratch: Scratch) -> Iterator[tuple[int, np.ndarray]]:
        """First row and labels of each band of full width."""
        height, width = self.shape
        step = scratch.rows(width, 64)
        for top in range(0, height, step):
            yield top, self.read((top, min(height, top + step)), (0, width))
            scratch.release()


def numbered(
    found: np.ndarray, count: int, shape: tuple[int, int], minimum_area: int, scratch: Scratch
) -> tuple[Numbered, Pieces, np.ndarray]:
    """The objects 1..count of `found`, those of fewer than `minimum_area` pixels of the image dropped.

    Returns:
        the labels, the objects in their order, and the numbers in `found`, from 1, of each.
    """
    raw = Numbered(found, np.arange(count + 1, dtype=np.int32), shape)
    objects = gathered(raw, count, scratch)
    kept = np.flatnonzero(objects.area >= max(1, minimum_area))
    kept = kept[np.argsort(objects.first[kept], kind="stable")]
    numbers = np.zeros(count + 1, np.int32)
    numbers[kept + 1] = np.arange(1, kept.size + 1)
    return Numbered(found, numbers, shape), objects[kept], kept + 1


def gathered(labels: Numbered, count: int, scratch: Scratch) -> Pieces:
    """Boxes, first pixels and areas of 1..count; an area of 0 for those without a pixel."""
    width = labels.shape[1]
    area = np.zeros(count + 1, np.int64)
    first = np.full(count + 1, -1, np.int64)
    last_row, left, right = np.zeros(count + 1, np.int64), np.full(count + 1, width), np.zeros(count + 1, np.int64)
    for top, band in labels.bands(scratch):
        inside = np.flatnonzero(band)
        owners = band.ravel()[inside]
        y, x = np.divmod(inside, width)
        np.add.at(area, owners, 1)
        new = first[owners] < 0
        # Assigned backwards, the last index to be written for a label is its first in scan order.
        first[owners[new][::-1]] = inside[new][::-1] + top * width
        last_row[owners] = y + top + 1
        np.minimum.at(left, owners, x)
        np.maximum.at(right, owners, x + 1)
    boxes = np.stack([first // width, left, last_row, right], axis=1)
    return Pieces(boxes[1:], first[1:], area[1:], width)
