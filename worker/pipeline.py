"""Tiles through a network: windows are cut ahead of it and its maps put away behind it, each in a thread of its own.

Only where there is something to wait for, a card or a disk: a network fills the whole processor, and to copy beside its
threads was measured to cost more than to copy in turn.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worker.networks import Handle
from worker.tiles import Grid, Tile, batches

# Batches cut before they are asked for, handed to the device before the first is fetched, and not yet put away: copying
# hides behind computing.
AHEAD, IN_FLIGHT, BEHIND = 2, 2, 2


class Flow(Protocol):
    """Where the tiles of a plane of `shape` (y, x) come from, and where what is made of them goes."""

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def at_hand(self) -> bool:
        """Whether the plane and its maps are in memory: nothing is read nor written."""
        ...

    def begin(self, grid: Grid) -> None:
        """These tiles will be run; what came of a run before is void."""
        ...

    def cut(self, tile: Tile) -> np.ndarray:
        """A tile's window of the padded plane, (y, x, channel) float32; called from one thread."""
        ...

    def land(self, tile: Tile, made: np.ndarray) -> None:
        """Take the window's maps (y, x, map), or its list (row, column); called from one thread, in order."""
        ...


@dataclass
class Busy:
    """Seconds of each kind of work; those of the middle one include waiting for the device."""

    cutting: float = 0.0
    computing: float = 0.0
    landing: float = 0.0


def run_tiles(
    start: Callable[[np.ndarray], Handle],
    grid: Grid,
    flow: Flow,
    step: Callable[[int, int], None],
    *,
    batch: int = 1,
    fixed: int | None = None,
    beside: bool = True,
    busy: Busy | None = None,
) -> None:
    """Run every tile once, in order.

    Args:
        start: begins to compute (batch, y, x, channel) float32.
        step: told, after each batch, of the tiles done and their number; may raise to stop.
        batch: tiles at once.
        fixed: the only number of tiles at once that the network takes; the last batch is filled up with zeros.
        beside: cut and put away beside the network; else all is done in turn, by the caller's thread.
        busy: adds up the threads' times.

    Raises what any of them raised; by then no thread is at work.
    """
    busy = busy or Busy()

    def cut(group: Sequence[Tile]) -> np.ndarray:
        started = time.perf_counter()
        windows = stacked([flow.cut(tile) for tile in group], fixed or len(group))
        busy.cutting += time.perf_counter() - started
        return windows

    def land(group: Sequence[Tile], made: np.ndarray) -> None:
        started = time.perf_counter()
        for tile, part in zip(group, made, strict=False):
            flow.land(tile, part)
        busy.landing += time.perf_counter() - started

    groups = list(batches(grid.tiles, fixed or batch))
    flying: deque[tuple[Sequence[Tile], Handle]] = deque()
    landing: deque[Future[None]] = deque()
    done = 0

    def settle() -> None:
        nonlocal done
        group, handle = flying.popleft()
        started = time.perf_counter()
        made = handle.result()
        busy.computing += time.perf_counter() - started
        if lander is None:
            land(group, made)
        else:
            landing.append(lander.submit(land, group, made))
        if len(landing) > BEHIND:
            landing.popleft().result()
        done += len(group)
        step(done, len(grid.tiles))

    with ExitStack() as threads:
        cutter, lander = (_thread(name, threads) if beside else None for name in ("cut", "land"))
        cuts = map(cut, groups) if cutter is None else _ahead(cutter, cut, groups)
        for group, windows in zip(groups, cuts, strict=True):
            started = time.perf_counter()
            flying.append((group, start(windows)))
            busy.computing += time.perf_counter() - started
            if len(flying) >= (IN_FLIGHT if beside else 1):
                settle()
        while flying:
            settle()
        while landing:
            landing.popleft().result()


def _thread(name: str, threads: ExitStack) -> ThreadPoolExecutor | None:
    """A thread that has begun, and that ends with `threads`, what it has not begun left undone; None where there is no
    memory for one more.
    """
    pool = ThreadPoolExecutor(1, name)
    threads.callback(pool.shutdown, cancel_futures=True)
    try:
        pool.submit(int)
    except RuntimeError:
        return None
    return pool


def _ahead(
    cutter: ThreadPoolExecutor, cut: Callable[[Sequence[Tile]], np.ndarray], groups: Sequence[Sequence[Tile]]
) -> Iterator[np.ndarray]:
    """The groups' windows in order, AHEAD of them being cut meanwhile."""
    waiting = deque(cutter.submit(cut, group) for group in groups[:AHEAD])
    for index in range(len(groups)):
        windows = waiting.popleft().result()
        if index + AHEAD < len(groups):
            waiting.append(cutter.submit(cut, groups[index + AHEAD]))
        yield windows


def stacked(windows: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Windows (y, x, channel) as one (count, y, x, channel) float32, zeros behind the last; of a single one a view."""
    if len(windows) == count == 1:
        return windows[0][None]
    batch = np.empty((count, *windows[0].shape), np.float32)
    for index, window in enumerate(windows):
        batch[index] = window
    batch[len(windows) :] = 0
    return batch
