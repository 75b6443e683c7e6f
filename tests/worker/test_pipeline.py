"""Tiles run ahead, through and behind the network: all of them once, in order, and whatever is raised comes out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from worker.inference import Whole
from worker.pipeline import Busy, run_tiles, stacked
from worker.tiles import make_grid

PLANE = np.random.default_rng(1).random((100, 70, 2), np.float32)
GRID = make_grid((100, 70), tile=32, stride=1, halo=3)


@dataclass(frozen=True)
class Done:
    maps: np.ndarray

    def result(self) -> np.ndarray:
        return self.maps


def begun() -> Whole:
    flow = Whole(PLANE, 1)
    flow.begin(GRID)
    return flow


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize(("batch", "fixed"), [(1, None), (3, None), (100, None), (1, 4), (8, 7)])
def test_every_tile_comes_out(batch: int, fixed: int | None, beside: bool) -> None:
    flow, busy = begun(), Busy()
    steps: list[tuple[int, int]] = []
    sizes: list[int] = []

    def start(windows: np.ndarray) -> Done:
        sizes.append(len(windows))
        return Done(windows * 2)

    run_tiles(start, GRID, flow, lambda *told: steps.append(told), batch=batch, fixed=fixed,
              beside=beside, busy=busy)  # fmt: skip
    np.testing.assert_array_equal(flow.maps, PLANE * 2)
    count = len(GRID.tiles)
    assert [done for done, _ in steps] == [min(count, (index + 1) * (fixed or batch)) for index in range(len(steps))]
    assert {tiles for _, tiles in steps} == {count}
    assert fixed is None or set(sizes) == {fixed}
    assert min(busy.cutting, busy.computing, busy.landing) > 0


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("where", ["cut", "start", "land", "step"])
def test_what_is_raised_comes_out_and_no_thread_stays(
    where: str, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError(where)

    flow, before = begun(), threading.active_count()
    if where in ("cut", "land"):
        monkeypatch.setattr(flow, where, fail)
    start: Callable[..., Done] = fail if where == "start" else Done  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError, match=where):
        run_tiles(start, GRID, flow, fail if where == "step" else lambda *_: None, batch=2,
              beside=beside)  # fmt: skip
    assert threading.active_count() == before


def test_batches_are_filled_up_and_a_single_window_is_not_copied() -> None:
    window = PLANE[4:12, 4:12]
    for given, count in ((1, 1), (2, 2), (1, 3)):
        windows = stacked([window] * given, count)
        assert windows.shape == (count, 8, 8, 2)
        assert np.shares_memory(windows, PLANE) == (count == 1)
        np.testing.assert_array_equal(windows[given - 1], window)
        assert not windows[given:].any()
