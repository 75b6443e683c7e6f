"""Watershed instances: a foreground map and a normalised distance map become labelled objects.

Seeds are the h-maxima of the distance map (Vincent 1993), so that a shallow dimple does not split an object; the
inverted distance is flooded from them inside the foreground (Beucher & Meyer 1993).

Instead of reconstructing the h-maxima and flooding pixel by pixel, every pixel climbs to a summit, and the basins of
neighbouring summits are merged where the lower one rises less than h above their saddle: the persistence of a summit
is its dynamics (Najman & Schmitt 1996; Edelsbrunner et al. 2002), so the summits left are the h-maxima.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from worker.heads.labels import drop_small


def decode_instances(
    foreground: np.ndarray,
    distance: np.ndarray,
    *,
    threshold: float = 0.5,
    seed_height: float = 0.1,
    smoothing: float = 1.0,
    minimum_area: int = 0,
) -> np.ndarray:
    """Label the objects of one plane.

    Args:
        foreground: (y, x) float32 in 0..1, the probability of being inside an object.
        distance: (y, x) float32 in 0..1, the distance to the object's edge over its maximum in the object.
        threshold: pixels with at least this foreground belong to objects.
        seed_height: how far a hill of `distance` must rise above the saddle to the next to be an object.
        smoothing: sigma in pixels of the Gaussian laid over `distance` before seeds are sought.
        minimum_area: objects of fewer pixels are dropped.

    Returns:
        (y, x) int32, 0 = background, objects 4-connected, numbered from 1 in scan order without gaps.
    """
    inside = foreground >= threshold
    labels = np.zeros(inside.shape, np.int32)
    if not inside.any():
        return labels
    hills = ndimage.gaussian_filter(distance.astype(np.float32, copy=False), smoothing) if smoothing > 0 else distance
    pixels, heights, neighbours = _inside_graph(hills, inside)
    basins, summits = _basins(heights, neighbours)
    labels.ravel()[pixels] = _merge_shallow(basins, summits, heights, neighbours, seed_height)[basins] + 1
    return drop_small(labels, minimum_area)


def _inside_graph(hills: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Flat indices of the pixels inside, their heights, and for right, down, left and up the number of the
    neighbouring pixel among them (their own number where there is none).
    """
    pixels = np.flatnonzero(inside)
    own = np.arange(pixels.size, dtype=np.int32)
    numbers = np.full((inside.shape[0] + 2, inside.shape[1] + 2), -1, np.int32)
    numbers[1:-1, 1:-1][inside] = own
    width = inside.shape[1]
    framed = (pixels // width + 1) * (width + 2) + pixels % width + 1
    flat = numbers.ravel()
    neighbours = []
    for offset in (1, width + 2, -1, -width - 2):
        there = flat[framed + offset]
        neighbours.append(np.where(there < 0, own, there))
    return pixels, hills.ravel()[pixels], neighbours


def _basins(heights: np.ndarray, neighbours: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The basin (0..n-1) of each pixel by steepest ascent, and the pixel that is each basin's summit."""
    target = np.arange(heights.size, dtype=np.int32)
    best = heights.copy()
    for there in neighbours:
        height = heights[there]
        # Equal heights are ordered by position, so that a plateau has a summit and no pixel climbs in circles.
        higher = (height > best) | ((height == best) & (there > target))
        target = np.where(higher, there, target)
        best = np.where(higher, height, best)
    while True:
        further = target[target]
        if np.array_equal(further, target):
            break
        target = further
    is_summit = np.zeros(heights.size, bool)
    is_summit[target] = True
    summits = np.flatnonzero(is_summit)
    numbers = np.cumsum(is_summit, dtype=np.int32) - 1
    return numbers[target], summits


def _merge_shallow(
    basins: np.ndarray, summits: np.ndarray, heights: np.ndarray, neighbours: list[np.ndarray], seed_height: float
) -> np.ndarray:
    """For each basin the basin it belongs to after merging, highest saddles first, those that rise too little."""
    first, second, saddles = _saddles(basins, summits.size, heights, neighbours)
    peaks = heights[summits].tolist()
    parents = list(range(summits.size))

    def root(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = parents[parents[basin]]
            basin = parents[basin]
        return basin

    for one, other, saddle in zip(first.tolist(), second.tolist(), saddles.tolist(), strict=True):
        one, other = root(one), root(other)
        if one == other:
            continue
        low, high = (one, other) if (peaks[one], -one) < (peaks[other], -other) else (other, one)
        rise = peaks[low] - saddle
        if rise < seed_height or rise == 0:
            parents[low] = high
    return np.array([root(basin) for basin in range(summits.size)], np.int32)


def _saddles(
    basins: np.ndarray, count: int, heights: np.ndarray, neighbours: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of touching basins with the highest point on their common border, highest first."""
    keys, heights_there = [], []
    for there in neighbours[:2]:
        other = basins[there]
        border = np.flatnonzero(other != basins)
        one, two = basins[border].astype(np.int64), other[border].astype(np.int64)
        keys.append(np.minimum(one, two) * count + np.maximum(one, two))
        heights_there.append(np.minimum(heights[border], heights[there[border]]))
    key, height = np.concatenate(keys), np.concatenate(heights_there)
    order = np.lexsort((-height, key))
    key, height = key[order], height[order]
    foremost = np.flatnonzero(np.diff(key, prepend=-1))
    key, height = key[foremost], height[foremost]
    order = np.argsort(-height, kind="stable")
    first, second = np.divmod(key[order], count)
    return first, second, height[order]
