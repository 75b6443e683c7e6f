"""Resizing to the model's pixels and back. Pixel centres are aligned as if both grids covered the same rectangle."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zoo.pixel_scale import Scale


def to_shape(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample (y, x, channel) float32 linearly to `shape` (y, x); smoothed first along an axis that shrinks."""
    for axis, side in enumerate(shape):
        plane = _along(plane, axis, side)
    return plane


def _along(plane: np.ndarray, axis: int, side: int) -> np.ndarray:
    have = plane.shape[axis]
    if have == side:
        return plane
    ratio = have / side
    if ratio > 1:
        # As scikit-image's resize: a Gaussian of half the surplus, so that what cannot be shown does not alias.
        plane = ndimage.gaussian_filter1d(plane, (ratio - 1) / 2, axis=axis, mode="nearest")
    position = np.clip((np.arange(side) + 0.5) * ratio - 0.5, 0, have - 1)
    low = np.minimum(position.astype(np.int64), max(have - 2, 0))
    high = np.minimum(low + 1, have - 1)
    shape = [1] * plane.ndim
    shape[axis] = side
    weight = (position - low).astype(np.float32).reshape(shape)
    lower, upper = np.take(plane, low, axis), np.take(plane, high, axis)
    return lower + (upper - lower) * weight


def labels_to_shape(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample (y, x) int32 labels to `shape` by the nearest pixel."""
    if labels.shape == shape:
        return labels
    rows, columns = (
        np.minimum(((np.arange(side) + 0.5) * have / side).astype(np.int64), have - 1)
        for side, have in zip(shape, labels.shape, strict=True)
    )
    return labels[rows[:, None], columns[None, :]]


def finer_at_model(scale: Scale) -> bool:
    """Whether the model's pixels are the finer ones, so that objects are told apart there rather than in the image."""
    return scale.factor > 1
