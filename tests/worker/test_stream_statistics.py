"""Statistics taken in passes over bands are those of the array in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker import statistics
from worker.normalise import apply_operators, preprocess
from worker.stream.planes import Stored
from worker.stream.scratch import Scratch
from worker.stream.statistics import Measured, NotStreamable, postprocessed, preprocessed

DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32")
WHOLE, EACH = (0, 1, 2), (0, 1)


def made(seed: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (*rng.integers(1, 40, 2), rng.integers(1, 4))
    if dtype == "float32":
        return (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4)).astype(dtype)
    info = np.iinfo(dtype)
    low, high = sorted(rng.integers(info.min, info.max, 2, dtype=np.int64).tolist())
    return rng.integers(low, high + 1, shape).astype(dtype)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(DTYPES),
    axes=st.sampled_from([WHOLE, EACH]),
    method=st.sampled_from(["linear", "inverted_cdf"]),
    wanted=st.lists(st.floats(0, 100), min_size=1, max_size=3),
    memory=st.integers(1, 200_000),
)
def test_they_are_those_in_memory(
    tmp_path: Path, seed: int, dtype: str, axes: tuple[int, ...], method: Any, wanted: list[float], memory: int
) -> None:
    array = made(seed, dtype)
    whole, streamed = statistics.Measured(array), Measured(Stored(array), Scratch(tmp_path, memory))
    for one, other in zip(
        whole.percentiles(wanted, axes, method), streamed.percentiles(wanted, axes, method), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    wide = float(np.abs(array.astype(np.float64)).max()) or 1.0
    np.testing.assert_allclose(streamed.mean(axes), whole.mean(axes), rtol=1e-9, atol=1e-9 * wide)
    np.testing.assert_allclose(streamed.deviation(axes), whole.deviation(axes), rtol=1e-9, atol=1e-9 * wide)


PREPROCESSING: list[list[dict[str, Any]]] = [
    [{"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], "min_percentile": 1, "max_percentile": 99.8}}],
    [{"id": "scale_range", "kwargs": {"axes": ["y", "x"], "min_percentile": 0.3, "max_percentile": 97}}],
    [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
    [
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        {"id": "clip", "kwargs": {"min_percentile": 5, "max_percentile": 90, "axes": ["y", "x"]}},
        {"id": "scale_linear", "kwargs": {"gain": 0.5, "offset": 1}},
        {"id": "softmax"},
    ],
    [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 3, "std": 2}}, {"id": "sigmoid"}],
]


@pytest.mark.parametrize("operators", PREPROCESSING)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_operators_by_rectangles_are_those_of_the_whole(
    tmp_path: Path, operators: list[dict[str, Any]], dtype: str
) -> None:
    array, scratch = made(7, dtype), Scratch(tmp_path, 20_000)
    height, width, _ = array.shape
    given = preprocess(array, operators)
    taken = preprocessed(Stored(array), operators, Measured(Stored(array), scratch))
    made_after, taken_after = apply_operators(array, operators), postprocessed(Stored(array), operators, scratch, None)
    for whole, plane in ((given, taken), (made_after, taken_after)):
        assert plane.shape == whole.shape
        part = plane.read((height // 3, height), (0, width - 1))
        np.testing.assert_allclose(part, whole[height // 3 :, : width - 1], rtol=1e-6, atol=1e-6)


def test_rows_by_themselves_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotStreamable, match="rows or columns"):
        Measured(Stored(made(1, "uint8")), Scratch(tmp_path, 1000)).mean((0,))
