"""The networks' maps of planes larger than memory, into a file; `worker.predict` tile by tile.

The tiles are those of the whole plane in memory, so the maps are the same to the bit; a flipped or turned variation's
tiles are cut where they lie in the plane as it is.
"""

from __future__ import annotations

from collections.abc import Callable

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


class Varied:
    """A stack of planes, flipped or turned, that goes through a network tile by tile into `maps` (y, x, map)."""

    at_hand = False

    def __init__(
        self,
        planes: list[Plane],
        variation: Variation,
        maps: np.ndarray,
        output_stride: int,
        passed: Callable[[int], None] | None = None,
    ) -> None:
        self.planes, self.variation, self.maps, self.output_stride = planes, variation, maps, output_stride
        height, width = planes[0].shape[:2]
        self.shape = (width, height) if variation.turns % 2 else (height, width)
        self._map_shape = map_shape(self.shape, output_stride)
        self.made: list[tuple[Tile, np.ndarray]] = []
        # Only of the plane as it is do the first rows come first.
        self._passed = passed if variation.number == 1 else None

    def begin(self, grid: Grid) -> None:
        self._window, self.made = grid.window, []
        self._places = [
            np.pad(np.pad(np.arange(side), (0, large - side), mode="reflect"), (0, padded - large), mode="reflect")
            for side, large, padded in zip(self.shape, grid.shape, grid.padded, strict=True)
        ]

    def cut(self, tile: Tile) -> np.ndarray:
        """The window of a tile, (y, x, plane * channel) float32, reflected beyond the plane's end."""
        rows, columns = (
            places[start : start + length]
            for places, start, length in zip(self._places, (tile.y, tile.x), self._window, strict=True)
        )
        first, left = int(rows.min()), int(columns.min())
        varied = first, int(rows.max()) + 1, left, int(columns.max()) + 1
        top, bottom, begin, end = back(varied, self.shape, self.variation)
        stack = np.stack([plane.read((top, bottom), (begin, end)) for plane in self.planes])
        window = planes_as_channels(self.variation.apply(stack.astype(np.float32, copy=False)))
        if window.shape[:2] != tuple(self._window):
            window = window[(rows - first)[:, None], (columns - left)[None, :]]
        return window

    def land(self, tile: Tile, made: np.ndarray) -> None:
        if made.ndim == 2:
            self.made.append((tile, made))
            return
        part, rows, columns = tile.core(made, self._map_shape, self.output_stride)
        top, bottom, left, right = back((*rows, *columns), self._map_shape, self.variation)
        self.maps[top:bottom, left:right] = self.variation.undo(part)
        if self._passed is not None and columns[1] == self._map_shape[1]:
            self._passed(rows[1])


def listed(model: WarmModel, planes: list[Plane], job: PreviewJob, run: Run, scratch: Scratch) -> np.ndarray:
    """The rows (row, column) float32 of the boxes that a network lists, those that several tiles see once."""
    frames = frame_counts(job.settings)[0]

    def step(tile: int, tiles: int) -> None:
        run.progress("inferring", tile / tiles, f"tile {tile} of {tiles}")
        scratch.release()

    flow = Varied(planes, variations("none")[0], np.zeros((0, 0, 0), np.float32), model.output_stride)
    settings = job.settings
    grid = model.predict_tiles(flow, step, run.log, tile=settings["tile_px"], batch=settings["batch"], frames=frames)
    return model.merged(flow.made, flow.shape, grid)


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


def empty_maps(model: WarmModel, planes: list[Plane], job: PreviewJob, scratch: Scratch) -> Maps:
    """Room for the maps of `planes` and for what they are averaged from."""
    shape = map_shape(planes[0].shape[:2], model.output_stride)
    networks, runs = len(frame_counts(job.settings)), passes(job.settings)
    return Maps((*shape, model.output_channels), networks, runs, scratch)


def averaged(
    model: WarmModel,
    planes: list[Plane],
    maps: Maps,
    job: PreviewJob,
    run: Run,
    scratch: Scratch,
    passed: Callable[[int], None] = lambda row: None,
) -> Busy:
    """The networks' maps of the middle plane into `maps`, as `worker.predict.averaged` gives them.

    `passed` is told the row above which all maps are final. Returns how long each thread worked.
    """
    settings, busy = job.settings, Busy()
    counts, total = frame_counts(settings), passes(settings)
    done = 0

    def step(tile: int, tiles: int) -> None:
        told = f"tile {tile} of {tiles}" + (f", pass {done + 1} of {total}" if total > 1 else "")
        run.progress("inferring", (done + tile / tiles) / total, told)
        scratch.release()

    for index, frames in enumerate(counts):
        first = len(planes) // 2 - frames // 2
        chosen = variations(settings.get("variations", "none"), frames)
        for turn, variation in enumerate(chosen):
            flow = Varied(
                planes[first : first + frames], variation, maps.run, model.output_stride, passed if total == 1 else None
            )
            model.predict_tiles(
                flow, step, run.log, tile=settings["tile_px"], batch=settings["batch"], frames=frames, busy=busy
            )
            maps.end_run(turn, len(chosen))
            done += 1
        maps.end_network(index)
    passed(maps.array.shape[0])
    return busy
