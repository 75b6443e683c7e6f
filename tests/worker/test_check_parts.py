"""The parts of a check that need no network: sides, orders of axes, covers, figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from worker.check_cover import MOST_BYTES, richest_square, write_covers
from worker.check_speed import Speed, begin_memory, ert_figures, one_run, peak_memory_bytes
from worker.check_tensors import side_of, untaken
from worker.networks import Layout

AXES = st.sampled_from(["bcyx", "byxc", "yxc", "cyx", "yx", "byx", "xyc", "cxyb"])


@given(st.integers(1, 600), st.integers(1, 64), st.integers(1, 2000))
def test_a_side_is_one_that_the_description_allows(least: int, step: int, available: int) -> None:
    side = side_of({"min": least, "step": step}, available)
    assert side >= least
    assert (side - least) % step == 0
    assert side == least or side <= min(available, 256)
    assert side_of(least, available) == least


@given(AXES, st.integers(1, 3), st.integers(1, 4))
def test_what_is_taken_and_given_back_is_in_the_package_s_order(axes: str, images: int, maps: int) -> None:
    sizes = {"b": images, "c": maps, "y": 5, "x": 7}
    made = np.random.default_rng(1).random([sizes[axis] for axis in axes])
    layout = Layout(axes, axes)
    np.testing.assert_array_equal(untaken(layout, layout.take(made)), made)


def test_a_list_is_given_back_as_the_package_has_it() -> None:
    made = np.random.default_rng(1).random((9, 5))
    layout = Layout("byxc", "ic")
    assert layout.take(made).shape == (1, 9, 5)
    np.testing.assert_array_equal(untaken(layout, layout.take(made)), made)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**30))
def test_the_cover_shows_where_most_was_found(height: int, width: int, seed: int) -> None:
    found = np.random.default_rng(seed).random((height, width)) < 0.3
    side = 1 + seed % min(height, width)
    top, left = richest_square(found, side)
    places = [(y, x) for y in range(height - side + 1) for x in range(width - side + 1)]
    most = max(int(found[y : y + side, x : x + side].sum()) for y, x in places)
    assert (top, left) in places
    assert found[top : top + side, left : left + side].sum() == most
    if not most:
        assert (top, left) == ((height - side) // 2, (width - side) // 2)


def test_a_cover_of_noise_is_small_enough_for_the_standard(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (900, 700, 3), np.uint8)
    names = write_covers(tmp_path, noise, noise[..., 0], np.zeros((900, 700), np.uint16))
    for name in names:
        assert (tmp_path / name).stat().st_size <= MOST_BYTES < 500_000
        with Image.open(tmp_path / name) as picture:
            assert picture.width == picture.height >= 256


def test_figures_are_those_of_the_device() -> None:
    speed = Speed(0.5, [{"megapixels": 1.0, "seconds": 0.5}], 3)
    assert ert_figures(1.23456, speed, "cpu", "2 cores") == {
        "cpu": {"load_s": 1.235, "seconds_per_megapixel": 0.5, "measured_on": "2 cores", "n": 3}
    }
    assert ert_figures(1.0, speed, "NVIDIA H200", "2 cores")["gpu"]["measured_on"] == "NVIDIA H200"
    assert one_run(0.5, 250_000).seconds_per_megapixel == 2.0


def test_the_peak_of_memory_is_that_since_it_began() -> None:
    begin_memory()
    before = peak_memory_bytes()
    block = np.ones(2**25)
    assert peak_memory_bytes() - before > 0.8 * block.nbytes
