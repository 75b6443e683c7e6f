"""Star-convex polygons of maps larger than memory, the same as those of the whole.

Whether a polygon stays depends on more probable ones that overlap it, which depend on others. So the plane is gone
over in windows that reach far beyond their squares, a pixel's fate being settled only when all is known that bears on
it, and again until nothing is left open. What stays is then drawn square by square.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from worker.heads.decode import Task
from worker.heads.star_convex import KEPT, OPEN, Polygons, candidates, draw, settled
from worker.job import PreviewJob, Run
from worker.stream.components import Window, squares, widened
from worker.stream.numbering import numbered
from worker.stream.objects import Found
from worker.stream.planes import Plane
from worker.stream.scratch import Scratch, rectangle
from worker.stream.statistics import NotStreamable
from zoo.pixel_scale import Scale

Tick = Callable[[float], None]
SMALLEST_SQUARE = 16


class StarConvex:
    """The polygons that `maps`, of a cell every `head["stride"]` pixels, propose; `task` without its maps."""

    def __init__(self, maps: Plane, task: Task, scratch: Scratch) -> None:
        self.maps, self.scratch = maps, scratch
        self.stride = int(task.head.get("stride", 1))
        self.probability, self.rays = int(task.head.get("probability", 0)), list(task.head["rays"])
        self.threshold, self.overlap = task.settings["threshold"], task.number("overlap", 0.4)
        self.shape = maps.shape[0], maps.shape[1]
        # Of every cell: OPEN, KEPT, or 0 where there is no candidate or it was dropped.
        self.state = scratch.array("candidates", self.shape, np.uint8)
        self.bytes_per_cell = 4 * maps.shape[2] + 12 * len(self.rays) + 64

    def find(self, log: Callable[[str], None], tick: Tick = lambda share: None) -> Polygons:
        """What stays, the most probable first."""
        reach = self._propose(lambda share: tick(0.2 * share))
        margin = math.ceil(2 * reach / self.stride) + 1
        side = int((self.scratch.memory // 2 // self.bytes_per_cell) ** 0.5) - 2 * margin
        if side < SMALLEST_SQUARE:
            raise NotStreamable(
                f"The network's rays reach up to {reach:.0f} pixels, too far for the memory.",
                "Choose a smaller --roi, or raise ZOOSCOPE_STREAM_MEMORY_BYTES.",
            )
        rounds, left = 0, self.shape[0] * self.shape[1]
        while left:
            rounds, left = rounds + 1, 0
            for square in squares(self.shape, side):
                self._settle(square, margin, reach)
                left += int(np.count_nonzero(_part(self.state, square) == OPEN))
                self.scratch.release()
                if rounds == 1:
                    tick(0.2 + 0.5 * square[2] / self.shape[0])
        log(f"polygons told apart in squares of {side} cells, {rounds} times over")
        return self._kept()

    def draw(self, found: Polygons, shape: tuple[int, int]) -> np.ndarray:
        """(y, x) int32 in a file: the polygons' numbers, from 1, in a plane of `shape` pixels."""
        labels = self.scratch.array("labels", shape, np.int32)
        reach, side = found.reach + 2, max(64, int((self.scratch.memory // 64) ** 0.5))
        y, x = found.centres.T
        for square in squares(shape, side):
            top, left, bottom, right = square
            near = (y + reach >= top) & (y - reach < bottom) & (x + reach >= left) & (x - reach < right)
            chosen = np.flatnonzero(near)
            part = np.zeros((bottom - top, right - left), np.int32)
            draw(part, found[chosen], chosen + 1, top, left)
            labels[top:bottom, left:right] = part
            self.scratch.release()
        return labels

    def _propose(self, tick: Tick) -> float:
        """Mark all candidates; the longest of their rays, in pixels."""
        reach = 0.0
        for window, maps in self._bands(self.bytes_per_cell):
            chosen = maps[..., self.probability] >= self.threshold
            self.state[window[0] : window[2]] = np.where(chosen, OPEN, 0)
            rays = maps[chosen][:, self.rays]
            reach = max(reach, float(rays[np.isfinite(rays)].max(initial=0)))
            tick(window[2] / self.shape[0])
        return reach

    def _bands(self, bytes_per_cell: int) -> Iterator[tuple[Window, np.ndarray]]:
        height, width = self.shape
        step = self.scratch.rows(width, bytes_per_cell)
        for top in range(0, height, step):
            bottom = min(height, top + step)
            yield (top, 0, bottom, width), self.maps.read((top, bottom), (0, width))
            self.scratch.release()

    def _settle(self, square: Window, margin: int, reach: float) -> None:
        """Settle what can be settled in the square, and what is beside it."""
        if not (_part(self.state, square) == OPEN).any():
            return
        window = widened(square, margin, self.shape)
        top, left, bottom, right = window
        state = np.array(_part(self.state, window))
        maps = self.maps.read((top, bottom), (left, right))
        found = self._candidates(maps, state > 0)
        y, x = found.cells.T
        before = state[y, x]
        # A more probable one may lie beyond the window, as far as both together reach.
        apart = np.full(len(found), np.inf)
        for open_end, cells in (
            (top > 0, y + 1), (left > 0, x + 1),
            (bottom < self.shape[0], bottom - top - y), (right < self.shape[1], right - left - x),
        ):  # fmt: skip
            apart = np.minimum(apart, cells) if open_end else apart
        doubtful = (before == OPEN) & (apart * self.stride < found.reach + reach)
        state[y, x] = settled(found, self.overlap, before == KEPT, doubtful)
        self.state[top:bottom, left:right] = state

    def _candidates(self, maps: np.ndarray, where: np.ndarray) -> Polygons:
        return candidates(maps[..., self.probability], maps[..., self.rays], where, self.stride)

    def _kept(self) -> Polygons:
        parts = []
        for (top, _, bottom, _), maps in self._bands(self.bytes_per_cell):
            own = self._candidates(maps, self.state[top:bottom] == KEPT)
            cells = np.add(own.cells, (top, 0))
            parts.append(Polygons(cells, cells.astype(np.float64) * self.stride, own.radii, own.scores))
        found = Polygons(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("cells", "centres", "radii", "scores")
            )
        )
        return found[np.lexsort((found.cells[:, 1], found.cells[:, 0], -found.scores))]


def find_polygons(
    job: PreviewJob,
    made: Plane,
    on_image: Plane,
    scale: Scale,
    shape: tuple[int, int],
    pixels: Callable[[tuple[int, int], tuple[int, int]], np.ndarray],
    scratch: Scratch,
    run: Run,
) -> Found:
    """The objects of an image of `shape` (y, x) from the maps `made`, which are `on_image` on the image's pixels."""
    task = Task(np.zeros((0, 0, 0), np.float32), job.package.head, job.settings, scale, shape)
    polygons = StarConvex(made, task, scratch)
    found = polygons.find(run.log, lambda share: run.progress("decoding", share))
    drawn = polygons.draw(found, scale.shape(*shape))
    labels, objects, ids = numbered(drawn, len(found), shape, task.smallest, scratch)
    return Found(labels, objects, np.zeros(len(ids), np.int32), on_image, pixels, scores=found.scores[ids - 1])


def _part(state: np.ndarray, window: Window) -> np.ndarray:
    return rectangle(state, (window[0], window[2]), (window[1], window[3]))
