"""What the description's operators measure of a tensor: means, deviations and percentiles over some of its axes.

`Measured` takes them of an array in memory. Whatever else has the three methods of `Statistics` can stand in for it,
as for an image that is never in memory as a whole. Every answer keeps the axes, of length 1 where they were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

Axes = tuple[int, ...]
Method = Literal["linear", "inverted_cdf"]
WHOLE: Axes = (0, 1, 2)


class Statistics(Protocol):
    """Measures of a (y, x, channel) tensor over `axes`, float64, broadcastable to it; deviations are the population's.

    Percentiles between two values are interpolated ("linear") or the higher of the two ("inverted_cdf").
    """

    def mean(self, axes: Axes) -> np.ndarray: ...
    def deviation(self, axes: Axes) -> np.ndarray: ...
    def percentiles(self, wanted: Sequence[float], axes: Axes, method: Method = "linear") -> list[np.ndarray]: ...


class Measured:
    """The statistics of an array (y, x, channel)."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def mean(self, axes: Axes) -> np.ndarray:
        return self.array.mean(axis=axes, keepdims=True, dtype=np.float64)

    def deviation(self, axes: Axes) -> np.ndarray:
        return self.array.std(axis=axes, keepdims=True, dtype=np.float64)

    def percentiles(self, wanted: Sequence[float], axes: Axes, method: Method = "linear") -> list[np.ndarray]:
        return percentiles(self.array, wanted, axes, method)


def percentiles(
    array: np.ndarray, wanted: Sequence[float], axes: Axes = WHOLE, method: Method = "linear"
) -> list[np.ndarray]:
    """Percentiles over `axes`, which are kept with length 1; float64, as `np.percentile` finds them.

    Integers of 8 and 16 bits over all axes are counted rather than sorted, which is exact and many times faster.
    """
    if axes == WHOLE and array.dtype in (np.uint8, np.uint16):
        upto = np.cumsum(np.bincount(array.ravel()))
        return [np.full((1, 1, 1), counted_percentile(upto, percentile, method)) for percentile in wanted]
    shares = [percentile / 100 for percentile in wanted]
    wide = array.astype(np.float64, copy=False)
    return list(np.quantile(wide, shares, axis=axes, method=method, keepdims=True))


def counted_percentile(upto: np.ndarray, percentile: float, method: Method = "linear") -> float:
    """A percentile of whole numbers from 0, of which `upto[n]` are not above n."""
    size, share = int(upto[-1]), percentile / 100
    if method == "inverted_cdf":
        return float(np.searchsorted(upto, max(0, int(np.ceil(size * share - 1))), side="right"))
    rank = share * (size - 1)
    low = int(np.searchsorted(upto, int(rank), side="right"))
    high = int(np.searchsorted(upto, min(int(rank) + 1, size - 1), side="right"))
    return low + (high - low) * (rank - int(rank))
