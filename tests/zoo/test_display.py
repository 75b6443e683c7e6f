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


def test_an_empty_channel_adds_nothing() -> None:
    pixels = np.zeros((40, 40, 2), np.uint16)
    pixels[:, :, 1] = np.arange(1600).reshape(40, 40)
    shown = to_display(pixels, rgb=False)
    assert (shown[:, :, 1] == 0).all()
    assert (shown[39, 39] == (255, 0, 255)).all()
    assert not to_display(np.full((4, 4, 1), 7, np.uint8), rgb=False).any()


def test_bands_and_tables_draw_what_one_formula_says() -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (700, 30, 1), dtype=np.uint16)
    expected = to_display(deep.astype(np.float32), rgb=False)
    assert np.array_equal(to_display(deep, rgb=False), expected)
    low, high = contrast_limits(deep)
    exact = (np.clip(deep[:, :, 0].astype(float), low, high) - low) * 255 / (high - low)
    assert np.abs(expected - exact).max() <= 0.5 + 1e-9


def test_colours_of_sixteen_bits_share_their_limits() -> None:
    """The limits see every channel, whatever the width of the image."""
    pixels = np.zeros((1200, 1200, 3), np.uint16)
    pixels[:, :, 1] = 10_000
    pixels[:, :, 2] = 40_000
    assert contrast_limits(pixels) == (0.0, 40_000.0)
    assert (to_display(pixels, rgb=True)[5, 5] == (0, 64, 255)).all()


def test_large_integers_keep_their_differences() -> None:
    pixels = (np.arange(256, dtype=np.uint32) + 4_000_000_000).reshape(16, 16, 1)
    assert len(np.unique(to_display(pixels, rgb=False))) > 240
