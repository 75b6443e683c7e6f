"""Star-convex polygons: a probability and the distances to an object's edge along rays become labelled objects.

Every pixel whose probability is high enough proposes the polygon that its rays span (Schmidt et al. 2018); the most
probable is kept, those that overlap it too much are dropped, and so on. What a polygon does to its neighbours depends
on their difference in place alone, so an object is the same wherever in a plane it lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from skimage.draw import polygon

from worker.heads.labels import drop_small

# Points in a polygon at which its overlap with others is counted: within about two hundredths of its area.
SAMPLES = 400
# Points times polygons that are compared at once, which bounds the memory.
AT_ONCE = 1_000_000
# Polygons are drawn about this point, for only what lies at positive coordinates is drawn.
_MIDDLE = 1 << 14
DROPPED, KEPT, OPEN = 0, 1, 2


def decode_star_convex(
    probability: np.ndarray, rays: np.ndarray, *, threshold: float, overlap: float, stride: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Label the objects of one plane.

    Args:
        probability: (y, x) float, the probability that an object has its middle here.
        rays: (y, x, ray) float, pixels to the object's edge at angles 2 pi ray / n, from x towards y.
        threshold: candidates have at least this probability.
        overlap: intersection over union with a more probable polygon above which a polygon is dropped.
        stride: pixels of the image from one value of the maps to the next, in y and x.

    Returns:
        labels (y * stride, x * stride) int32, 0 = background, numbered from 1 in scan order, the more probable on
        top; and the probability of each, float32.
    """
    shape = (probability.shape[0] * stride, probability.shape[1] * stride)
    found = candidates(probability, rays, probability >= threshold, stride)
    kept = found[np.flatnonzero(settled(found, overlap) == KEPT)]
    drawn = np.zeros(shape, np.int32)
    draw(drawn, kept, np.arange(1, len(kept) + 1))
    # Objects of which nothing is seen are left out.
    labels = drop_small(drawn, 0)
    painted = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    painted[labels] = drawn
    return labels, kept.scores[painted[1:] - 1]


@dataclass(frozen=True)
class Polygons:
    """Star-convex polygons, the most probable first, of equal ones the first in scan order: `cells` (n, 2) int64, row
    and column in the maps, `centres` (n, 2) float64, y and x in pixels, `radii` (n, ray) float64 in pixels, `scores`
    (n,) float32.
    """

    cells: np.ndarray
    centres: np.ndarray
    radii: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: np.ndarray) -> Polygons:
        """Those that an array of indices names."""
        return Polygons(self.cells[chosen], self.centres[chosen], self.radii[chosen], self.scores[chosen])

    @property
    def reach(self) -> np.ndarray:
        """(n,): the longest ray of each."""
        return self.radii.max(axis=1, initial=0)


def candidates(probability: np.ndarray, rays: np.ndarray, where: np.ndarray, stride: int) -> Polygons:
    """The polygons that the pixels `where` (y, x) bool propose; maps and stride as for `decode_star_convex`."""
    rows, columns = np.nonzero(where)
    scores = probability[rows, columns].astype(np.float32)
    order = np.lexsort((columns, rows, -scores))
    cells, scores = np.stack([rows, columns], axis=1)[order], scores[order]
    radii = np.nan_to_num(rays[cells[:, 0], cells[:, 1]].astype(np.float64), nan=0.0, posinf=0.0).clip(0)
    return Polygons(cells, cells.astype(np.float64) * stride, radii, scores)


