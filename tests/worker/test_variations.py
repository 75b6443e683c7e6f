"""Flips and rotations: exact inverses, each one once, and what each number stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.predict import planes_as_channels
from worker.training.varied import averaged
from worker.variations import Variation, variations
from zoo.passes import VARIATIONS, variation_set

STACK = np.random.default_rng(0).random((3, 5, 7, 2))
SMALL = np.array([[1, 2], [3, 4]])
# What CDeep3M2's numbers do to SMALL, whose rows are y; 9 to 16 do the same with the planes turned round.
SHOWN = {
    1: [[1, 2], [3, 4]],
    2: [[3, 4], [1, 2]],
    3: [[2, 1], [4, 3]],
    4: [[2, 4], [1, 3]],
    5: [[3, 1], [4, 2]],
    6: [[4, 2], [3, 1]],
    7: [[1, 3], [2, 4]],
    8: [[4, 3], [2, 1]],
}


def numbered(number: int) -> Variation:
    return next(each for each in variations("cdeep3m2-1", 3) if each.number == number)


@pytest.mark.parametrize("number", range(1, 17))
def test_what_a_number_does(number: int) -> None:
    stack = np.stack([SMALL, SMALL + 10, SMALL + 20])[..., None]
    varied = numbered(number).apply(stack)[..., 0]
    shown = np.array(SHOWN[(number - 1) % 8 + 1])
    order = (0, 10, 20) if number <= 8 else (20, 10, 0)
    np.testing.assert_array_equal(varied, np.stack([shown + plus for plus in order]))


@pytest.mark.parametrize("frames", [1, 3, 5])
@pytest.mark.parametrize("name", VARIATIONS)
def test_each_is_undone_exactly_and_none_comes_twice(name: str, frames: int) -> None:
    chosen = variations(name, frames)
    assert [variation.number for variation in chosen] == list(variation_set(name, frames))
    stack = np.random.default_rng(frames).random((frames, 5, 7, 2))
    assert len({variation.apply(stack).tobytes() for variation in chosen}) == len(chosen)
    for variation in chosen:
        np.testing.assert_array_equal(variation.undo(variation.apply(stack)[frames // 2]), stack[frames // 2])


def test_without_variations_the_image_is_as_it_is() -> None:
    (only,) = variations("none", 3)
    np.testing.assert_array_equal(only.apply(STACK), STACK)
    assert variations("cdeep3m2-10", 5) == variations("none", 5)


@given(planes=st.integers(1, 5), channels=st.integers(1, 3))
def test_planes_become_channels_plane_by_plane(planes: int, channels: int) -> None:
    stack = np.random.default_rng(planes).random((planes, 4, 6, channels))
    found = planes_as_channels(stack)
    assert found.flags.c_contiguous
    for plane in range(planes):
        np.testing.assert_array_equal(found[..., plane * channels : (plane + 1) * channels], stack[plane])


def test_a_recipe_averages_as_a_preview_does() -> None:
    """A network that is blind to direction gives the same however it is turned; one that is not is averaged."""
    rng = np.random.default_rng(0)
    image = rng.random((8, 6, 3), np.float32)
    assert np.allclose(averaged(lambda one: one, image, "8-flips"), image)
    slope = averaged(lambda one: np.tile(np.arange(one.shape[1], dtype=np.float32), (len(one), 1)), image, "8-flips")
    assert slope.shape == (8, 6)
    assert slope.dtype == np.float32
    assert np.allclose(slope, slope[::-1])
    assert np.allclose(slope, slope[:, ::-1])
    assert np.allclose(slope, 3.0)
