"""Parting what hangs together over more than a window, as `worker.heads.intensity_cells.part_at_necks` does.

Distances to the outline are told square by square, seeing as far beyond as they are long. Every pixel's way uphill is
followed to the border of its square, and from border to border when all squares are known. The basins are merged in
memory, for they are few beside the pixels. What a cell encloses is looked at in the cell's box.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from worker.heads.basins import Pairs, ends, highest_first, inside_graph, saddles_between, uphill
from worker.heads.intensity_cells import NECK_SMOOTHING, merged_at_necks, smooth_distance
from worker.stream.components import Window, squares, widened
from worker.stream.numbering import Numbered, gathered
from worker.stream.planes import Stored, bands
from worker.stream.regions import Regions
from worker.stream.scratch import Scratch, rectangle
from worker.stream.statistics import NotStreamable

OUTSIDE, INSIDE, ENCLOSED = 0, 1, 2
# What distances, and looking for holes, take for each pixel.
BYTES_PER_PIXEL = 80
FIRST_MARGIN = 16


def part_giants(state: np.memmap, regions: Regions, splitting: float, scratch: Scratch) -> None:
    """Part all that is INSIDE in `state` (y, x) uint8 and has no label in `regions` yet, and give to each cell what it
    encloses; raises `NotStreamable` when a cell is too large for the memory.
    """
    giants = Giants(state, regions, scratch)
    giants.measure()
    exits, beyond = giants.climb()
    summits, peaks = giants.number(exits, beyond)
    groups = merged_at_necks(giants.saddles(summits.size), peaks.tolist(), splitting)
    giants.label(groups)
    scratch.drop(giants.heights)
    scratch.drop(giants.basins)


class Giants:
    """The parting step by step. `heights` (y, x) float32 in a file are smoothed distances to the outline; `basins`
    (y, x) int64 the summit of each pixel's way, by its index in scan order, then its number; both from 1, 0 for none.
    """

    def __init__(self, state: np.memmap, regions: Regions, scratch: Scratch) -> None:
        self.state, self.regions, self.scratch = state, regions, scratch
        self.shape = state.shape[0], state.shape[1]
        self.heights = scratch.array("heights", self.shape, np.float32)
        self.basins = scratch.array("basins", self.shape, np.int64)
        self.side = int(scratch.window_pixels**0.5)
        self.margin = FIRST_MARGIN
        self.farthest = max(FIRST_MARGIN, (int((scratch.memory // BYTES_PER_PIXEL) ** 0.5) - self.side) // 2)

    def measure(self) -> None:
        """Fill the heights."""
        for square in self._squares():
            if self._open(square).any():
                top, left, bottom, right = square
                self.heights[top:bottom, left:right] = self._distances(square)

    def climb(self) -> tuple[np.ndarray, np.ndarray]:
        """Follow each pixel's way to its summit or out of its square.

        Returns:
            the pixels (n,) on which ways leave squares, ascending, and the summits (n,) they lead to, int64 indices.
        """
        exits = [np.zeros(0, np.int64)]
        for square in self._squares():
            window = widened(square, 1, self.shape)
            inside = self._open(window)
            pixels, heights, neighbours = inside_graph(_part(self.heights, window), inside)
            y, x = np.divmod(pixels, inside.shape[1])
            y, x = y + window[0], x + window[1]
            own = (y >= square[0]) & (y < square[2]) & (x >= square[1]) & (x < square[3])
            # What lies beyond the square sees no further: ways end there.
            end = ends(np.where(own, uphill(heights, neighbours), np.arange(pixels.size, dtype=np.int32)))
            index = y * self.shape[1] + x
            top, left, bottom, right = square
            inner = inside[top - window[0] : bottom - window[0], left - window[1] : right - window[1]]
            summits = np.zeros(inner.shape, np.int64)
            summits[inner] = index[end[own]] + 1
            self.basins[top:bottom, left:right] = summits
            exits.append(np.unique(index[end[own & ~own[end]]]))
        left_at = np.unique(np.concatenate(exits))
        beyond = np.zeros(left_at.size, np.int64)
        for start, band in self._flat_bands():
            first, last = np.searchsorted(left_at, (start, start + band.size))
            beyond[first:last] = band[left_at[first:last] - start] - 1
        while left_at.size:
            further = _followed(beyond, left_at, beyond)
            if np.array_equal(further, beyond):
                break
            beyond = further
        return left_at, beyond

    def number(self, exits: np.ndarray, beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Number the basins in the scan order of their summits; the summits' indices and heights (n,)."""
        found, peaks = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for start, band in self._flat_bands():
            here = np.flatnonzero(band == np.arange(start + 1, start + 1 + band.size))
            found.append(here + start)
            peaks.append(self.heights.reshape(-1)[start : start + band.size][here])
        summits = np.concatenate(found)
        for _, band in self._flat_bands():
            inside = np.flatnonzero(band)
            ended = _followed(band[inside] - 1, exits, beyond)
            band[inside] = np.searchsorted(summits, ended) + 1
        return summits, np.concatenate(peaks)

    def saddles(self, count: int) -> Pairs:
        """Pairs of touching basins with the highest point on their common border, highest first."""
        keys, saddles = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for top, left, bottom, right in self._squares():
            window = top, left, min(bottom + 1, self.shape[0]), min(right + 1, self.shape[1])
            basins = np.array(_part(self.basins, window))
            _, heights, neighbours = inside_graph(_part(self.heights, window), basins > 0)
            one, other, saddle = saddles_between(basins[basins > 0] - 1, count, heights, neighbours)
            keys.append(one * count + other)
            saddles.append(saddle)
        return highest_first(np.concatenate(keys), np.concatenate(saddles), count)

    def label(self, groups: np.ndarray) -> None:
        """Paint the merged basins, numbered in the order of their summits, and what each encloses."""
        present, order = np.unique(groups, return_inverse=True)
        first = self.regions.extend(np.ones(present.size, np.int32))
        labels, flat = self.regions.labels, self.regions.labels.reshape(-1)
        for start, band in self._flat_bands():
            inside = np.flatnonzero(band)
            flat[start + inside] = order[band[inside] - 1] + first
        numbers = np.arange(self.regions.count + 1, dtype=np.int32)
        boxes = gathered(Numbered(labels, numbers, self.shape), self.regions.count, self.scratch).boxes
        for number in range(first, self.regions.count + 1):
            self._fill(labels, number, boxes[number - 1].tolist())

    def _fill(self, labels: np.ndarray, number: int, box: Window) -> None:
        top, left, bottom, right = box
        if (bottom - top) * (right - left) * BYTES_PER_PIXEL > self.scratch.memory:
            raise too_large(f"over {right - left} x {bottom - top} pixels")
        if (_part(self.state, box) == ENCLOSED).any():
            there = np.array(_part(labels, box))
            filled = ndimage.binary_fill_holes(there == number) & (there == 0)
            labels[top:bottom, left:right][filled] = number
            self.scratch.release()

    def _squares(self) -> Iterator[Window]:
        for square in squares(self.shape, self.side):
            yield square
            self.scratch.release()

    def _flat_bands(self) -> Iterator[tuple[int, np.ndarray]]:
        """The index of the first pixel, and the basins (pixel,) of each band, which can be written to."""
        for top, band in bands(Stored(self.basins[..., None]), self.scratch, 64):
            yield top * self.shape[1], band.reshape(-1)

    def _open(self, window: Window) -> np.ndarray:
        """(y, x) bool: what is to be parted."""
        return (_part(self.state, window) == INSIDE) & (_part(self.regions.labels, window) == 0)

    def _distances(self, square: Window) -> np.ndarray:
        """(y, x) float32, smoothed."""
        # Squares beside one another need about the same.
        self.margin = max(FIRST_MARGIN, self.margin // 2)
        near = widened(square, NECK_SMOOTHING, self.shape)
        while True:
            top, left, _, _ = window = widened(square, self.margin, self.shape)
            inside = _part(self.state, window) == INSIDE
            distance = ndimage.distance_transform_edt(inside)
            rows, columns = slice(near[0] - top, near[2] - top), slice(near[1] - left, near[3] - left)
            everything = inside.all() and window != (0, 0, *self.shape)
            if not everything and (distance[rows, columns] <= self._known(window)[rows, columns]).all():
                own = slice(square[0] - top, square[2] - top), slice(square[1] - left, square[3] - left)
                return smooth_distance(distance)[own]
            if self.margin == self.farthest:
                raise too_large(f"more than {self.margin} pixels from its outline to its middle")
            self.margin = min(2 * self.margin, self.farthest)

    def _known(self, window: Window) -> np.ndarray:
        """(y, x): up to which distance no outline beyond the window is nearer."""
        sides = []
        for axis in (0, 1):
            steps = np.arange(1.0, 1 + window[axis + 2] - window[axis])
            before = steps if window[axis] > 0 else np.full(steps.size, np.inf)
            sides.append(np.minimum(before, steps[::-1]) if window[axis + 2] < self.shape[axis] else before)
        return np.minimum.outer(*sides)


def _part(array: np.ndarray, window: Window) -> np.ndarray:
    return rectangle(array, (window[0], window[2]), (window[1], window[3]))


def _followed(pixels: np.ndarray, exits: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """`pixels` (n,), those that are among the `exits` replaced by what lies `beyond`."""
    if not exits.size:
        return pixels
    place = np.minimum(np.searchsorted(exits, pixels), exits.size - 1)
    return np.where(exits[place] == pixels, beyond[place], pixels)


def too_large(how: str) -> NotStreamable:
    return NotStreamable(
        f"There is a cell too large to be parted from others in the memory, {how}.",
        "Choose cells none, a smaller --roi, or raise ZOOSCOPE_STREAM_MEMORY_BYTES.",
    )
