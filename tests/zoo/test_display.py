"""Pixels as people see them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from zoo.display import contrast_limits, to_display


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4)),
    ),
    st.booleans(),
)
def test_anything_can_be_shown(pixels: np.ndarray, rgb: bool) -> None:
    shown = to_display(pixels, rgb)
    assert shown.dtype == np.uint8
    assert shown.shape in (pixels.shape[:2], (*pixels.shape[:2], 3))


def test_colour_of_eight_bits_stays_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    assert np.array_equal(to_display(pixels, rgb=True), pixels)


def test_grey_saved_as_colour_is_stretched_like_grey() -> None:
    ramp = np.linspace(10, 40, 10_000).reshape(100, 100, 1).astype(np.uint8)
    assert np.array_equal(to_display(np.repeat(ramp, 3, axis=2), rgb=True), to_display(ramp, rgb=False))


def test_a_dim_image_is_stretched_over_the_whole_range() -> None:
    ramp = np.linspace(100, 140, 10_000).reshape(100, 100, 1).astype(np.uint16)
    shown = to_display(ramp, rgb=False)
    assert (shown.min(), shown.max()) == (0, 255)
    assert (np.diff(shown.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan, np.inf, -np.inf])
def test_15_constant_and_not_finite_images(value: float) -> None:
    pixels = np.full((8, 8, 1), value, np.float32)
    low, high = contrast_limits(pixels[:, :, 0])
    assert low < high
    assert to_display(pixels, rgb=False).shape == (8, 8)


def test_15_nan_pixels_do_not_spoil_the_others() -> None:
    pixels = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1).copy()
    pixels[0, 0] = np.nan
    pixels[7, 7] = np.inf
    shown = to_display(pixels, rgb=False)
    assert shown[0, 0] == 0
    assert shown[7, 7] == 255
    assert 100 < shown[4, 0] < 160


def test_limits_can_be_given() -> None:
    pixels = np.arange(256, dtype=np.uint16).reshape(16, 16, 1)
    shown = to_display(pixels, rgb=False, low=100, high=200)
    assert shown[100 // 16, 100 % 16] == 0
    assert shown[200 // 16, 200 % 16] == 255
