"""Which pixels of the nuclei count most in training: the gaps between neighbours, and small nuclei as a whole."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage
from skimage.segmentation import expand_labels

from worker.training.data import Example

# The narrower the gap between two nuclei, and the nearer its middle line, the more a pixel counts (after the weights
# of Ronneberger et al. 2015).
GAP_PX, NEAR_PX, GAP_WEIGHT = 4.0, 2.5, 4.0
# A nucleus of this area counts as its background does, a smaller one more, so that it is not drowned by large ones.
USUAL_AREA_PX, LEAST_WEIGHT, MOST_WEIGHT = 250.0, 0.75, 2.0


def pixel_weights(labels: np.ndarray) -> np.ndarray:
    """The weight of each pixel of (y, x) instance labels in the loss, float32, 1 on plain background."""
    areas = np.maximum(np.bincount(labels.ravel()), 1)
    balance = np.clip(np.sqrt(USUAL_AREA_PX / areas), LEAST_WEIGHT, MOST_WEIGHT)
    balance[0] = 1.0
    weights = balance[labels].astype(np.float32)
    territories = expand_labels(labels, distance=GAP_PX)
    # Where two territories meet; not where one ends in plain background.
    borders = _meets_another(territories)
    if borders.any():
        half_gap = ndimage.distance_transform_edt(labels == 0)
        away, (row, column) = ndimage.distance_transform_edt(~borders, return_indices=True)
        narrow = np.exp(-((2 * half_gap[row, column] / GAP_PX) ** 2) - (away / NEAR_PX) ** 2)
        weights += GAP_WEIGHT * narrow.astype(np.float32)
    return weights


def _meets_another(territories: np.ndarray) -> np.ndarray:
    """Pixels in whose 3x3 surroundings there is more than one label, background not counted."""
    most = ndimage.maximum_filter(territories, 3)
    least = ndimage.minimum_filter(np.where(territories == 0, territories.max() + 1, territories), 3)
    return (territories > 0) & (most != least)


def with_weights(example: Example) -> Example:
    """The example with its pixel weights as a third target map."""
    weights = pixel_weights(example.truth)[..., None]
    return dataclasses.replace(example, targets=np.concatenate([example.targets, weights], axis=-1))
