"""The network's maps of a prepared plane, averaged over the networks and variations that the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.heads.grid import undo_variation
from worker.inference import WarmModel
from worker.job import Run
from worker.tiles import pad_to
from worker.variations import Variation, variations
from zoo.passes import frame_counts, passes

GRID = "grid-detector"


def averaged(model: WarmModel, stack: np.ndarray, settings: Mapping[str, Any], run: Run) -> np.ndarray:
    """The networks' maps of the middle plane.

    As in CDeep3M2 the maps of each network are averaged over its variations and then the networks are averaged, so
    that each counts alike however many variations it has.

    Args:
        stack: (plane, y, x, channel) float32 as `worker.prepare` makes it, an odd number of planes.
        settings: `frames` and `variations` choose; `tile_px` and `batch` are handed on.

    Returns:
        (y, x, map) float32.
    """
    counts, total = frame_counts(settings), passes(settings)
    means: np.ndarray | None = None
    done = 0
    for frames in counts:
        chosen = variations(settings.get("variations", "none"), frames)
        mean: np.ndarray | None = None
        for variation in chosen:
            maps = _one(model, _around_middle(stack, frames), variation, settings, run, (done, total))
            mean = maps if mean is None else mean + maps
            done += 1
        assert mean is not None
        mean = mean if len(chosen) == 1 else mean / np.float32(len(chosen))
        means = mean if means is None else means + mean
    assert means is not None
    return means if len(counts) == 1 else means / np.float32(len(counts))


def _one(
    model: WarmModel,
    stack: np.ndarray,
    variation: Variation,
    settings: Mapping[str, Any],
    run: Run,
    turn: tuple[int, int],
) -> np.ndarray:
    """One run of one network over the region; `turn` is its index among all runs, and their number."""
    index, total = turn

    def step(done: int, tiles: int) -> None:
        told = f"tile {done} of {tiles}" + (f", pass {index + 1} of {total}" if total > 1 else "")
        run.progress("inferring", (index + done / tiles) / total, told)

    head = model.package.head
    # Cells of the grid lie on the same pixels whichever way the plane is turned only if it holds whole cells.
    turned = stack if variation.number == 1 else _whole_cells(stack, model.output_stride)
    given = planes_as_channels(variation.apply(turned))
    maps = model.predict(given, step, run.log, tile=settings["tile_px"], batch=settings["batch"], frames=len(stack))
    return undo_variation(maps, head, variation) if head["kind"] == GRID else variation.undo(maps)


def _whole_cells(stack: np.ndarray, cell: int) -> np.ndarray:
    """(plane, y, x, channel) reflected at the bottom and the right to multiples of `cell` pixels."""
    return np.stack([pad_to(plane, (_up(plane.shape[0], cell), _up(plane.shape[1], cell))) for plane in stack])


def _up(side: int, cell: int) -> int:
    return -(-side // cell) * cell


def _around_middle(stack: np.ndarray, frames: int) -> np.ndarray:
    first = len(stack) // 2 - frames // 2
    return stack[first : first + frames]


def planes_as_channels(stack: np.ndarray) -> np.ndarray:
    """(plane, y, x, channel) to (y, x, plane * channel): all channels of the lowest plane, then those of the next."""
    planes, height, width, channels = stack.shape
    return np.ascontiguousarray(np.moveaxis(stack, 0, 2)).reshape(height, width, planes * channels)
