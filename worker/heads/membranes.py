"""Cells between membranes: a membrane map, with or without seeds, becomes labelled cells that it parts.

What is not membrane is flooded from the summits of its smoothed complement, as in CDeep3M's post-processing by an
h-minima watershed: a gap in a membrane parts two cells where the map between them rises by `seed_height` or more
(Najman & Schmitt 1996). With a map of seeds, every piece of it is one cell and the highest saddles are crossed first,
which is the seeded watershed (Meyer 1994).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import label

from worker.heads.basins import Pairs, climb, inside_graph, merge_shallow, merged, saddles_between
from worker.heads.labels import drop_small

SEED_THRESHOLD = 0.5
# Lifts the pixels of seeds above every other summit.
ABOVE_ALL = 2.0
# Where the map is flat, what is nearer to a seed is flooded first.
FALL_PER_PX = 1e-5


def decode_cells(
    membrane: np.ndarray,
    *,
    threshold: float = 0.5,
    seed_height: float = 0.15,
    smoothing: float = 2.0,
    minimum_area: int = 0,
    seeds: np.ndarray | None = None,
) -> np.ndarray:
    """Label the cells of one plane.

    Args:
        membrane: (y, x) float32 in 0..1, the probability of membrane.
        threshold: pixels with at least this probability are membrane, and of no cell.
        seed_height: how far the smoothed probability must rise between two cells for them to be two; without `seeds`.
        smoothing: sigma in pixels of the Gaussian laid over the map, which closes gaps narrower than about its double.
        minimum_area: cells of fewer pixels are joined to the neighbour that they are least parted from, or dropped
            when membrane encloses them.
        seeds: (y, x) float32 in 0..1; every 4-connected piece of at least 0.5 that is not membrane is one cell, and
            what no seed reaches is dropped.

    Returns:
        (y, x) int32, 0 = membrane, cells 4-connected, none touching another's sides, numbered from 1 in scan order.
    """
    inside = membrane < threshold
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    open_space = 1 - membrane.astype(np.float32, copy=False)
    hills = ndimage.gaussian_filter(open_space, smoothing) if smoothing > 0 else open_space
    marks = None if seeds is None else label((seeds >= SEED_THRESHOLD) & inside, connectivity=1)
    if marks is not None:
        away = ndimage.distance_transform_edt(marks == 0).astype(np.float32) if marks.any() else 0
        hills = np.where(marks > 0, hills + ABOVE_ALL, hills - FALL_PER_PX * away)
    pixels, heights, neighbours = inside_graph(hills, inside)
    basins, summits = climb(heights, neighbours)
    if marks is None:
        groups = merge_shallow(basins, summits, heights, neighbours, seed_height)
    else:
        pairs = saddles_between(basins, summits.size, heights, neighbours)
        groups = _grown_from(marks.ravel()[pixels[summits]], pairs)
    reached = groups[basins] >= 0
    groups = _join_small(groups[basins], heights, neighbours, minimum_area)
    kept = reached & _parted(groups, heights, neighbours)
    cells = np.zeros(inside.shape, bool)
    cells.ravel()[pixels[kept]] = True
    return drop_small(label(cells, connectivity=1), minimum_area)


def _grown_from(marks: np.ndarray, pairs: Pairs) -> np.ndarray:
    """For each basin the one it belongs to when basins of different marks (0 = none) are never joined; -1: unmarked."""
    standing = marks.tolist()

    def join(one: int, other: int, saddle: float) -> tuple[int, int] | None:
        if standing[one] and standing[other]:
            return (one, other) if standing[one] == standing[other] else None
        return (one, other) if standing[other] else (other, one)

    roots = merged(pairs, marks.size, join)
    return np.where(marks[roots] > 0, roots, -1)


def _join_small(groups: np.ndarray, heights: np.ndarray, neighbours: list[np.ndarray], minimum_area: int) -> np.ndarray:
    """The group (0..n-1) of each pixel, those of less than `minimum_area` pixels joined over their highest saddle."""
    roots, numbers = np.unique(groups, return_inverse=True)
    areas = np.bincount(numbers).tolist()

    def join(one: int, other: int, saddle: float) -> tuple[int, int] | None:
        if areas[one] >= minimum_area and areas[other] >= minimum_area:
            return None
        small, large = (one, other) if (areas[one], other) < (areas[other], one) else (other, one)
        areas[large] += areas[small]
        return small, large

    return merged(saddles_between(numbers, roots.size, heights, neighbours), roots.size, join)[numbers]


def _parted(groups: np.ndarray, heights: np.ndarray, neighbours: list[np.ndarray]) -> np.ndarray:
    """Which pixels stay when of every two side by side of different groups the lower becomes membrane."""
    kept = np.ones(groups.size, bool)
    for there in neighbours:
        # Of equal heights the later goes, so that one of the two stays.
        own = np.arange(groups.size, dtype=there.dtype)
        lower = (heights < heights[there]) | ((heights == heights[there]) & (own > there))
        kept &= ~((groups != groups[there]) & lower)
    return kept