def settled(
    found: Polygons, overlap: float, known: np.ndarray | None = None, doubtful: np.ndarray | None = None
) -> np.ndarray:
    """Which polygons stay, (n,) int8: KEPT, DROPPED or OPEN.

    Args:
        overlap: intersection over union with a more probable one above which a polygon goes.
        known: (n,) bool, those of which it is known that they stay.
        doubtful: (n,) bool, those that may overlap others than the ones given. They are dropped or left open, and with
            them those that they may overlap.
    """
    state = np.full(len(found), OPEN, np.int8)
    if not len(found):
        return state
    centres, radii, reach = found.centres, found.radii, found.reach
    areas = polygon_areas(radii)
    state[areas <= 0] = DROPPED
    known = np.zeros(len(found), bool) if known is None else known
    blocked = np.zeros(len(found), bool) if doubtful is None else doubtful.copy()
    tree, farthest = cKDTree(centres), float(reach.max())
    for index in range(len(centres)):
        if state[index] == DROPPED:
            continue
        if known[index] or not blocked[index]:
            state[index] = KEPT
        near = np.array(tree.query_ball_point(centres[index], reach[index] + farthest, return_sorted=True))
        near = near[(near > index) & (state[near] != DROPPED)]
        apart = np.hypot(*(centres[near] - centres[index]).T)
        # Two areas whose ratio is below the overlap cannot overlap more than that.
        ratio = np.minimum(areas[near], areas[index]) / np.maximum(areas[near], areas[index])
        near = near[(apart < reach[near] + reach[index]) & (ratio > overlap)]
        if state[index] == OPEN:
            # By how much they overlap is looked into when it is known whether this one stays.
            blocked[near] = True
            continue
        shared = _shared_areas(radii[index], centres[near] - centres[index], radii[near])
        state[near[shared > overlap * (areas[near] + areas[index] - shared)]] = DROPPED
    return state


def polygon_areas(radii: np.ndarray) -> np.ndarray:
    """Areas in square pixels of star-convex polygons, (n, ray) to (n,)."""
    angle = 2 * np.pi / radii.shape[1]
    return 0.5 * np.sin(angle) * (radii * np.roll(radii, -1, axis=1)).sum(axis=1)


def _shared_areas(radii: np.ndarray, offsets: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The area that one polygon about (0, 0) shares with each of `others`, which lie at `offsets` (n, 2)."""
    points, area_of_point = _lattice(radii)
    shared = np.zeros(len(offsets))
    for part in _parts(len(offsets), max(1, AT_ONCE // max(1, len(points)))):
        inside = _inside(points[None] - offsets[part, None], others[part])
        shared[part] = inside.sum(axis=1) * area_of_point
    return shared


def _lattice(radii: np.ndarray) -> tuple[np.ndarray, float]:
    """Points (n, 2) evenly spread in a polygon about (0, 0), and the area that each stands for."""
    area = float(polygon_areas(radii[None])[0])
    step, reach = np.sqrt(area / SAMPLES), float(radii.max())
    axis = np.arange(-int(reach / step) - 1, int(reach / step) + 1) * step + step / 2
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    points = points[_inside(points[None], radii[None])[0]]
    return points, area / max(1, len(points))


def _inside(points: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Whether points (polygon, n, 2) about each polygon's own centre lie in it, radii (polygon, ray)."""
    count = radii.shape[1]
    y, x = points[..., 0], points[..., 1]
    sector = np.floor(np.arctan2(y, x) * (count / (2 * np.pi))).astype(np.int64) % count
    corners_y, corners_x = _corners(radii)
    first = np.take_along_axis(corners_y, sector, 1), np.take_along_axis(corners_x, sector, 1)
    following = (sector + 1) % count
    second = np.take_along_axis(corners_y, following, 1), np.take_along_axis(corners_x, following, 1)
    along_y, along_x = second[0] - first[0], second[1] - first[1]
    return along_x * (y - first[0]) - along_y * (x - first[1]) > 0


def _corners(radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y and x of the corners of polygons about (0, 0), each (polygon, ray)."""
    angles = np.arange(radii.shape[1]) * (2 * np.pi / radii.shape[1])
    return radii * np.sin(angles), radii * np.cos(angles)


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def draw(into: np.ndarray, found: Polygons, numbers: np.ndarray, top: int = 0, left: int = 0) -> None:
    """Draw polygons with their `numbers` (n,) into the part of a plane that begins at `top` and `left`, the first on
    top of all others.
    """
    height, width = into.shape
    corners_y, corners_x = _corners(found.radii)
    for index in reversed(range(len(found))):
        centre_y, centre_x = found.centres[index]
        # Drawn about the centre and moved, so that rounding is the same wherever the object lies.
        rows, columns = polygon(corners_y[index] + _MIDDLE, corners_x[index] + _MIDDLE)
        rows, columns = rows + int(centre_y) - _MIDDLE - top, columns + int(centre_x) - _MIDDLE - left
        seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        into[rows[seen], columns[seen]] = numbers[index]
