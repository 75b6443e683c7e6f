"""Flips and rotations: exact inverses, each one once."""

from __future__ import annotations

import numpy as np
import pytest

from worker.variations import variations

PLANE = np.random.default_rng(0).random((5, 7, 2))


@pytest.mark.parametrize("count", [1, 4, 8])
def test_each_is_undone_exactly_and_none_comes_twice(count: int) -> None:
    chosen = variations(count)
    assert len(chosen) == count
    assert len({variation.apply(PLANE).tobytes() for variation in chosen}) == count
    for variation in chosen:
        np.testing.assert_array_equal(variation.undo(variation.apply(PLANE)), PLANE)


def test_the_first_is_the_image_as_it_is() -> None:
    for count in (1, 4, 8):
        np.testing.assert_array_equal(variations(count)[0].apply(PLANE), PLANE)
