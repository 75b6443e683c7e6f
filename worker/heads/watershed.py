"""Watershed instances: a foreground map and a normalised distance map become labelled objects.

Seeds are the h-maxima of the distance map (Vincent 1993), so that a shallow dimple does not split an object; the
inverted distance is flooded from them inside the foreground (Beucher & Meyer 1993).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from worker.heads.basins import climb, inside_graph, merge_shallow
from worker.heads.labels import drop_small


def decode_instances(
    foreground: np.ndarray,
    distance: np.ndarray,
    *,
    threshold: float = 0.5,
    seed_height: float = 0.1,
    smoothing: float = 1.0,
    minimum_area: int = 0,
    minimum_score: float = 0.0,
) -> np.ndarray:
    """Label the objects of one plane.

    Args:
        foreground: (y, x) float32 in 0..1, the probability of being inside an object.
        distance: (y, x) float32 in 0..1, the distance to the object's edge over its maximum in the object.
        threshold: pixels with at least this foreground belong to objects.
        seed_height: how far a hill of `distance` must rise above the saddle to the next to be an object.
        smoothing: sigma in pixels of the Gaussian laid over `distance` before seeds are sought.
        minimum_area: objects of fewer pixels are dropped.
        minimum_score: objects whose mean foreground is less are dropped.

    Returns:
        (y, x) int32, 0 = background, objects 4-connected, numbered from 1 in scan order without gaps.
    """
    inside = foreground >= threshold
    labels = np.zeros(inside.shape, np.int32)
    if not inside.any():
        return labels
    hills = ndimage.gaussian_filter(distance.astype(np.float32, copy=False), smoothing) if smoothing > 0 else distance
    pixels, heights, neighbours = inside_graph(hills, inside)
    basins, summits = climb(heights, neighbours)
    labels.ravel()[pixels] = merge_shallow(basins, summits, heights, neighbours, seed_height)[basins] + 1
    if minimum_score > threshold:
        labels = _without_doubtful(labels, foreground, minimum_score)
    return drop_small(labels, minimum_area)


def _without_doubtful(labels: np.ndarray, foreground: np.ndarray, minimum_score: float) -> np.ndarray:
    numbers = labels.ravel()
    areas = np.bincount(numbers)
    # Summed in scan order, so that the mean is the same to the last bit whatever lies around the object.
    scores = np.bincount(numbers, weights=foreground.ravel()) / np.maximum(areas, 1)
    return np.where((scores >= minimum_score)[labels], labels, 0)
