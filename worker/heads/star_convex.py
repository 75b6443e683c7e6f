"""Star-convex polygons: a probability and the distances to an object's edge along rays become labelled objects.

Every pixel whose probability is high enough proposes the polygon that its rays span (Schmidt et al. 2018); the most
probable is kept, those that overlap it too much are dropped, and so on. What a polygon does to its neighbours depends
on their difference in place alone, so an object is the same wherever in a plane it lies.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    rows, columns = np.nonzero(probability >= threshold)
    scores = probability[rows, columns].astype(np.float32)
    order = np.lexsort((columns, rows, -scores))
    rows, columns, scores = rows[order], columns[order], scores[order]
    radii = np.nan_to_num(rays[rows, columns].astype(np.float64), nan=0.0, posinf=0.0).clip(0)
    centres = np.stack([rows, columns], axis=1).astype(np.float64) * stride
    kept = suppressed(centres, radii, overlap)
    return _painted(centres[kept], radii[kept], scores[kept], shape)


def suppressed(centres: np.ndarray, radii: np.ndarray, overlap: float) -> np.ndarray:
    """Indices of the polygons that stay, of (n, 2) centres (y, x) and (n, ray) radii in order of preference."""
    if not len(centres):
        return np.zeros(0, np.int64)
    areas, reach = polygon_areas(radii), radii.max(axis=1)
    alive = areas > 0
    tree, farthest = cKDTree(centres), float(reach.max())
    kept = []
    for index in range(len(centres)):
        if not alive[index]:
            continue
        kept.append(index)
        near = np.array(tree.query_ball_point(centres[index], reach[index] + farthest, return_sorted=True))
        near = near[(near > index) & alive[near]]
        apart = np.hypot(*(centres[near] - centres[index]).T)
        # Two areas whose ratio is below the overlap cannot overlap more than that.
        ratio = np.minimum(areas[near], areas[index]) / np.maximum(areas[near], areas[index])
        near = near[(apart < reach[near] + reach[index]) & (ratio > overlap)]
        shared = _shared_areas(radii[index], centres[near] - centres[index], radii[near])
        alive[near[shared > overlap * (areas[near] + areas[index] - shared)]] = False
    return np.array(kept, np.int64)


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


def _painted(
    centres: np.ndarray, radii: np.ndarray, scores: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Polygons drawn into labels, the first on top; objects of which nothing is seen are left out."""
    drawn = np.zeros(shape, np.int32)
    corners_y, corners_x = _corners(radii)
    for index in reversed(range(len(centres))):
        centre_y, centre_x = centres[index]
        # Drawn about the centre and moved, so that rounding is the same wherever the object lies.
        rows, columns = polygon(corners_y[index] + _MIDDLE, corners_x[index] + _MIDDLE)
        rows, columns = rows + int(centre_y) - _MIDDLE, columns + int(centre_x) - _MIDDLE
        seen = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        drawn[rows[seen], columns[seen]] = index + 1
    labels = drop_small(drawn, 0)
    painted = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    painted[labels] = drawn
    return labels, scores[painted[1:] - 1]
