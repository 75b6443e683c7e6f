"""A variation's tiles cut where they lie in the plane as it is give the maps of the whole varied plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.inference import Whole
from worker.pipeline import run_tiles
from worker.predict import planes_as_channels
from worker.stream.infer import Varied
from worker.stream.planes import Stored
from worker.tiles import Grid, make_grid
from worker.variations import Variation, variations


@dataclass(frozen=True)
class Done:
    maps: np.ndarray

    def result(self) -> np.ndarray:
        return self.maps


def network(windows: np.ndarray, stride: int) -> Done:
    """Something that depends on where in the window a pixel is only by the grid of `stride`."""
    turned = np.cumsum(windows[:, ::stride, ::stride], axis=3) * 3 - windows[:, ::stride, ::stride] ** 2
    return Done(turned)


def grid_of(shape: tuple[int, int], tile: int, stride: int, least: int) -> Grid:
    return make_grid((max(shape[0], least), max(shape[1], least)), tile=tile, stride=stride, halo=2 * stride)


@pytest.mark.parametrize("variation", variations("cdeep3m2-1", 3), ids=lambda each: str(each.number))
@settings(deadline=None, max_examples=12)
@given(
    shape=st.tuples(st.integers(9, 70), st.integers(9, 70)), tile=st.integers(8, 40), stride=st.sampled_from([1, 2, 4]),
    least=st.sampled_from([1, 20]), seed=st.integers(0, 99),
)  # fmt: skip
def test_as_the_whole(
    variation: Variation, shape: tuple[int, int], tile: int, stride: int, least: int, seed: int
) -> None:
    stack = np.random.default_rng(seed).random((3, *shape, 2), np.float32)
    whole = Whole(planes_as_channels(variation.apply(stack)), stride)
    grid = grid_of(whole.shape, tile, stride, least)
    whole.begin(grid)
    run_tiles(lambda windows: network(windows, stride), grid, whole, lambda done, tiles: None)
    assert whole.maps is not None
    wanted = variation.undo(whole.maps)

    maps = np.full(wanted.shape, np.nan, np.float32)
    passed: list[int] = []
    flow = Varied([Stored(plane) for plane in stack], variation, maps, stride, passed.append)
    flow.begin(grid)
    run_tiles(lambda windows: network(windows, stride), grid, flow, lambda done, tiles: None, batch=3)
    np.testing.assert_array_equal(maps, wanted)
    assert passed == (sorted(passed) if variation.number == 1 else [])
    assert variation.number > 1 or passed[-1] == maps.shape[0]
