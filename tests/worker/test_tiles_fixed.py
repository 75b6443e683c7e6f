"""Windows of one size over planes of any size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.tiles import pad_to
from worker.tiles_fixed import fixed_grid


@given(
    shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    window=st.tuples(st.integers(8, 70), st.integers(8, 70)),
    stride=st.sampled_from([1, 2, 4, 8]),
    cell=st.sampled_from([1, 2]),
    halo=st.integers(0, 40),
)
def test_every_cell_is_made_once_inside_one_window(
    shape: tuple[int, int], window: tuple[int, int], stride: int, cell: int, halo: int
) -> None:
    stride, window = max(stride, cell), (window[0] // cell * cell, window[1] // cell * cell)
    grid = fixed_grid(shape, window=window, stride=stride, halo=halo, cell=cell)
    assert grid.window == window
    padded = pad_to(np.arange(shape[0] * shape[1], dtype=np.float32).reshape(*shape, 1), grid.padded)
    made = np.zeros((*grid.map_shape(cell), 1), np.float32)
    seen = np.zeros(made.shape, int)
    for tile in grid.tiles:
        cut = tile.cut(padded, window)
        assert cut.shape[:2] == window
        assert tile.y % stride == tile.x % stride == 0
        tile.stitch(cut[::cell, ::cell], made, cell)
        tile.stitch(np.ones((window[0] // cell, window[1] // cell, 1), int), counted := np.zeros_like(seen), cell)
        seen += counted
    assert (seen == 1).all()
    np.testing.assert_array_equal(made, padded[: shape[0] : cell, : shape[1] : cell][: made.shape[0], : made.shape[1]])


def test_a_halo_is_kept_as_far_as_the_window_can_spare_it() -> None:
    wide = fixed_grid((400, 64), window=(128, 64), stride=8, halo=24)
    inner = wide.tiles[1]
    assert inner.core_y[0] - inner.y == 24
    assert inner.core_y[1] - inner.y == 128 - 24
    tight = fixed_grid((400, 64), window=(128, 64), stride=8, halo=100)
    assert tight.tiles[1].core_y[0] - tight.tiles[1].y == 60
