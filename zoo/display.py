"""Pixels as people see them: 8 bits, contrast stretched, several channels added up in colours."""

from __future__ import annotations

import numpy as np

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
# Enough for percentiles; sampling keeps a large plane's limits instant.
SAMPLED_PIXELS = 2**18

# Colours of the channels of an image that is not RGB, chosen to stay apart when added (cyan, magenta, yellow, …).
CHANNEL_COLOURS = ((0, 255, 255), (255, 0, 255), (255, 255, 0), (255, 255, 255), (0, 114, 178), (213, 94, 0))


def contrast_limits(pixels: np.ndarray) -> tuple[float, float]:
    """The values of (y, x) shown black and white: percentiles 0.5 and 99.5 of the finite ones; never equal."""
    step = max(1, int(np.ceil(np.sqrt(pixels.size / SAMPLED_PIXELS))))
    sample = np.asarray(pixels[::step, ::step], np.float64)
    finite = sample[np.isfinite(sample)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, (LOW_PERCENTILE, HIGH_PERCENTILE))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    if high > low:
        return float(low), float(high)
    margin = max(0.5, abs(float(low)) * 1e-6)
    return float(low) - margin, float(low) + margin


def _stretched(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    # Floating point images may span any range; integers fit into single precision.
    exact = np.float64 if pixels.dtype.kind == "f" else np.float32
    values = np.nan_to_num(np.asarray(pixels, exact), nan=low, posinf=high, neginf=low)
    scaled = (np.clip(values, low, high) - exact(low)) * exact(255 / (high - low))
    return np.rint(scaled).astype(np.uint8)


def to_display(pixels: np.ndarray, rgb: bool, low: float | None = None, high: float | None = None) -> np.ndarray:
    """(y, x, channel) of any dtype as uint8: (y, x) for one channel, else (y, x, 3).

    RGB of 8 bits stays as it is, unless it is grey in disguise; other RGB shares one pair of limits, so that colours
    keep their balance. `low` and `high` override the limits. NaN is shown black.
    """
    if rgb and _is_grey(pixels):
        return to_display(pixels[:, :, :1], False, low, high)
    if rgb and pixels.shape[2] == 3:
        if pixels.dtype == np.uint8 and low is None and high is None:
            return np.ascontiguousarray(pixels)
        limits = contrast_limits(pixels.reshape(pixels.shape[0], -1))
        return _stretched(pixels, *_chosen(limits, low, high))
    shown = [
        _stretched(pixels[:, :, index], *_chosen(contrast_limits(pixels[:, :, index]), low, high))
        for index in range(pixels.shape[2])
    ]
    if len(shown) == 1:
        return shown[0]
    total = np.zeros((*shown[0].shape, 3), np.float32)
    for index, plane in enumerate(shown):
        total += plane[:, :, None] * (np.array(CHANNEL_COLOURS[index % len(CHANNEL_COLOURS)], np.float32) / 255)
    return np.clip(total, 0, 255).astype(np.uint8)


def _is_grey(pixels: np.ndarray) -> bool:
    """Whether all channels of (y, x, channel) are the same, as where software saved a fluorescence image as RGB."""
    first = pixels[:, :, :1]
    return bool((pixels[::8, ::8] == first[::8, ::8]).all() and (pixels == first).all())


def _chosen(limits: tuple[float, float], low: float | None, high: float | None) -> tuple[float, float]:
    bottom, top = limits[0] if low is None else low, limits[1] if high is None else high
    return (bottom, top) if top > bottom else (bottom, bottom + max(1.0, abs(bottom) * 1e-6))
