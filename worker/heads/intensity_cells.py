"""Cells by brightness alone: what stands out of the background, holes filled, touching cells parted by their outline.

The threshold lies between the levels of background and cells that minimise the variance within both (Otsu 1979);
when the two are no further apart than noise alone would have them, there are no cells. Touching cells are parted at
their necks: a watershed of the distance to the outline whose basins are merged unless the neck is narrower than the
smaller cell by a given part (h-maxima relative to the maximum).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from worker.heads.basins import Pairs, climb, inside_graph, merged, saddles_between
from worker.heads.labels import drop_small

# Levels further apart than this many standard deviations within them are two levels; halves of a normal distribution
# are 2.7 apart, of an even one 3.5.
APART = 3.6
BINS = 512
# What is brighter than nearly everything says nothing of the cells.
BRIGHTEST = 99.5
# Half the window that removes a spot, in its sigmas.
SPOT_REACH = 2.0
CORNER = 7
# Where scipy's Gaussian ends, in sigmas.
TRUNCATE = 4.0
# How far the Gaussian reaches that is laid over the distances from the outline; and how far from a piece the outline
# bears on it: so near to another piece, distances are at most the diagonal of what the Gaussian reaches.
NECK_SMOOTHING = 4
NECK_REACH = NECK_SMOOTHING + 6


def cells_by_intensity(
    plane: np.ndarray,
    *,
    level: float = 0.5,
    splitting: float = 0.1,
    smoothing: float = 2.0,
    spot_sigma: float = 0.0,
    minimum_area: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Label the bright cells of one plane.

    Args:
        plane: (y, x) float32 in any units.
        level: where between the background (0) and the cells (1) their edge is.
        splitting: touching cells are two when the neck between them is narrower than the smaller by this part.
        smoothing: sigma in pixels of the Gaussian laid over the plane first.
        spot_sigma: spots up to this sigma are levelled to what is around them before; 0: none are.
        minimum_area: cells of fewer pixels are dropped.

    Returns:
        labels (y, x) int32, cells 4-connected, numbered from 1 in scan order, and scores (y, x) float32 in 0..1, how
        far a pixel rises from the background's to the cells' level.
    """
    smooth, level_of = smoothed(plane, smoothing, spot_sigma)
    low, high = two_levels(level_of)
    if not high > low:
        return np.zeros(plane.shape, np.int32), np.zeros(plane.shape, np.float32)
    scores = rise(smooth, low, high)
    inside = _without_pinholes(bright(scores, level_of, level, low, high, spot_sigma), pinhole_area(smoothing))
    labels = part_at_necks(inside, splitting)
    fill_holes(labels)
    return drop_small(labels, minimum_area), scores


