"""Pre- and postprocessing operators of the bioimage.io model description 0.5, on arrays (y, x, channel).

Each is one function of an array, of what is measured for it, and of the operator's keyword arguments. Axes are named as
in the description; `batch` is one plane here. Statistics are of the whole plane, never of a tile. The results are those
of bioimageio.core 0.11, with which authors check their packages, also where it differs from the description's words:
preprocessing measures the input as it was before the first operator, `eps` is 1e-6 except in
`scale_mean_variance`, a fixed deviation gets it added, and `clip` takes percentiles that are values of the image
unless they are over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.statistics import WHOLE, Axes, Measured, Method, Statistics
from zoo.errors import UserError

AXES = {"y": 0, "x": 1, "channel": 2}
EPSILON = 1e-6


class OperatorUnknown(UserError):
    code = "operator-unknown"
    status = 422


@dataclass(frozen=True)
class Scene:
    """What operators may measure: the tensor, and the one that `reference_tensor` names, the model's input."""

    own: Statistics
    reference: Statistics | None = None

    def named(self, reference_tensor: str | None) -> Statistics:
        return self.reference if reference_tensor is not None and self.reference is not None else self.own


def apply_operators(
    array: np.ndarray,
    operators: Sequence[Mapping[str, Any]],
    *,
    statistics: Statistics | None = None,
    reference: Statistics | None = None,
) -> np.ndarray:
    """Apply the description's operators in order to (y, x, channel); raises `OperatorUnknown`.

    Args:
        statistics: what all operators measure; None: each measures what the one before has made, as outputs want it.
            `preprocess` gives those of the unprocessed input.
        reference: of the model's unprocessed input, for operators of the output that refer to it.
    """
    for operator in operators:
        name = operator["id"]
        if name not in OPERATORS:
            raise OperatorUnknown(
                f"The model asks for the operator {name!r}, which Zooscope does not have.",
                f"It has {', '.join(sorted(OPERATORS))}.",
            )
        scene = Scene(statistics or Measured(array), reference)
        array = OPERATORS[name](array, scene, **operator.get("kwargs") or {})
    return array


def preprocess(array: np.ndarray, operators: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The input (y, x, channel) as the network is given it, in the dtype of the last operator."""
    measured = Measured(array)
    return apply_operators(array, operators, statistics=measured, reference=measured)


def _axes(axes: Sequence[str] | None) -> Axes:
    return WHOLE if axes is None else tuple(sorted(AXES[str(axis)] for axis in axes if str(axis) in AXES))


def _along(values: float | Sequence[float], axis: str | None) -> np.ndarray:
    """One value, or one for each index of `axis`, ready to broadcast over (y, x, channel)."""
    given = np.asarray(values, np.float32)
    if given.ndim == 0 or axis is None:
        return given
    shape = [1, 1, 1]
    shape[AXES[str(axis)]] = given.size
    return given.reshape(shape)


def _float(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)


def scale_range(
    array: np.ndarray,
    scene: Scene,
    axes: Sequence[str] | None = None,
    min_percentile: float = 0.0,
    max_percentile: float = 100.0,
    eps: float = EPSILON,
    reference_tensor: str | None = None,
) -> np.ndarray:
    """The percentiles to 0 and 1."""
    low, high = scene.named(reference_tensor).percentiles((min_percentile, max_percentile), _axes(axes))
    scale = (1 / (high - low + EPSILON)).astype(np.float32)
    return (_float(array) - low.astype(np.float32)) * scale


def zero_mean_unit_variance(
    array: np.ndarray, scene: Scene, axes: Sequence[str] | None = None, eps: float = EPSILON
) -> np.ndarray:
    mean, deviation = scene.own.mean(_axes(axes)), scene.own.deviation(_axes(axes))
    return _float((array.astype(np.float64) - mean) / (deviation + EPSILON))


def scale_mean_variance(
    array: np.ndarray,
    scene: Scene,
    reference_tensor: str,
    axes: Sequence[str] | None = None,
    eps: float = EPSILON,
) -> np.ndarray:
    """Give the tensor the mean and the deviation of the reference tensor."""
    over, wanted = _axes(axes), scene.named(reference_tensor)
    scaled = (array.astype(np.float64) - scene.own.mean(over)) / (scene.own.deviation(over) + eps)
    return _float(scaled * (wanted.deviation(over) + eps) + wanted.mean(over))


def fixed_zero_mean_unit_variance(
    array: np.ndarray,
    scene: Scene,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    axis: str | None = None,
) -> np.ndarray:
    return (_float(array) - _along(mean, axis)) / (_along(std, axis) + np.float32(EPSILON))


def scale_linear(
    array: np.ndarray,
    scene: Scene,
    gain: float | Sequence[float] = 1.0,
    offset: float | Sequence[float] = 0.0,
    axis: str | None = None,
) -> np.ndarray:
    return _float(array) * _along(gain, axis) + _along(offset, axis)


def clip(
    array: np.ndarray,
    scene: Scene,
    min: float | None = None,
    max: float | None = None,
    min_percentile: float | None = None,
    max_percentile: float | None = None,
    axes: Sequence[str] | None = None,
) -> np.ndarray:
    method: Method = "linear" if axes is None or "batch" in axes else "inverted_cdf"

    def bound(value: float | None, percentile: float | None) -> np.ndarray | float | None:
        return value if percentile is None else scene.own.percentiles([percentile], _axes(axes), method)[0]

    return _float(np.clip(_float(array), bound(min, min_percentile), bound(max, max_percentile)))


def ensure_dtype(array: np.ndarray, scene: Scene, dtype: str) -> np.ndarray:
    return array.astype(np.dtype(dtype), copy=False)


def binarize(
    array: np.ndarray, scene: Scene, threshold: float | Sequence[float], axis: str | None = None
) -> np.ndarray:
    return _float(array > _along(threshold, axis))


def sigmoid(array: np.ndarray, scene: Scene) -> np.ndarray:
    shrunk = np.exp(-np.abs(_float(array)))  # of the side on which it cannot overflow
    return np.where(array >= 0, 1 / (1 + shrunk), shrunk / (1 + shrunk))


def softmax(array: np.ndarray, scene: Scene, axis: str = "channel") -> np.ndarray:
    along = AXES[str(axis)]
    wide = _float(array)
    wide = np.exp(wide - wide.max(axis=along, keepdims=True))
    return wide / wide.sum(axis=along, keepdims=True)


OPERATORS: dict[str, Callable[..., np.ndarray]] = {
    "binarize": binarize,
    "clip": clip,
    "ensure_dtype": ensure_dtype,
    "fixed_zero_mean_unit_variance": fixed_zero_mean_unit_variance,
    "scale_linear": scale_linear,
    "scale_mean_variance": scale_mean_variance,
    "scale_range": scale_range,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "zero_mean_unit_variance": zero_mean_unit_variance,
}
