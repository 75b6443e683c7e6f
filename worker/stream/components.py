"""The connected pieces of a foreground larger than memory, found band by band; and windows in which to work on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

Window = tuple[int, int, int, int]  # first row, first column, last row and column, both exclusive


@dataclass(frozen=True)
class Pieces:
    """Pieces or objects of a plane, in scan order of their first pixels.

    `boxes` (n, 4) int64: first row, first column, last row and column (exclusive); `first` (n,) int64: the index of
    the first pixel in scan order, in a plane of `width` columns; `area` (n,) int64 in pixels.
    """

    boxes: np.ndarray
    first: np.ndarray
    area: np.ndarray
    width: int

    @staticmethod
    def none(width: int) -> Pieces:
        nothing = np.zeros(0, np.int64)
        return Pieces(nothing.reshape(0, 4), nothing, nothing, width)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: np.ndarray) -> Pieces:
        return Pieces(self.boxes[chosen], self.first[chosen], self.area[chosen], self.width)


def pieces_of(labels: np.ndarray, count: int, top: int, left: int, width: int) -> Pieces:
    """Boxes, first pixels and areas of labels 1..count, all present, of the part of a plane that begins at `top` and
    `left`; in the order of the labels.
    """
    found = ndimage.find_objects(labels)[:count]
    boxes = np.array([(y.start, x.start, y.stop, x.stop) for y, x in found], np.int64).reshape(-1, 4)
    inside = np.flatnonzero(labels)
    owners = labels.ravel()[inside]
    first = np.zeros(count + 1, np.int64)
    # Assigned backwards, the last index to be written for a label is its first in scan order.
    first[owners[::-1]] = inside[::-1]
    y, x = np.divmod(first[1:], labels.shape[1])
    area = np.bincount(owners, minlength=count + 1)[1:]
    return Pieces(boxes + np.array([top, left, top, left]), (y + top) * width + x + left, area, width)


def find_pieces(bands: Iterable[tuple[int, np.ndarray]], width: int) -> Pieces:
    """The 4-connected pieces of a foreground given from top to bottom as (first row, (y, x) bool of full width)."""
    return pieces_and_owners(bands, width)[0]


def pieces_and_owners(bands: Iterable[tuple[int, np.ndarray]], width: int) -> tuple[Pieces, np.ndarray]:
    """As `find_pieces`; and the index of the piece (n,) that each label belongs to: those that `scipy.ndimage.label`
    gives to the first band, then those of the second, and so on.
    """
    parts, pairs, count = [], [np.zeros((2, 0), np.int64)], 0
    above: np.ndarray | None = None
    for top, inside in bands:
        labels, found = ndimage.label(inside)
        parts.append(pieces_of(labels, found, top, 0, width))
        if above is not None:
            met = (above > 0) & (labels[0] > 0)
            pairs.append(np.stack([above[met], labels[0][met].astype(np.int64) + count]) - 1)
        above = np.where(labels[-1] > 0, labels[-1].astype(np.int64) + count, 0)
        count += found
    return _joined(parts, np.unique(np.concatenate(pairs, axis=1), axis=1), count, width)


def _joined(parts: list[Pieces], pairs: np.ndarray, count: int, width: int) -> tuple[Pieces, np.ndarray]:
    """The parts as one, those that `pairs` names joined; and the index of the piece that each has become."""
    none = np.zeros(0, np.int64)
    boxes = np.concatenate([none.reshape(0, 4), *(part.boxes for part in parts)])
    first, area = (np.concatenate([none, *(getattr(part, name) for part in parts)]) for name in ("first", "area"))
    if not count:
        return Pieces(boxes, first, area, width), none
    graph = sparse.coo_array((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])), shape=(count, count))
    number, owner = csgraph.connected_components(graph, directed=False)
    whole = np.empty((number, 4), np.int64)
    whole[:, :2], whole[:, 2:] = np.iinfo(np.int64).max, 0
    np.minimum.at(whole[:, :2], owner, boxes[:, :2])
    np.maximum.at(whole[:, 2:], owner, boxes[:, 2:])
    earliest = np.full(number, np.iinfo(np.int64).max)
    np.minimum.at(earliest, owner, first)
    order = np.argsort(earliest)
    areas = np.bincount(owner, area, minlength=number).astype(np.int64)
    place = np.empty(number, np.int64)
    place[order] = np.arange(number)
    return Pieces(whole, earliest, areas, width)[order], place[owner]


def side_of(window_pixels: int) -> int:
    """The side of the squares into which work is cut so that a square with half as much again stays a window."""
    return max(8, int(window_pixels**0.5 / 1.5))


def fits(pieces: Pieces, window_pixels: int) -> np.ndarray:
    """(n,) bool: whether a piece can be worked on in one window."""
    height, width = (pieces.boxes[:, 2:] - pieces.boxes[:, :2]).T
    return height * width <= window_pixels


def windows(pieces: Pieces, window_pixels: int, *, every: bool = False) -> Iterator[tuple[np.ndarray, Window]]:
    """Windows of at most `window_pixels` and the indices of the pieces that lie in them whole: small ones together by
    squares, larger ones each by itself; those that do not fit are left out unless it is to be `every` one. By rows of
    squares.
    """
    side = side_of(window_pixels)
    height, width = (pieces.boxes[:, 2:] - pieces.boxes[:, :2]).T
    small = (height <= side // 2) & (width <= side // 2)
    rows, columns = pieces.boxes[:, 0] // side, pieces.boxes[:, 1] // side
    fitting = np.flatnonzero(fits(pieces, window_pixels) | every)
    order = fitting[np.lexsort((~small[fitting], columns[fitting], rows[fitting]))]
    keys = np.stack([rows[order], columns[order], np.where(small[order], -1, order)])
    starts = np.flatnonzero(np.r_[True, (np.diff(keys, axis=1) != 0).any(axis=0)]) if order.size else np.zeros(0, int)
    for group in np.split(order, starts[1:]):
        if group.size:
            boxes = pieces.boxes[group]
            top, left = boxes[:, :2].min(axis=0).tolist()
            bottom, right = boxes[:, 2:].max(axis=0).tolist()
            yield group, (top, left, bottom, right)


def squares(shape: tuple[int, int], side: int) -> Iterator[Window]:
    """The plane of `shape` (y, x) cut into squares of `side`, in scan order."""
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            yield top, left, min(shape[0], top + side), min(shape[1], left + side)


def widened(window: Window, margin: int, shape: tuple[int, int]) -> Window:
    """The window with `margin` more on every side, inside a plane of `shape`."""
    top, left, bottom, right = window
    return max(0, top - margin), max(0, left - margin), min(shape[0], bottom + margin), min(shape[1], right + margin)
