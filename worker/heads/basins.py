"""Hills as a graph: every pixel climbs to a summit, and basins of neighbouring summits meet at saddles.

Instead of reconstructing h-maxima and flooding pixel by pixel, basins are merged where the lower summit rises less
than h above their saddle: the persistence of a summit is its dynamics (Najman & Schmitt 1996; Edelsbrunner et al.
2002), so the summits left are the h-maxima.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def inside_graph(hills: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
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


def climb(heights: np.ndarray, neighbours: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The basin (0..n-1) of each pixel by steepest ascent, and the pixel that is each basin's summit."""
    target = ends(uphill(heights, neighbours))
    is_summit = np.zeros(heights.size, bool)
    is_summit[target] = True
    summits = np.flatnonzero(is_summit)
    numbers = np.cumsum(is_summit, dtype=np.int32) - 1
    return numbers[target], summits


def uphill(heights: np.ndarray, neighbours: list[np.ndarray]) -> np.ndarray:
    """The highest of each pixel and its neighbours, int32."""
    target = np.arange(heights.size, dtype=np.int32)
    best = heights.copy()
    for there in neighbours:
        height = heights[there]
        # Equal heights are ordered by position, so that a plateau has a summit and no pixel climbs in circles.
        higher = (height > best) | ((height == best) & (there > target))
        target = np.where(higher, there, target)
        best = np.where(higher, height, best)
    return target


def ends(target: np.ndarray) -> np.ndarray:
    """Where each pixel comes to in the end that goes from target to target."""
    while True:
        further = target[target]
        if np.array_equal(further, target):
            return target
        target = further


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def merge_shallow(
    basins: np.ndarray, summits: np.ndarray, heights: np.ndarray, neighbours: list[np.ndarray], seed_height: float
) -> np.ndarray:
    """For each basin the basin it belongs to after merging, highest saddles first, those that rise too little."""
    peaks = heights[summits].tolist()

    def join(one: int, other: int, saddle: float) -> tuple[int, int] | None:
        low, high = (one, other) if (peaks[one], -one) < (peaks[other], -other) else (other, one)
        rise = peaks[low] - saddle
        return (low, high) if rise < seed_height or rise == 0 else None

    return merged(saddles_between(basins, summits.size, heights, neighbours), summits.size, join)


def merged(pairs: Pairs, count: int, join: Callable[[int, int, float], tuple[int, int] | None]) -> np.ndarray:
    """For each of `count` basins the basin it belongs to, int32, after every pair was asked for in order.

    `join(one, other, saddle)` is told two basins that stand for all that was merged into them, and answers with the
    one that goes and the one that it goes into, or None.
    """
    parents = list(range(count))

    def root(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = parents[parents[basin]]
            basin = parents[basin]
        return basin

    for one, other, saddle in zip(*(part.tolist() for part in pairs), strict=True):
        one, other = root(one), root(other)
        answer = join(one, other, saddle) if one != other else None
        if answer is not None:
            parents[answer[0]] = answer[1]
    return np.array([root(basin) for basin in range(count)], np.int32)


def saddles_between(basins: np.ndarray, count: int, heights: np.ndarray, neighbours: list[np.ndarray]) -> Pairs:
    """Pairs of touching basins with the highest point on their common border, highest first."""
    keys, heights_there = [], []
    for there in neighbours[:2]:
        other = basins[there]
        border = np.flatnonzero(other != basins)
        one, two = basins[border].astype(np.int64), other[border].astype(np.int64)
        keys.append(np.minimum(one, two) * count + np.maximum(one, two))
        heights_there.append(np.minimum(heights[border], heights[there[border]]))
    return highest_first(np.concatenate(keys), np.concatenate(heights_there), count)


def highest_first(key: np.ndarray, height: np.ndarray, count: int) -> Pairs:
    """Pairs of `count` basins, each once; a key is the number of the lesser times `count` plus that of the other."""
    order = np.lexsort((-height, key))
    key, height = key[order], height[order]
    foremost = np.flatnonzero(np.diff(key, prepend=-1))
    key, height = key[foremost], height[foremost]
    order = np.argsort(-height, kind="stable")
    first, second = np.divmod(key[order], count)
    return first, second, height[order]
