"""DeepCell's deep watershed: a map of maxima and one of interior become labelled objects (Greenwald et al. 2022).

Markers are the maxima of the first map (h-maxima, Vincent 1993, or local peaks); the inverted second is flooded from
them where it is high enough. The steps and their order are those of deepcell-toolbox 0.12.1 on one plane.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.morphology import disk, h_maxima, remove_small_holes
from skimage.segmentation import find_boundaries, watershed

from worker.heads.labels import drop_small
from zoo.deep_watershed import PRESETS, DeepWatershed, deep_watershed_of

__all__ = ["PRESETS", "DeepWatershed", "decode_deep_watershed", "deep_watershed_of"]


def decode_deep_watershed(maxima: np.ndarray, interior: np.ndarray, parameters: DeepWatershed) -> np.ndarray:
    """Label the objects of one plane.

    Args:
        maxima: (y, x) float, high in the middle of each object.
        interior: (y, x) float, high inside objects.
        parameters: lengths in pixels of the maps.

    Returns:
        (y, x) int32, 0 = background, objects numbered from 1 in scan order without gaps.
    """
    hills = _smoothed(maxima, parameters.maxima_smooth)
    inside = _smoothed(interior, parameters.interior_smooth)
    if parameters.pixel_expansion:
        side = 2 * parameters.pixel_expansion + 1
        inside = ndimage.grey_dilation(inside, size=(side, side))
    mask = inside > parameters.interior_threshold
    labels = watershed(-inside, _markers(hills, parameters), mask=mask)
    for _ in range(parameters.label_erosion):
        labels[find_boundaries(labels, mode="inner")] = 0
    labels = drop_small(labels, parameters.small_objects_threshold)
    if parameters.fill_holes_threshold:
        _fill_holes(labels, parameters.fill_holes_threshold)
        # A filled hole cannot come before its object in scan order, so the numbers hold.
    return labels


def _smoothed(plane: np.ndarray, sigma: float) -> np.ndarray:
    plane = plane.astype(np.float32, copy=False)
    return ndimage.gaussian_filter(plane, sigma) if sigma > 0 else plane


def _markers(hills: np.ndarray, parameters: DeepWatershed) -> np.ndarray:
    if parameters.maxima_algorithm == "h_maxima":
        return label(h_maxima(hills, h=parameters.maxima_threshold, footprint=disk(parameters.radius)))
    peaks = peak_local_max(
        hills, min_distance=parameters.radius, threshold_abs=parameters.maxima_threshold, exclude_border=False
    )
    found = np.zeros(hills.shape, bool)
    found[tuple(peaks.T)] = True
    return label(found)


def _fill_holes(labels: np.ndarray, size: int) -> None:
    """Give background pixels in holes of fewer than `size` pixels to the object around them, in place."""
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[box] == index
        # Framed, so that a corner of the box which the object leaves free is no hole.
        filled = remove_small_holes(np.pad(own, 1), max_size=size - 1, connectivity=1)[1:-1, 1:-1]
        labels[box][filled & ~own & (labels[box] == 0)] = index
