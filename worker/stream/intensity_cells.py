"""Cells by brightness in images larger than memory, as `worker.heads.intensity_cells` finds them.

The levels are measured on the whole plane, in passes over what its smoothing left in a file. What is background outside
of all cells, what is enclosed and what is a pinhole is told by the pieces of the background. Pieces of the rest, their
holes filled, do not depend on one another: each is parted in a window that holds all of it, those too large for one by
`worker.stream.necks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from worker.heads.decode import Task, cell_options
from worker.heads.intensity_cells import (
    CORNER,
    NECK_REACH,
    bright,
    brightest_rank,
    fill_holes,
    histogram,
    levels_of,
    part_at_necks,
    pinhole_area,
    rise,
    smoothed,
    smoothing_reach,
)
from worker.stream.components import (
    Pieces,
    Window,
    find_pieces,
    pieces_and_owners,
    pieces_of,
    squares,
    widened,
    windows,
)
from worker.stream.necks import ENCLOSED, INSIDE, OUTSIDE, part_giants
from worker.stream.planes import Plane, Stored, bands
from worker.stream.regions import Regions
from worker.stream.scratch import Scratch, rectangle
from worker.stream.statistics import ranked
from zoo.pixel_scale import Scale

Tick = Callable[[float], None]
SMALLEST_SQUARE = 32
# What smoothing and levelling hold for each pixel, beside the maps.
BYTES_PER_PIXEL = 40


@dataclass(frozen=True)
class Cells:
    """Labels (y, x) int32 in a file, 1 to `count` as they were found; `scores` (y, x, 1) float32, how far each pixel
    rises from the background's to the cells' level."""

    labels: np.ndarray
    count: int
    scores: Plane


class CellFinder:
    """The cells in `maps` (y, x, map) on the image's pixels."""

    def __init__(self, maps: Plane, head: Mapping[str, Any], settings: Mapping[str, Any], scratch: Scratch) -> None:
        self.maps, self.scratch, self.channel = maps, scratch, int(head["cells"])
        self.shape = maps.shape[0], maps.shape[1]
        nothing = np.zeros((0, 0, 0), np.float32)
        self.options = cell_options(Task(nothing, head, settings, Scale(), self.shape))

    def find(self, tick: Tick = lambda share: None) -> Cells:
        """All cells; raises `NotStreamable` when one is too large for the memory."""
        regions = Regions(self.shape, self.scratch)
        scores, levels = self._smoothed()
        tick(0.3)
        low, high = self._levels(Stored(levels))
        tick(0.4)
        if not high > low:
            self.scratch.drop(scores)
            self.scratch.drop(levels)
            return Cells(regions.labels, 0, Stored(self.scratch.array("no scores", (*self.shape, 1), np.float32)))
        state = self._bright(scores, levels, low, high)
        self.scratch.drop(levels)
        tick(0.5)
        self._tell_holes(state)
        tick(0.6)
        pieces = find_pieces(((top, band > 0) for top, band in self._bands(state)), self.shape[1])
        tick(0.7)
        done = 0
        for group, window in windows(pieces, self.scratch.window_pixels):
            self._part(state, regions, pieces[group], window)
            self.scratch.release()
            done += len(group)
            tick(0.7 + 0.3 * done / len(pieces))
        if done < len(pieces):
            part_giants(state, regions, self.options["splitting"], self.scratch)
        tick(1)
        self.scratch.drop(state)
        return Cells(regions.labels, regions.count, Stored(scores))

    def _squares(self, margin: int, bytes_per_pixel: int) -> Iterator[tuple[Window, Window, tuple[slice, slice]]]:
        """Squares, windows that see `margin` more, and where the square lies in its window."""
        side = max(SMALLEST_SQUARE, int((self.scratch.memory // 4 // bytes_per_pixel) ** 0.5) - 2 * margin)
        for square in squares(self.shape, side):
            window = widened(square, margin, self.shape)
            top, left, bottom, right = square
            inner = slice(top - window[0], bottom - window[0]), slice(left - window[1], right - window[1])
            yield square, window, inner
            self.scratch.release()

    def _smoothed(self) -> tuple[np.memmap, np.memmap]:
        """(y, x, 1) float32 in files: smoothed, and with spots levelled."""
        smooth, levels = (self.scratch.array(name, (*self.shape, 1), np.float32) for name in ("rise", "levelled"))
        smoothing, spot_sigma = self.options["smoothing"], self.options["spot_sigma"]
        margin = smoothing_reach(smoothing, spot_sigma)
        for square, window, inner in self._squares(margin, 4 * self.maps.shape[2] + BYTES_PER_PIXEL):
            plane = self.maps.read((window[0], window[2]), (window[1], window[3]))[..., self.channel]
            place = slice(square[0], square[2]), slice(square[1], square[3]), 0
            smooth[place], levels[place] = (each[inner] for each in smoothed(plane, smoothing, spot_sigma))
        return smooth, levels

    def _levels(self, plane: Plane) -> tuple[float, float]:
        """`two_levels` of the whole."""
        rank = brightest_rank(plane.shape[0] * plane.shape[1])
        least = min(float(pixels.min()) for _, pixels in bands(plane, self.scratch))
        most = float(ranked(plane, self.scratch, [rank], together=True)[rank][0])
        if not most > least:
            return least, least
        counts = [histogram(pixels, least, most) for _, pixels in bands(plane, self.scratch, 32)]
        return levels_of(np.sum(counts, axis=0), least, most)

    def _bright(self, smooth: np.memmap, levels: np.memmap, low: float, high: float) -> np.memmap:
        """(y, x) uint8 in a file: INSIDE or 0. What was `smooth` becomes the scores."""
        state = self.scratch.array("cells inside", self.shape, np.uint8)
        for square, window, inner in self._squares(CORNER // 2, BYTES_PER_PIXEL):
            place = slice(square[0], square[2]), slice(square[1], square[3])
            scores = rise(smooth[place][..., 0], low, high)
            around = rectangle(levels, (window[0], window[2]), (window[1], window[3]))[..., 0]
            padded = np.zeros(around.shape, np.float32)
            padded[inner] = scores
            enough = bright(padded, around, self.options["level"], low, high, self.options["spot_sigma"])
            state[place], smooth[place] = enough[inner], scores[..., None]
        return state

    def _bands(self, state: np.memmap) -> Iterator[tuple[int, np.ndarray]]:
        for top, band in bands(Stored(state[..., None]), self.scratch, 32):
            yield top, band[..., 0]

    def _tell_holes(self, state: np.memmap) -> None:
        """Fill the pinholes, and mark what background is ENCLOSED."""
        height, width = self.shape
        background, owners = pieces_and_owners(((top, band == 0) for top, band in self._bands(state)), width)
        boxes = background.boxes
        at_edge = (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == (height, width)).any(axis=1)
        small = background.area < pinhole_area(self.options["smoothing"])
        kinds = np.where(at_edge, OUTSIDE, np.where(small, INSIDE, ENCLOSED)).astype(np.uint8)
        done = 0
        for top, band in self._bands(state):
            holes, count = ndimage.label(band == 0)
            told = np.concatenate([np.array([INSIDE], np.uint8), kinds[owners[done : done + count]]])
            state[top : top + len(band)] = told[holes]
            done += count

    def _part(self, state: np.memmap, regions: Regions, pieces: Pieces, window: Window) -> None:
        """Part the pieces, all of which lie in the window; others that show in it are left for theirs."""
        top, left, bottom, right = window = widened(window, NECK_REACH, self.shape)
        part = np.array(rectangle(state, (top, bottom), (left, right)))
        labels = part_at_necks(part == INSIDE, self.options["splitting"])
        local, count = ndimage.label(part > 0)
        # A piece is known by its first pixel; one that the window cuts has another there, or none.
        own = np.isin(pieces_of(local, count, top, left, pieces.width).first, pieces.first)
        labels[~np.concatenate([[False], own])[local]] = 0
        fill_holes(labels)
        regions.paint(window, labels, np.ones(int(labels.max(initial=0)), np.int32), labels > 0)
