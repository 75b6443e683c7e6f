"""The networks' maps of planes larger than memory, into a file; `worker.predict` tile by tile.

The tiles are those of the whole plane in memory, so the maps are the same to the bit; a flipped or turned variation's
tiles are cut where they lie in the plane as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from worker.inference import WarmModel
from worker.job import PreviewJob, Run
from worker.pipeline import Busy
from worker.predict import planes_as_channels
from worker.stream.planes import Plane
from worker.stream.scratch import Scratch
from worker.tiles import Grid, Tile, map_shape
from worker.variations import Variation, variations
from zoo.passes import frame_counts, passes

Rectangle = tuple[int, int, int, int]  # top, bottom, left, right


def back(rectangle: Rectangle, shape: tuple[int, int], variation: Variation) -> Rectangle:
    """Where a rectangle of a varied plane, of `shape` (y, x) as varied, lies in the plane as it was."""
    top, bottom, left, right = rectangle
    height, width = shape
    for _ in range(variation.turns % 4):
        # A quarter turn to the left had made the last column the first row.
        top, bottom, left, right = left, right, height - bottom, height - top
        height, width = width, height
    if variation.flipped == 0:
        top, bottom = height - bottom, height - top
    if variation.flipped == 1:
        left, right = width - right, width - left
    return top, bottom, left, right


@dataclass(frozen=True)
class Varied:
    """A stack of planes, flipped or turned, from which windows are cut."""

    planes: list[Plane]
    variation: Variation

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.planes[0].shape[:2]
        return (width, height) if self.variation.turns % 2 else (height, width)

    @property
    def channels(self) -> int:
        return len(self.planes) * self.planes[0].shape[2]

    def cut(self, tile: Tile, grid: Grid) -> np.ndarray:
        """The window of a tile, (y, x, plane * channel) float32, reflected beyond the plane's end."""
        rows, columns = (
            _reflected(start, start + length, side)
            for start, length, side in zip((tile.y, tile.x), grid.window, self.shape, strict=True)
        )
        varied = int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1
        top, bottom, left, right = back(varied, self.shape, self.variation)
        stack = np.stack([plane.read((top, bottom), (left, right)) for plane in self.planes])
        window = planes_as_channels(self.variation.apply(stack.astype(np.float32, copy=False)))
        if len(rows) > window.shape[0] or len(columns) > window.shape[1]:
            window = window[(rows - varied[0])[:, None], (columns - varied[2])[None, :]]
        return window


def _reflected(start: int, stop: int, side: int) -> np.ndarray:
    """Pixels start to stop of an axis of `side`, turned back at its end as `np.pad` reflects."""
    if stop <= side:
        return np.arange(start, stop)
    return np.pad(np.arange(side), (0, stop - side), mode="reflect")[start:stop]


class Maps:
    """The mean of all runs so far, in files: within a network over its variations, then over the networks."""

    def __init__(self, shape: tuple[int, int, int], networks: int, runs: int, scratch: Scratch) -> None:
        self._networks, self._scratch = networks, scratch
        self.array = scratch.array("maps", shape, np.float32)
        self._network = self.array if networks == 1 else scratch.array("network", shape, np.float32)
        self.run = self.array if runs == 1 else scratch.array("run", shape, np.float32)

    def end_run(self, index: int, count: int) -> None:
        """Add what `run` holds, the run `index` of `count` of its network."""
        if self.run is not self.array:
            self._add(self.run, self._network, index, count)

    def end_network(self, index: int) -> None:
        """Add a network's mean to those before."""
        if self._networks > 1:
            self._add(self._network, self.array, index, self._networks)

    def _add(self, more: np.ndarray, mean: np.ndarray, index: int, count: int) -> None:
        """Let `mean` be the sum of the first `index` + 1 of `count`, and in the end their mean."""
        height, width, maps = mean.shape
        step = self._scratch.rows(width, 12 * maps)
        for top in range(0, height, step):
            rows = slice(top, top + step)
            total = mean[rows] + more[rows] if index else more[rows]
            mean[rows] = total / np.float32(count) if index == count - 1 and count > 1 else total
            self._scratch.release()


def averaged(
    model: WarmModel,
    planes: list[Plane],
    job: PreviewJob,
    run: Run,
    scratch: Scratch,
    passed: Callable[[int], None] = lambda row: None,
    busy: Busy | None = None,
) -> np.memmap:
    """The networks' maps (y, x, map) float32 of the middle plane, as `worker.predict.averaged` gives them.

    `passed` is told the row above which all maps are final.
    """
    settings = job.settings
    counts, total = frame_counts(settings), passes(settings)
    height, width = planes[0].shape[:2]
    stride = model.output_stride
    maps = Maps((*map_shape((height, width), stride), model.output_channels), len(counts), total, scratch)
    done = 0
    for index, frames in enumerate(counts):
        first = len(planes) // 2 - frames // 2
        chosen = variations(settings.get("variations", "none"), frames)
        for turn, variation in enumerate(chosen):
            varied = Varied(planes[first : first + frames], variation)
            final = done == total - 1 and len(counts) == 1 and variation.number in (1, 9)
            _one(
                model,
                varied,
                maps,
                (turn, len(chosen)),
                (done, total),
                job,
                run,
                scratch,
                passed if final else None,
                busy,
            )
            done += 1
        maps.end_network(index)
    passed(maps.array.shape[0])
    return maps.array


def _one(
    model: WarmModel,
    varied: Varied,
    maps: np.ndarray,
    runs: tuple[int, int],
    job: PreviewJob,
    run: Run,
    scratch: Scratch,
    passed: Callable[[int], None] | None,
    busy: Busy | None,
) -> None:
    """One run of one network, into `maps`; `runs` are its index among all runs and their number."""
    stride = model.output_stride
    size = map_shape(varied.shape, stride)

    def step(done: int, tiles: int) -> None:
        told = f"tile {done} of {tiles}" + (f", pass {runs[0] + 1} of {runs[1]}" if runs[1] > 1 else "")
        run.progress("inferring", (runs[0] + done / tiles) / runs[1], told)
        scratch.release()

    def land(tile: Tile, made: np.ndarray) -> None:
        (top, bottom), (left, right) = ((low // stride, -(-high // stride)) for low, high in (tile.core_y, tile.core_x))
        y, x = tile.y // stride, tile.x // stride
        part = made[top - y : bottom - y, left - x : right - x]
        first, last, begin, end = back((top, bottom, left, right), size, varied.variation)
        maps[first:last, begin:end] = varied.variation.undo(part)
        if passed is not None and varied.variation.number == 1 and right == size[1]:
            passed(bottom)

    model.predict_tiles(
        varied.shape,
        cut=varied.cut,
        land=land,
        step=step,
        log=run.log,
        tile=job.settings["tile_px"],
        batch=job.settings["batch"],
        busy=busy,
        # Networks of one plane are asked without a count, which is theirs.
        **({} if len(varied.planes) == 1 else {"frames": len(varied.planes)}),
    )
