"""Tiles: every pixel answered for once, and a real network's result the same whatever the tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.tiles import batches, make_grid, pad_to

STRIDE, LEVELS = 4, 3


@given(
    height=st.integers(1, 700), width=st.integers(1, 700), tile=st.integers(8, 400),
    stride=st.sampled_from([1, 4, 8, 16]), halo=st.integers(0, 70),
)  # fmt: skip
def test_every_pixel_is_answered_for_once_from_inside_a_window(
    height: int, width: int, tile: int, stride: int, halo: int
) -> None:
    grid = make_grid((height, width), tile=tile, stride=stride, halo=halo)
    answered = np.zeros((height, width), int)
    for one in grid.tiles:
        answered[slice(*one.core_y), slice(*one.core_x)] += 1
        for origin, core, window, padded, side in (
            (one.y, one.core_y, grid.window[0], grid.padded[0], height),
            (one.x, one.core_x, grid.window[1], grid.padded[1], width),
        ):
            assert origin % stride == 0
            assert 0 <= origin <= padded - window
            assert origin == 0 or core[0] - origin >= halo
            assert origin + window == padded or origin + window - core[1] >= halo
            assert core[1] <= side
    assert (answered == 1).all()


@given(side=st.integers(300, 3000), tile=st.integers(100, 800))
def test_windows_are_no_larger_than_a_tile_and_its_halo(side: int, tile: int) -> None:
    grid = make_grid((side, side), tile=tile, stride=8, halo=64)
    if len(grid.tiles) > 1:
        assert grid.window[0] <= -(-tile // 8) * 8 + 2 * 64 + 8


def test_a_small_plane_is_one_window() -> None:
    grid = make_grid((50, 61), tile=64, stride=8, halo=64)
    assert grid.window == grid.padded == (56, 64)
    assert len(grid.tiles) == 1


def test_padding_reflects_and_leaves_a_fitting_plane_alone() -> None:
    plane = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    assert pad_to(plane, (2, 3)) is plane
    assert pad_to(plane, (2, 4))[0, :, 0].tolist() == [0, 1, 2, 1]
    assert pad_to(plane[:1, :1], (4, 4)).tolist() == np.zeros((4, 4, 1)).tolist()


def test_batches_hold_all_tiles_in_order() -> None:
    tiles = make_grid((400, 400), tile=96, stride=8, halo=8).tiles
    groups = list(batches(tiles, 4))
    assert all(len(group) <= 4 for group in groups)
    assert tuple(tile for group in groups for tile in group) == tiles


@given(
    height=st.integers(1, 300), width=st.integers(1, 300), tile=st.integers(8, 150), halo=st.integers(0, 40),
    cell=st.sampled_from([1, 2, 8, 16]),
)  # fmt: skip
def test_every_cell_of_a_coarse_map_comes_from_the_window_that_answers_for_it(
    height: int, width: int, tile: int, halo: int, cell: int
) -> None:
    grid = make_grid((height, width), tile=tile, stride=16, halo=halo)
    whole = np.arange(grid.padded[0] // cell * (grid.padded[1] // cell), dtype=np.float32)
    whole = whole.reshape(grid.padded[0] // cell, -1, 1)
    made = np.full((*grid.map_shape(cell), 1), np.nan, np.float32)
    for one in grid.tiles:
        rows, columns = (
            slice(origin // cell, (origin + side) // cell)
            for origin, side in zip((one.y, one.x), grid.window, strict=True)
        )
        one.stitch(whole[rows, columns], made, cell)
    assert np.array_equal(made, whole[: made.shape[0], : made.shape[1]])


@pytest.fixture(scope="module")
def network():
    import keras
    import tensorflow as tf

    from worker.training.network import build_unet

    keras.utils.set_random_seed(5)
    net = build_unet(2, 2, width=4, levels=LEVELS, normalise=False)
    for layer in net.layers:
        # Weights large enough that a pixel's neighbourhood shows in the result.
        layer.set_weights([weights * 1.5 for weights in layer.get_weights()])
    signature = [tf.TensorSpec([None, None, None, 2], tf.float32)]
    return tf.function(lambda batch: net(batch, training=False), input_signature=signature)


@given(height=st.integers(33, 230), width=st.integers(33, 230), tile=st.integers(16, 120), seed=st.integers(0, 99))
def test_tiled_equals_untiled_everywhere(network, height: int, width: int, tile: int, seed: int) -> None:
    from worker.training.network import receptive_radius

    plane = np.random.default_rng(seed).random((height, width, 2), np.float32)
    maps = []
    for side in (None, tile):
        grid = make_grid((height, width), tile=side, stride=STRIDE, halo=receptive_radius(LEVELS))
        padded = pad_to(plane, grid.padded)
        made = np.full((height, width, 2), np.nan, np.float32)
        for one in grid.tiles:
            one.stitch(network(one.cut(padded, grid.window)[None]).numpy()[0], made)
        maps.append(made)
    assert np.ptp(maps[0]) > 0.1
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-5)