def smoothed(plane: np.ndarray, smoothing: float, spot_sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """(y, x) float32 twice: the plane smoothed, and that with its spots levelled."""
    smooth = plane.astype(np.float32, copy=False)
    if smoothing > 0:
        smooth = ndimage.gaussian_filter(smooth, smoothing, mode="nearest")
    if not spot_sigma > 0:
        return smooth, smooth
    window = 2 * _levelling(smoothing, spot_sigma) + 1
    return smooth, ndimage.grey_opening(smooth, (window, window))


def smoothing_reach(smoothing: float, spot_sigma: float) -> int:
    """How far in pixels what `smoothed` gives depends on the plane around it."""
    gaussian = int(TRUNCATE * smoothing + 0.5) if smoothing > 0 else 0
    return gaussian + 2 * (_levelling(smoothing, spot_sigma) if spot_sigma > 0 else 0)


def _levelling(smoothing: float, spot_sigma: float) -> int:
    return math.ceil(SPOT_REACH * math.hypot(spot_sigma, smoothing))


def rise(smooth: np.ndarray, low: float, high: float) -> np.ndarray:
    """(y, x) float32 in 0..1: how far each pixel rises from the background's to the cells' level."""
    return np.clip((smooth - low) / (high - low), 0, 1)


def bright(
    scores: np.ndarray, level_of: np.ndarray, level: float, low: float, high: float, spot_sigma: float
) -> np.ndarray:
    """(y, x) bool: what is bright enough; it depends on `level_of` as far as CORNER // 2 pixels away."""
    enough = scores >= level
    if spot_sigma > 0:
        # Opening takes the corners of a cell, too, which lie near what it leaves.
        enough &= ndimage.maximum_filter(level_of, CORNER) >= low + level * (high - low)
    return enough


def pinhole_area(smoothing: float) -> float:
    """Holes of fewer pixels than this are none."""
    return math.pi * (2 * smoothing) ** 2


def _without_pinholes(inside: np.ndarray, area: float) -> np.ndarray:
    """(y, x) bool with 4-connected holes of fewer than `area` pixels filled."""
    holes, _ = ndimage.label(~inside)
    small = np.bincount(holes.ravel()) < area
    small[0] = False
    edge = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    small[edge] = False
    return inside | small[holes]


def fill_holes(labels: np.ndarray) -> None:
    """Give the background that one cell encloses to that cell, in place. What several enclose lies between them."""
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            filled = ndimage.binary_fill_holes(labels[box] == number)
            labels[box][filled & (labels[box] == 0)] = number


def two_levels(plane: np.ndarray) -> tuple[float, float]:
    """The mean of the background and that of what is brighter, by Otsu's threshold; twice the same if they are one."""
    rank = brightest_rank(plane.size)
    least, most = float(plane.min()), float(np.partition(plane.ravel(), rank)[rank])
    if not most > least:
        return least, least
    return levels_of(histogram(plane, least, most), least, most)


def brightest_rank(count: int) -> int:
    """Of how many values, of `count`, the brightest that says something of the cells is larger."""
    return int(BRIGHTEST / 100 * (count - 1))


def histogram(plane: np.ndarray, least: float, most: float) -> np.ndarray:
    """(BINS,) int64: how many values lie in each of equal steps from `least` to `most`; what is more is in the last."""
    return np.histogram(np.minimum(plane, np.float32(most)), BINS, (least, most))[0]


def levels_of(counts: np.ndarray, least: float, most: float) -> tuple[float, float]:
    """As `two_levels`, from a histogram."""
    edges = np.linspace(least, most, BINS + 1, dtype=np.float32)
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    sums = np.cumsum(counts * middles)
    with np.errstate(invalid="ignore"):
        mean_below = np.divide(sums, below, out=np.zeros(BINS), where=below > 0)
        mean_above = np.divide(sums[-1] - sums, above, out=np.zeros(BINS), where=above > 0)
    between = below * above * (mean_above - mean_below) ** 2.0
    # Between two levels without anything the threshold may be anywhere: the middle of the best.
    best = int(np.flatnonzero(between == between.max()).mean())
    low, high = mean_below[best], mean_above[best]
    levels = np.where(np.arange(BINS) <= best, low, high)
    within = np.sqrt((counts * (middles - levels) ** 2).sum() / counts.sum())
    return (float(low), float(high)) if high - low > APART * within else (float(low), float(low))


def part_at_necks(inside: np.ndarray, splitting: float) -> np.ndarray:
    """Label (y, x) bool; int32."""
    labels = np.zeros(inside.shape, np.int32)
    if not inside.any():
        return labels
    distance = smooth_distance(ndimage.distance_transform_edt(inside))
    pixels, heights, neighbours = inside_graph(distance, inside)
    basins, summits = climb(heights, neighbours)
    saddles = saddles_between(basins, summits.size, heights, neighbours)
    groups = merged_at_necks(saddles, heights[summits].tolist(), splitting)
    labels.ravel()[pixels] = groups[basins] + 1
    return labels


def smooth_distance(distance: np.ndarray) -> np.ndarray:
    """(y, x) float32: what is parted, from the distance to the outline; it depends on NECK_SMOOTHING pixels around."""
    return ndimage.gaussian_filter(distance.astype(np.float32), 1)


def merged_at_necks(saddles: Pairs, peaks: list[float], splitting: float) -> np.ndarray:
    """For each basin, whose summit is as high as `peaks` tells, the one it belongs to, int32."""

    def join(one: int, other: int, saddle: float) -> tuple[int, int] | None:
        low, high = (one, other) if (peaks[one], -one) < (peaks[other], -other) else (other, one)
        return (low, high) if peaks[low] - saddle <= splitting * peaks[low] else None

    return merged(saddles, len(peaks), join)
