"""Tiles run ahead, through and behind the network: all of them once, in order, and whatever is raised comes out."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from worker.pipeline import Busy, run_tiles, stacked
from worker.tiles import Tile, make_grid


@dataclass(frozen=True)
class Done:
    maps: np.ndarray

    def result(self) -> np.ndarray:
        return self.maps


def run(batch: int, **given: object) -> np.ndarray:
    plane = np.random.default_rng(1).random((100, 70, 2), np.float32)
    grid, out = make_grid((100, 70), tile=32, stride=1, halo=3), np.zeros((100, 70, 2), np.float32)
    steps: list[tuple[int, int]] = []
    busy = Busy()
    calls = {
        "cut": lambda group: stacked([tile.cut(plane, grid.window) for tile in group]),
        "start": lambda windows: Done(windows * 2),
        "land": lambda tile, made: tile.stitch(made, out),
        "step": lambda done, tiles: steps.append((done, tiles)),
    } | given
    run_tiles(grid.tiles, batch, busy=busy, **calls)  # type: ignore[arg-type]
    np.testing.assert_array_equal(out, plane * 2)
    assert [tiles for _, tiles in steps] == [len(grid.tiles)] * len(steps)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == len(grid.tiles)
    assert min(busy.cutting, busy.computing, busy.landing) > 0
    return out


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_every_tile_comes_out(batch: int) -> None:
    run(batch)


@pytest.mark.parametrize("where", ["cut", "start", "land", "step"])
def test_what_is_raised_comes_out_and_no_thread_stays(where: str) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError(where)

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match=where):
        run(2, **{where: fail})
    assert threading.active_count() == before


def test_windows_are_contiguous() -> None:
    plane = np.zeros((20, 20, 1), np.float32)
    tile = Tile(4, 4, (0, 1), (0, 1))
    for count in (1, 2):
        windows = stacked([tile.cut(plane, (8, 8))] * count)
        assert windows.shape == (count, 8, 8, 1)
        assert windows.flags.c_contiguous
