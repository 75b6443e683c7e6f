"""Tiles through a network: windows are cut ahead of it and its maps put away behind it, in threads of their own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worker.tiles import Tile, batches

# Batches cut before they are asked for, handed to the device before the first is fetched, and not yet put away: copying
# hides behind computing.
AHEAD, IN_FLIGHT, BEHIND = 2, 2, 2


class Handle(Protocol):
    """Maps that are being computed."""

    def result(self) -> np.ndarray:
        """(batch, y, x, map) float32."""
        ...


@dataclass
class Busy:
    """Seconds that each thread worked; the middle one's include its waiting for the device."""

    cutting: float = 0.0
    computing: float = 0.0
    landing: float = 0.0


def run_tiles(
    tiles: Sequence[Tile],
    batch: int,
    *,
    cut: Callable[[tuple[Tile, ...]], np.ndarray],
    start: Callable[[np.ndarray], Handle],
    land: Callable[[Tile, np.ndarray], None],
    step: Callable[[int, int], None],
    busy: Busy | None = None,
) -> None:
    """Run every tile once, in order.

    Args:
        cut: gives the windows of some tiles, (batch, y, x, channel) float32; called from one other thread.
        start: hands windows to the network; called from this thread.
        land: puts the maps (y, x, map) of one tile away; called from another thread.
        step: told, after each batch, of the tiles done and their number; may raise to stop.
        busy: adds up the threads' times.

    Raises what any of them raised; by then no thread is at work.
    """
    busy = busy or Busy()

    def timed_cut(group: tuple[Tile, ...]) -> np.ndarray:
        started = time.perf_counter()
        windows = cut(group)
        busy.cutting += time.perf_counter() - started
        return windows

    def timed_land(group: tuple[Tile, ...], made: np.ndarray) -> None:
        started = time.perf_counter()
        for tile, part in zip(group, made, strict=True):
            land(tile, part)
        busy.landing += time.perf_counter() - started

    groups = list(batches(tuple(tiles), batch))
    flying: deque[tuple[tuple[Tile, ...], Handle]] = deque()
    landing: deque[Future[None]] = deque()
    done = 0
    with ThreadPoolExecutor(1, "cut") as cutter, ThreadPoolExecutor(1, "land") as lander:

        def settle() -> None:
            nonlocal done
            group, handle = flying.popleft()
            started = time.perf_counter()
            made = handle.result()
            busy.computing += time.perf_counter() - started
            landing.append(lander.submit(timed_land, group, made))
            if len(landing) > BEHIND:
                landing.popleft().result()
            done += len(group)
            step(done, len(tiles))

        try:
            ahead = deque(cutter.submit(timed_cut, group) for group in groups[:AHEAD])
            for index, group in enumerate(groups):
                windows = ahead.popleft().result()
                if index + AHEAD < len(groups):
                    ahead.append(cutter.submit(timed_cut, groups[index + AHEAD]))
                started = time.perf_counter()
                flying.append((group, start(windows)))
                busy.computing += time.perf_counter() - started
                if len(flying) >= IN_FLIGHT:
                    settle()
            while flying:
                settle()
            while landing:
                landing.popleft().result()
        finally:
            for pool in (cutter, lander):
                pool.shutdown(wait=False, cancel_futures=True)


def stacked(windows: Sequence[np.ndarray]) -> np.ndarray:
    """Windows (y, x, channel) as one contiguous (batch, y, x, channel)."""
    return np.ascontiguousarray(windows[0])[None] if len(windows) == 1 else np.stack(windows)
