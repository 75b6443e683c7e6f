"""Grid detector: score, offset and size maps on a coarse grid become boxes.

A cell of the grid whose score is a local maximum is an object; its centre lies off the cell's centre by the offsets,
in half cells and of either sign, and its sides are the stride times the exponential of the size maps. After the grid
of the Evans lab's cell detector (2019), with classes, sizes and signed offsets, peaks as in CenterNet (Zhou 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from worker.heads.boxes import Boxes, class_threshold, nms
from worker.variations import Variation

# Sides beyond e**8 cells are a network gone wild; held there, they stay finite.
LARGEST_LOG_SIZE = 8.0
DEFAULT_OVERLAP = 0.5


def decode_grid(
    maps: np.ndarray,
    head: Mapping[str, Any],
    *,
    threshold: float | None = None,
    overlap: float | None = None,
    shape: tuple[int, int] | None = None,
) -> Boxes:
    """Boxes of a plane, best first.

    Args:
        maps: (y, x, map) float32 of the whole plane, a cell of the grid every `head["stride"]` pixels.
        head: `stride`, `scores` (a map for each class), `offset` (maps of x and y, in half cells), `size` (maps of
            width and height, logarithms of cells), `classes`, `threshold`, `overlap`.
        threshold: the least score; None: each class's own, else the head's.
        overlap: intersection over union above which the weaker of two boxes of a class goes; None: the head's.
        shape: (y, x) of the plane in pixels, to which boxes are clipped; None: that of the grid.

    Returns:
        boxes in pixels of the plane.
    """
    stride = int(head["stride"])
    overlap = float(head.get("overlap", DEFAULT_OVERLAP)) if overlap is None else overlap
    found = []
    for kind, channel in enumerate(head["scores"]):
        least = class_threshold(head, kind) if threshold is None else threshold
        y, x = np.nonzero(peaks(maps[..., channel], least))
        found.append(Boxes(_boxes_at(maps[y, x], y, x, head), maps[y, x, channel], np.full(y.size, kind, np.int32)))
    plane = shape or (maps.shape[0] * stride, maps.shape[1] * stride)
    return nms(Boxes.joined(found).clipped(plane), overlap)


def peaks(scores: np.ndarray, least: float) -> np.ndarray:
    """(y, x) bool: at least `least` and not below any of the eight neighbours; of equal neighbours the first in scan
    order alone.
    """
    before = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], bool)
    after = before[::-1, ::-1]
    higher_than = ndimage.maximum_filter(scores, footprint=before, mode="constant", cval=-np.inf)
    not_below = ndimage.maximum_filter(scores, footprint=after, mode="constant", cval=-np.inf)
    return (scores >= least) & (scores > higher_than) & (scores >= not_below)


def _boxes_at(values: np.ndarray, y: np.ndarray, x: np.ndarray, head: Mapping[str, Any]) -> np.ndarray:
    """(n, 4) float32: the boxes that the maps' `values` (n, map) describe at the cells `y`, `x`."""
    stride = float(head["stride"])
    centres = (np.stack([x, y], axis=1) + 0.5 + values[:, list(head["offset"])] / 2) * stride
    sides = stride * np.exp(np.minimum(values[:, list(head["size"])], LARGEST_LOG_SIZE))
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)


def undo_variation(maps: np.ndarray, head: Mapping[str, Any], variation: Variation) -> np.ndarray:
    """Maps (y, x, map) of a flipped or turned plane, back on the plane as it was: cells are moved, offsets point where
    they did, width and height change places. The plane's sides must be multiples of the stride.
    """
    back = variation.undo(maps).copy()
    (dx, dy), (width, height) = head["offset"], head["size"]
    offset_x, offset_y = back[..., dx].copy(), back[..., dy].copy()
    for _ in range(-variation.turns % 4):
        # numpy.rot90 takes a step along x to one up, along y to one to the right.
        offset_x, offset_y = offset_y, -offset_x
    if variation.turns % 2:
        back[..., [width, height]] = back[..., [height, width]]
    if variation.flipped is not None:
        offset_y, offset_x = (-offset_y, offset_x) if variation.flipped == 0 else (offset_y, -offset_x)
    back[..., dx], back[..., dy] = offset_x, offset_y
    return back
