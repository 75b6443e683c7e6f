"""The network's maps of a prepared plane, averaged over the variations that the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.inference import WarmModel
from worker.job import Run
from worker.variations import variations


def averaged(model: WarmModel, plane: np.ndarray, settings: Mapping[str, Any], run: Run) -> np.ndarray:
    """The network's maps (y, x, map) averaged over the variations."""
    chosen = variations(settings["variations"])
    mean: np.ndarray | None = None
    for index, variation in enumerate(chosen):

        def step(done: int, tiles: int, index: int = index) -> None:
            share = (index + done / tiles) / len(chosen)
            told = f"tile {done} of {tiles}" + (f", variation {index + 1} of {len(chosen)}" if len(chosen) > 1 else "")
            run.progress("inferring", share, told)

        turned = np.ascontiguousarray(variation.apply(plane))
        maps = model.predict(turned, step, run.log, tile=settings["tile_px"], batch=settings["batch"])
        maps = variation.undo(maps)
        mean = maps if mean is None else mean + maps
    assert mean is not None
    return mean if len(chosen) == 1 else mean / np.float32(len(chosen))
