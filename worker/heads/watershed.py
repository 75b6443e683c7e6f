"""Watershed instances: a foreground map and a normalised distance map become labelled objects.

Seeds are the h-maxima of the distance map (Vincent 1993), so that a shallow dimple does not split an object; the
watershed floods the inverted distance from them inside the foreground (Beucher & Meyer 1993).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import reconstruction
from skimage.segmentation import watershed


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
        (y, x) int32, 0 = background, objects numbered from 1 in scan order without gaps.
    """
    inside = foreground >= threshold
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    hills = ndimage.gaussian_filter(distance, smoothing) if smoothing > 0 else distance
    hills = np.where(inside, hills, 0).astype(np.float32)
    seeds = label(_extended_maxima(hills, seed_height) & inside)
    # A component whose hill is lower than the height still is an object: its summit becomes the seed.
    components = label(inside, connectivity=1)
    seeded = np.zeros(components.max() + 1, bool)
    seeded[components[seeds > 0]] = True
    unseeded = ~seeded[components] & inside
    seeds[unseeded] = components[unseeded] + seeds.max()
    labels = watershed(-hills, seeds, mask=inside)
    return drop_small(labels, minimum_area)


def _extended_maxima(hills: np.ndarray, height: float) -> np.ndarray:
    flattened = reconstruction(np.maximum(hills - height, 0), hills, method="dilation")
    raised = hills - flattened
    # Regional maxima of the flattened surface: plateaus from which no higher neighbour is reached.
    plateaus = reconstruction(flattened - np.float32(1e-4), flattened, method="dilation")
    return (flattened - plateaus > 5e-5) & (raised > 0)


def drop_small(labels: np.ndarray, minimum_area: int) -> np.ndarray:
    """Renumber (y, x) labels from 1 in scan order, without those of fewer than `minimum_area` pixels; int32."""
    areas = np.bincount(labels.ravel())
    keep = areas >= max(1, minimum_area)
    keep[0] = False
    present, first = np.unique(labels, return_index=True)
    kept = present[keep[present]]
    order = np.argsort(first[keep[present]], kind="stable")
    numbers = np.zeros(areas.size, np.int32)
    numbers[kept[order]] = np.arange(1, kept.size + 1, dtype=np.int32)
    return numbers[labels]
