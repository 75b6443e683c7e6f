"""Resizing to the model's pixels and back. Pixel centres are aligned as if both grids covered the same rectangle."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zoo.pixel_scale import Scale

Span = tuple[int, int]
# In sigmas, where scipy's Gaussian ends.
GAUSSIAN_REACH = 4.0


def to_shape(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample (y, x, channel) float32 linearly to `shape` (y, x); smoothed first along an axis that shrinks."""
    for axis, side in enumerate(shape):
        plane = resampled(plane, axis, plane.shape[axis], side)
    return plane


def resampled(
    plane: np.ndarray, axis: int, have: int, side: int, span: Span | None = None, start: int = 0
) -> np.ndarray:
    """An axis of `have` pixels resampled to `side`, or the part `span` of the result.

    For a part, `plane` may be no more than what `needed_span` says, beginning at the pixel `start` of the axis.
    """
    first, stop = span or (0, side)
    if have == side:
        return plane.take(range(first - start, stop - start), axis) if span else plane
    ratio = have / side
    if ratio > 1:
        # As scikit-image's resize: a Gaussian of half the surplus, so that what cannot be shown does not alias.
        plane = ndimage.gaussian_filter1d(plane, (ratio - 1) / 2, axis=axis, mode="nearest")
    position = _positions(have, side, first, stop)
    low = np.minimum(position.astype(np.int64), max(have - 2, 0))
    high = np.minimum(low + 1, have - 1)
    shape = [1] * plane.ndim
    shape[axis] = stop - first
    weight = (position - low).astype(np.float32).reshape(shape)
    lower, upper = np.take(plane, low - start, axis), np.take(plane, high - start, axis)
    return lower + (upper - lower) * weight


def needed_span(have: int, side: int, span: Span) -> Span:
    """The pixels of an axis of `have` that the part `span` of its resampling to `side` is computed from."""
    if have == side:
        return span
    ratio = have / side
    margin = int(GAUSSIAN_REACH * (ratio - 1) / 2 + 0.5) if ratio > 1 else 0
    low, high = _positions(have, side, *span)[[0, -1]]
    return max(0, min(int(low), max(have - 2, 0)) - margin), min(have, int(high) + 2 + margin)


def _positions(have: int, side: int, first: int, stop: int) -> np.ndarray:
    """Where the middles of pixels `first` to `stop` of `side` lie among the middles of `have`."""
    return np.clip((np.arange(first, stop) + 0.5) * (have / side) - 0.5, 0, have - 1)


def labels_to_shape(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample (y, x) int32 labels to `shape` by the nearest pixel."""
    if labels.shape == shape:
        return labels
    rows, columns = (nearest(have, side, (0, side)) for side, have in zip(shape, labels.shape[:2], strict=True))
    return labels[rows[:, None], columns[None, :]]


def nearest(have: int, side: int, span: Span) -> np.ndarray:
    """For the pixels `span` of an axis of `side` the nearest of `have`, int64."""
    return np.minimum(((np.arange(*span) + 0.5) * have / side).astype(np.int64), have - 1)


def finer_at_model(scale: Scale) -> bool:
    """Whether the model's pixels are the finer ones, so that objects are told apart there rather than in the image."""
    return scale.factor > 1
