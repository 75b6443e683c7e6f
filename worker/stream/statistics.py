"""What operators measure of a plane larger than memory, in passes over its bands: a `worker.statistics.Statistics`.

Percentiles are exact: integers of 8 and 16 bits are counted; of wider samples the ranks that are asked for are found
digit by digit (radix selection over the order-preserving bits of the numbers). Means are summed band by band, so they
differ from those of an array in memory by rounding alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from worker.normalise import apply_operators
from worker.statistics import WHOLE, Axes, Method, Statistics, counted_percentile
from worker.stream.planes import Operator, Plane, bands, operated
from worker.stream.scratch import Scratch
from zoo.errors import UserError

DIGIT_BITS = 16
DIGITS = 2**DIGIT_BITS
MEASURING = ("scale_range", "zero_mean_unit_variance", "scale_mean_variance")


class NotStreamable(UserError):
    """What needs the whole region in memory, asked for on a region that does not fit there."""

    code = "not-streamable"


class Measured:
    """Statistics of a plane, each measured once."""

    def __init__(self, plane: Plane, scratch: Scratch) -> None:
        self.plane, self.scratch = plane, scratch
        self._known: dict[Any, Any] = {}

    def mean(self, axes: Axes) -> np.ndarray:
        """Over rows and columns at least, (1, 1, 1) or (1, 1, channel) float64; raises `NotStreamable` for less."""
        return self._once(("mean", _checked(axes)), lambda: self._mean_of(axes, lambda pixels: pixels))

    def deviation(self, axes: Axes) -> np.ndarray:
        """The population's standard deviation, shaped as the mean."""

        def measure() -> np.ndarray:
            mean = self.mean(axes)
            return np.sqrt(self._mean_of(axes, lambda pixels: np.square(pixels - mean)))

        return self._once(("deviation", _checked(axes)), measure)

    def percentiles(self, wanted: Sequence[float], axes: Axes, method: Method = "linear") -> list[np.ndarray]:
        """As `worker.statistics.percentiles`."""
        key = ("percentiles", tuple(wanted), _checked(axes), method)
        return list(self._once(key, lambda: self._percentiles(wanted, axes, method)))

    def _once(self, key: Any, measure: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = measure()
        return self._known[key]

    def _mean_of(self, axes: Axes, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        sums = [
            values(pixels.astype(np.float64)).sum(axis=axes).reshape(-1)
            for _, pixels in bands(self.plane, self.scratch, 32 * self.plane.shape[2])
        ]
        totals = np.array([math.fsum(column) for column in np.array(sums).T])
        return totals.reshape(1, 1, -1) / self._count(axes)

    def _count(self, axes: Axes) -> int:
        return math.prod(self.plane.shape) // (1 if 2 in axes else self.plane.shape[2])

    def _percentiles(self, wanted: Sequence[float], axes: Axes, method: Method) -> list[np.ndarray]:
        dtype, together = dtype_of(self.plane), 2 in axes
        if axes == WHOLE and dtype in (np.uint8, np.uint16):
            upto = np.cumsum(_digit_counts(self.plane, self.scratch, 1, 0, {(0, 0)}, DIGIT_BITS)[0, 0])
            return [np.full((1, 1, 1), counted_percentile(upto, percentile, method)) for percentile in wanted]
        places = [_place(percentile / 100, self._count(axes), method) for percentile in wanted]
        ranks = sorted({rank for low, high, _ in places for rank in (low, high)})
        values = ranked(self.plane, self.scratch, ranks, together)
        return [_between(values[low], values[high], share).reshape(1, 1, -1) for low, high, share in places]


def _checked(axes: Axes) -> Axes:
    if not {0, 1} <= set(axes):
        raise NotStreamable(
            "The model normalises rows or columns by themselves, which an image larger than memory cannot be given to.",
            "Choose a smaller --roi, or raise ZOOSCOPE_STREAM_MEMORY_BYTES.",
        )
    return axes


def dtype_of(plane: Plane) -> np.dtype:
    return plane.read((0, 1), (0, 1)).dtype


def measures(operators: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of the operators has to know the whole plane."""
    return any(
        each["id"] in MEASURING
        or any(str(name).endswith("percentile") and value is not None for name, value in _given(each).items())
        for each in operators
    )


def _given(operator: Mapping[str, Any]) -> Mapping[str, Any]:
    return operator.get("kwargs") or {}


def preprocessed(plane: Plane, operators: Sequence[Mapping[str, Any]], measured: Measured) -> Plane:
    """`plane` after `operators` as `worker.normalise.preprocess` gives it; `measured` are the statistics of `plane`."""
    return operated(plane, [_function([each], plane, measured, measured) for each in operators])


def postprocessed(
    plane: Plane, operators: Sequence[Mapping[str, Any]], scratch: Scratch, reference: Statistics | None
) -> Plane:
    """`plane` after `operators`, each of which measures what the one before has made."""
    functions: list[Operator] = []
    for each in operators:
        so_far = operated(plane, functions)
        functions.append(_function([each], so_far, Measured(so_far, scratch), reference))
    return operated(plane, functions)


def _function(
    operators: Sequence[Mapping[str, Any]], plane: Plane, own: Statistics, reference: Statistics | None
) -> Operator:
    """The operators as one function of single pixels; all that has to be measured is measured here."""
    for each in operators:
        if str(_given(each).get("axis", "channel")) != "channel":
            _checked((2,))
    function = partial(apply_operators, operators=operators, statistics=own, reference=reference)
    function(plane.read((0, 1), (0, 1)))
    return function


def _place(share: float, count: int, method: Method) -> tuple[int, int, float]:
    """The ranks of the two values between which a quantile lies, and how far towards the second."""
    if method == "inverted_cdf":
        rank = min(count - 1, max(0, math.ceil(count * share - 1)))
        return rank, rank, 0.0
    at = share * (count - 1)
    return int(at), min(int(at) + 1, count - 1), at - int(at)


def _between(low: np.ndarray, high: np.ndarray, share: float) -> np.ndarray:
    """Linear interpolation, with the roundings of `np.quantile`."""
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def ranked(plane: Plane, scratch: Scratch, ranks: Sequence[int], together: bool) -> dict[int, np.ndarray]:
    """The values of these ranks (counted from 0) among all values, (1,), or among those of each channel, (channel,).

    float64; one pass over the plane for each 16 bits of its samples.
    """
    dtype = dtype_of(plane)
    groups = 1 if together else plane.shape[2]
    bits = max(DIGIT_BITS, dtype.itemsize * 8)
    wanted = [(group, rank) for group in range(groups) for rank in ranks]
    prefixes, below = dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0)
    for shift in range(bits - DIGIT_BITS, -1, -DIGIT_BITS):
        counts = _digit_counts(plane, scratch, groups, shift, {(key[0], prefixes[key]) for key in wanted}, bits)
        for key in wanted:
            upto = np.cumsum(counts[key[0], prefixes[key]])
            digit = int(np.searchsorted(upto, key[1] - below[key], side="right"))
            below[key] += int(upto[digit - 1]) if digit else 0
            prefixes[key] = (prefixes[key] << DIGIT_BITS) | digit
    return {
        rank: np.array([_value(prefixes[group, rank], dtype) for group in range(groups)], np.float64) for rank in ranks
    }


def quantile_of(plane: Plane, scratch: Scratch, share: float, left_out: int = 0) -> float:
    """The quantile of all values but the `left_out` lowest, as `np.quantile` finds it in float64."""
    low, high, part = _place(share, math.prod(plane.shape) - left_out, "linear")
    values = ranked(plane, scratch, sorted({low + left_out, high + left_out}), together=True)
    return float(_between(values[low + left_out], values[high + left_out], part)[0])


def _digit_counts(
    plane: Plane, scratch: Scratch, groups: int, shift: int, prefixes: set[tuple[int, int]], bits: int
) -> dict[tuple[int, int], np.ndarray]:
    """For each (group, prefix) how often each value of the 16 bits at `shift` follows that prefix."""
    counts = {key: np.zeros(DIGITS, np.int64) for key in prefixes}
    for _, pixels in bands(plane, scratch, 32 * plane.shape[2]):
        for group in range(groups):
            keys = _keys(pixels if groups == 1 else pixels[:, :, group]).ravel()
            for key in prefixes:
                if key[0] == group:
                    top = shift + DIGIT_BITS >= bits
                    chosen = keys if top else keys[(keys >> (shift + DIGIT_BITS)) == key[1]]
                    digits = (chosen >> shift) & (DIGITS - 1)
                    counts[key] += np.bincount(digits.astype(np.intp, copy=False), minlength=DIGITS)
    return counts


def _keys(values: np.ndarray) -> np.ndarray:
    """Integers in the order of the values, int64 or (of float64) uint64: negative floats' bits are turned round."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind in "bu":
        return values.astype(np.int64)
    top = 1 << (size * 8 - 1)
    if kind == "i":
        return values.astype(np.int64) + top
    bits = np.ascontiguousarray(values + values.dtype.type(0)).view(f"u{size}")
    keys = np.where(bits >> (size * 8 - 1), ~bits, bits | bits.dtype.type(top))
    return keys.astype(np.int64) if size < 8 else keys


def _value(key: int, dtype: np.dtype) -> float:
    """What `_keys` made this key of."""
    if dtype.kind in "bu":
        return float(key)
    top = 1 << (dtype.itemsize * 8 - 1)
    if dtype.kind == "i":
        return float(key - top)
    bits = key ^ top if key & top else ~key & (2 * top - 1)
    return float(np.array(bits, f"u{dtype.itemsize}").view(dtype))
