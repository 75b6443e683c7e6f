"""Pixels as people see them: 8 bits, contrast stretched, several channels added up in colours."""

from __future__ import annotations

import numpy as np

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
# Enough for percentiles; sampling keeps a large plane's limits instant.
SAMPLED_PIXELS = 2**18
# Large planes are drawn in bands, so that only their 8-bit picture is held whole.
ROWS_AT_ONCE = 256

# Colours of the channels of an image that is not RGB, chosen to stay apart when added (cyan, magenta, yellow, …).
CHANNEL_COLOURS = ((0, 255, 255), (255, 0, 255), (255, 255, 0), (255, 255, 255), (0, 114, 178), (213, 94, 0))


def contrast_limits(pixels: np.ndarray) -> tuple[float, float]:
    """The values of (y, x) or (y, x, channel) shown black and white: percentiles 0.5 and 99.5 of the finite ones.

    Never equal: the one value of a constant image is shown black.
    """
    step = max(1, int(np.ceil(np.sqrt(pixels.size / SAMPLED_PIXELS))))
    sample = np.asarray(pixels[::step, ::step], np.float64)
    finite = sample[np.isfinite(sample)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, (LOW_PERCENTILE, HIGH_PERCENTILE))
    if high <= low:
        low, high = finite.min(), finite.max()
    return float(low), float(high) if high > low else _above(float(low))


def _above(value: float) -> float:
    return value + max(1.0, abs(value) * 1e-6)


def _stretched(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """The same shape in uint8, `low` as 0 and `high` as 255."""
    if pixels.dtype in (np.uint8, np.uint16):
        return _scaled(np.arange(2 ** (8 * pixels.dtype.itemsize)), low, high)[pixels]
    shown = np.empty(pixels.shape, np.uint8)
    for top in range(0, pixels.shape[0], ROWS_AT_ONCE):
        shown[top : top + ROWS_AT_ONCE] = _scaled(pixels[top : top + ROWS_AT_ONCE], low, high)
    return shown


def _scaled(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    # Double precision: floating point images may span any range, and integers of 32 bits any part of theirs.
    values = np.nan_to_num(np.asarray(pixels, np.float64), nan=low, posinf=high, neginf=low)
    return np.rint((np.clip(values, low, high) - low) * (255 / (high - low))).astype(np.uint8)


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
        return _stretched(pixels, *_chosen(contrast_limits(pixels), low, high))
    shown = [
        _stretched(pixels[:, :, index], *_chosen(contrast_limits(pixels[:, :, index]), low, high))
        for index in range(pixels.shape[2])
    ]
    if len(shown) == 1:
        return shown[0]
    return _added(shown)


def _added(planes: list[np.ndarray]) -> np.ndarray:
    """Channels (y, x) in uint8 as one picture (y, x, 3), each in its colour."""
    picture = np.empty((*planes[0].shape, 3), np.uint8)
    for top in range(0, picture.shape[0], ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        total = np.zeros(picture[rows].shape, np.float32)
        for index, plane in enumerate(planes):
            colour = np.array(CHANNEL_COLOURS[index % len(CHANNEL_COLOURS)], np.float32) / 255
            total += plane[rows, :, None] * colour
        picture[rows] = np.clip(total, 0, 255)
    return picture


def _is_grey(pixels: np.ndarray) -> bool:
    """Whether all channels of (y, x, channel) are the same, as where software saved a fluorescence image as RGB."""
    first = pixels[:, :, :1]
    return bool((pixels[::8, ::8] == first[::8, ::8]).all() and (pixels == first).all())


def _chosen(limits: tuple[float, float], low: float | None, high: float | None) -> tuple[float, float]:
    bottom, top = limits[0] if low is None else low, limits[1] if high is None else high
    return (bottom, top) if top > bottom else (bottom, _above(bottom))
