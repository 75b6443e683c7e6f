"""Pre- and postprocessing operators of the bioimage.io model description 0.5, on arrays (y, x, channel).

Each is one function of an array and the operator's keyword arguments. Axes are named as in the description; `batch`
is one plane here and is ignored. Statistics are taken over the whole plane, never over a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.errors import UserError

AXES = {"y": 0, "x": 1, "channel": 2}


class OperatorUnknown(UserError):
    code = "operator-unknown"
    status = 422


def apply_operators(array: np.ndarray, operators: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Apply the description's operators in order to (y, x, channel); raises `OperatorUnknown`."""
    for index, operator in enumerate(operators):
        name = operator["id"]
        if name not in OPERATORS:
            raise OperatorUnknown(
                f"The model asks for the operator {name!r}, which Zooscope does not have.",
                f"It has {', '.join(sorted(OPERATORS))}.",
            )
        if not _needless(array, operators[index : index + 2]):
            array = OPERATORS[name](array, **operator.get("kwargs") or {})
    return array


def _needless(array: np.ndarray, operators: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the first of `operators` only makes 8 or 16 bits floating point for a `scale_range`, which does so itself
    and finds its percentiles much faster while they can be counted.
    """
    names = [operator["id"] for operator in operators]
    wider = array.dtype in (np.uint8, np.uint16) and (operators[0].get("kwargs") or {}).get("dtype") == "float32"
    return wider and names == ["ensure_dtype", "scale_range"]


def _axes(axes: Sequence[str] | None) -> tuple[int, ...]:
    return (0, 1, 2) if axes is None else tuple(AXES[str(axis)] for axis in axes if str(axis) in AXES)


def _along(values: float | Sequence[float], axis: str | None) -> np.ndarray:
    """One value, or one for each index of `axis`, ready to broadcast over (y, x, channel)."""
    given = np.asarray(values, np.float32)
    if given.ndim == 0 or axis is None:
        return given
    shape = [1, 1, 1]
    shape[AXES[str(axis)]] = given.size
    return given.reshape(shape)


def percentiles(array: np.ndarray, wanted: Sequence[float], axes: tuple[int, ...] = (0, 1, 2)) -> list[np.ndarray]:
    """Percentiles over `axes` with linear interpolation, kept as axes of length 1; float64, as `np.percentile`.

    Integers of 8 and 16 bits over all axes are counted rather than sorted, which is exact and many times faster.
    """
    if axes == (0, 1, 2) and array.dtype in (np.uint8, np.uint16):
        return [np.reshape(value, (1, 1, 1)) for value in _counted_percentiles(array, wanted)]
    return list(np.percentile(array.astype(np.float64, copy=False), list(wanted), axis=axes, keepdims=True))


def _counted_percentiles(array: np.ndarray, wanted: Sequence[float]) -> list[float]:
    upto = np.cumsum(np.bincount(array.ravel()))
    found = []
    for percentile in wanted:
        rank = percentile / 100 * (array.size - 1)
        low = int(np.searchsorted(upto, int(rank), side="right"))
        high = int(np.searchsorted(upto, min(int(rank) + 1, array.size - 1), side="right"))
        found.append(low + (high - low) * (rank - int(rank)))
    return found


def scale_range(
    array: np.ndarray,
    axes: Sequence[str] | None = None,
    min_percentile: float = 0.0,
    max_percentile: float = 100.0,
    eps: float = 1e-6,
    reference_tensor: str | None = None,
) -> np.ndarray:
    """The percentiles to 0 and 1; `reference_tensor` can only be the one input there is."""
    low, high = percentiles(array, (min_percentile, max_percentile), _axes(axes))
    scale = (1 / (high - low + eps)).astype(np.float32)
    return (array.astype(np.float32) - low.astype(np.float32)) * scale


def zero_mean_unit_variance(array: np.ndarray, axes: Sequence[str] | None = None, eps: float = 1e-6) -> np.ndarray:
    wide = array.astype(np.float64)
    mean = wide.mean(axis=_axes(axes), keepdims=True)
    deviation = wide.std(axis=_axes(axes), keepdims=True)
    return ((wide - mean) / (deviation + eps)).astype(np.float32)


def fixed_zero_mean_unit_variance(
    array: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float], axis: str | None = None
) -> np.ndarray:
    return (array.astype(np.float32) - _along(mean, axis)) / _along(std, axis)


def scale_linear(
    array: np.ndarray,
    gain: float | Sequence[float] = 1.0,
    offset: float | Sequence[float] = 0.0,
    axis: str | None = None,
) -> np.ndarray:
    return array.astype(np.float32) * _along(gain, axis) + _along(offset, axis)


def clip(
    array: np.ndarray,
    min: float | None = None,
    max: float | None = None,
    min_percentile: float | None = None,
    max_percentile: float | None = None,
    axes: Sequence[str] | None = None,
) -> np.ndarray:
    low = min if min_percentile is None else percentiles(array, [min_percentile], _axes(axes))[0]
    high = max if max_percentile is None else percentiles(array, [max_percentile], _axes(axes))[0]
    return np.clip(array, low, high).astype(array.dtype)


def ensure_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    return array.astype(np.dtype(dtype))


def binarize(array: np.ndarray, threshold: float | Sequence[float], axis: str | None = None) -> np.ndarray:
    return (array > _along(threshold, axis)).astype(np.float32)


def sigmoid(array: np.ndarray) -> np.ndarray:
    wide = array.astype(np.float32)
    return np.where(wide >= 0, 1 / (1 + np.exp(-np.abs(wide))), 1 - 1 / (1 + np.exp(-np.abs(wide))))


def softmax(array: np.ndarray, axis: str = "channel") -> np.ndarray:
    along = AXES[str(axis)]
    wide = np.exp(array.astype(np.float32) - array.max(axis=along, keepdims=True))
    return wide / wide.sum(axis=along, keepdims=True)


OPERATORS: dict[str, Callable[..., np.ndarray]] = {
    "binarize": binarize,
    "clip": clip,
    "ensure_dtype": ensure_dtype,
    "fixed_zero_mean_unit_variance": fixed_zero_mean_unit_variance,
    "scale_linear": scale_linear,
    "scale_range": scale_range,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "zero_mean_unit_variance": zero_mean_unit_variance,
}
