"""The description's operators against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.normalise import OPERATORS, OperatorUnknown, apply_operators, preprocess
from worker.statistics import Measured, percentiles

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(3, 2, (9, 8, 3)).astype(np.float32)


def run(name: str, array: np.ndarray = FLOATS, **kwargs: object) -> np.ndarray:
    return apply_operators(array, [{"id": name, "kwargs": kwargs}])


@given(
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 40),
    st.floats(0, 100),
    st.integers(1, 255),
    st.integers(0, 9),
    st.sampled_from(["linear", "inverted_cdf"]),
)
def test_counted_percentiles_are_numpy_s(
    dtype: type, side: int, percentile: float, top: int, seed: int, method: Any
) -> None:
    array = np.random.default_rng(seed).integers(0, top + 1, (side, 3, 2)).astype(dtype)
    expected = np.quantile(array, percentile / 100, method=method)
    assert percentiles(array, [percentile], method=method)[0].item() == pytest.approx(expected, abs=1e-9)


def test_scale_range_over_all_and_per_channel() -> None:
    low, high = np.percentile(FLOATS, (1, 99))
    made = run("scale_range", axes=["batch", "channel", "y", "x"], min_percentile=1, max_percentile=99)
    np.testing.assert_allclose(made, (FLOATS - low) / (high - low + 1e-6), atol=1e-5)
    per_channel = run("scale_range", axes=["y", "x"])
    np.testing.assert_allclose(per_channel.min((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(per_channel.max((0, 1)), 1, atol=1e-5)
    assert made.dtype == per_channel.dtype == np.float32


def test_unit_variance_measured_and_given() -> None:
    made = run("zero_mean_unit_variance", axes=["y", "x"])
    np.testing.assert_allclose(made.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(made.std((0, 1)), 1, atol=1e-4)
    np.testing.assert_allclose(run("fixed_zero_mean_unit_variance", mean=3.0, std=2.0), (FLOATS - 3) / 2, rtol=1e-5)
    along = run("fixed_zero_mean_unit_variance", mean=[1.0, 2.0, 3.0], std=[1.0, 2.0, 4.0], axis="channel")
    np.testing.assert_allclose(along, (FLOATS - [1, 2, 3]) / [1, 2, 4], rtol=1e-4, atol=1e-6)


def test_linear_clip_and_dtype() -> None:
    np.testing.assert_allclose(run("scale_linear", gain=[2.0, 1.0, 0.5], offset=1.0, axis="channel"),
                               FLOATS * [2, 1, 0.5] + 1, rtol=1e-5)  # fmt: skip
    assert run("clip", min=2.0, max=4.0).min() == 2
    low, high = np.percentile(FLOATS, (10, 90))
    np.testing.assert_allclose(run("clip", min_percentile=10, max_percentile=90), FLOATS.clip(low, high), rtol=1e-6)
    values = np.percentile(FLOATS, (10, 90), axis=(0, 1), method="inverted_cdf")
    clipped = run("clip", min_percentile=10, max_percentile=90, axes=["y", "x"])
    np.testing.assert_allclose(clipped, FLOATS.clip(*values), rtol=1e-6)
    assert run("ensure_dtype", dtype="uint16").dtype == np.uint16


def test_binarize_sigmoid_and_softmax() -> None:
    np.testing.assert_array_equal(run("binarize", threshold=3.0), (FLOATS > 3).astype(np.float32))
    per_channel = run("binarize", threshold=[1.0, 3.0, 5.0], axis="channel")
    np.testing.assert_array_equal(per_channel, (FLOATS > [1, 3, 5]).astype(np.float32))
    wide = np.array([-1e4, -1.0, 0.0, 1e4], np.float32).reshape(1, 4, 1)
    np.testing.assert_allclose(run("sigmoid", wide).ravel(), [0, 0.26894143, 0.5, 1], atol=1e-7)
    np.testing.assert_allclose(run("softmax", FLOATS * 100).sum(axis=2), 1, rtol=1e-5)


def test_operators_run_in_order_and_unknown_ones_are_named() -> None:
    chain = [{"id": "scale_linear", "kwargs": {"gain": 2.0}}, {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}}]
    np.testing.assert_allclose(apply_operators(FLOATS, chain), np.clip(FLOATS * 2, 0, 1))
    with pytest.raises(OperatorUnknown, match="cellpose"):
        run("cellpose_flow_dynamics")
    assert len(OPERATORS) == 10


def test_mean_and_variance_of_the_input_are_given_to_the_output() -> None:
    image = RNG.uniform(50, 90, (9, 8, 1)).astype(np.float32)
    chain = [{"id": "scale_mean_variance", "kwargs": {"reference_tensor": "image", "eps": 1e-6}}]
    made = apply_operators(FLOATS, chain, reference=Measured(image))
    assert made.mean() == pytest.approx(image.mean(), rel=1e-5)
    assert made.std() == pytest.approx(image.std(), rel=1e-4)
    per_channel = apply_operators(
        FLOATS,
        [{"id": "scale_mean_variance", "kwargs": {"reference_tensor": "image", "axes": ["y", "x"]}}],
        reference=Measured(image),
    )
    np.testing.assert_allclose(per_channel.mean((0, 1)), image.mean(), rtol=1e-5)


def test_preprocessing_measures_the_input_before_the_first_operator() -> None:
    chain = [{"id": "clip", "kwargs": {"min": 2.0, "max": 4.0}}, {"id": "zero_mean_unit_variance", "kwargs": {}}]
    clipped = FLOATS.clip(2, 4)
    expected = (clipped - FLOATS.mean()) / FLOATS.std()
    np.testing.assert_allclose(preprocess(FLOATS, chain), expected, rtol=1e-4, atol=1e-5)
    # A part of an image is scaled as the whole is.
    part = apply_operators(FLOATS[:4], chain, statistics=Measured(FLOATS))
    np.testing.assert_allclose(part, expected[:4], rtol=1e-4, atol=1e-5)
    # An output is measured as it stands.
    standing = (clipped - clipped.mean()) / clipped.std()
    np.testing.assert_allclose(apply_operators(FLOATS, chain), standing, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_conversion_before_a_range_changes_nothing(dtype: type) -> None:
    pixels = np.random.default_rng(8).integers(0, 250, (40, 50, 3)).astype(dtype)
    scale = {"id": "scale_range", "kwargs": {"min_percentile": 1.0, "max_percentile": 99.8}}
    convert = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    with_it = apply_operators(pixels, [convert, scale, convert])
    assert with_it.dtype == np.float32
    assert np.array_equal(with_it, apply_operators(pixels, [scale]))
    assert np.allclose(with_it, apply_operators(pixels.astype(np.float32), [convert, scale]), atol=1e-6)
