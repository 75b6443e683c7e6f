"""A network's maps averaged over flips and rotations, as a package's default settings have them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worker.variations import variations


def averaged(predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, name: str) -> np.ndarray:
    """The mean of `predict` over the variations of the set `name` of an image (y, x, channel), each turned back; shape
    and dtype are those of `predict`: (y, x) or (y, x, map), float32.
    """
    maps = [each.undo(predict(np.ascontiguousarray(each.apply(image[None])[0]))) for each in variations(name)]
    return np.asarray(np.mean(maps, axis=0, dtype=np.float32))
