"""The overlay: the image in display contrast with each object filled and outlined in a colour its neighbours lack."""

from __future__ import annotations

import numpy as np

from worker.measure import border_pixels

# Okabe & Ito (2008), told apart by colour-blind readers too; without black, which reads as background.
PALETTE = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.uint8,
)
FILL_PERCENT = 35
NEIGHBOUR_DISTANCE = 3


def draw_overlay(display: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw (y, x) int32 labels over `display`, uint8 (y, x) or (y, x, 3); returns uint8 (y, x, 3)."""
    picture = np.repeat(display[:, :, None], 3, axis=2) if display.ndim == 2 else display.copy()
    colours = PALETTE[object_colours(labels)]
    flat = picture.reshape(-1, 3)
    inside = np.flatnonzero(labels)
    drawn = colours[labels.ravel()[inside]]
    mixed = flat[inside].astype(np.uint16) * (100 - FILL_PERCENT) + drawn.astype(np.uint16) * FILL_PERCENT
    filled = (mixed // 100).astype(np.uint8)
    outline = border_pixels(labels).ravel()[inside]
    filled[outline] = drawn[outline]
    flat[inside] = filled
    return picture


def object_colours(labels: np.ndarray) -> np.ndarray:
    """An index into PALETTE for each label 0..n, different for objects closer than NEIGHBOUR_DISTANCE pixels.

    Greedy: an object starts from the colour after its forerunner's and takes the first its neighbours lack.
    """
    count = int(labels.max(initial=0))
    near: list[set[int]] = [set() for _ in range(count + 1)]
    for one, other in _neighbours(labels, count).tolist():
        near[one].add(other)
        near[other].add(one)
    colours = np.full(count + 1, -1)
    for index in range(1, count + 1):
        taken = {int(colours[other]) for other in near[index]}
        wishes = [(index - 1 + step) % len(PALETTE) for step in range(len(PALETTE))]
        colours[index] = next((wish for wish in wishes if wish not in taken), wishes[0])
    colours[0] = 0
    return colours


def _neighbours(labels: np.ndarray, count: int) -> np.ndarray:
    """(pair, 2): labels found at NEIGHBOUR_DISTANCE or 1 pixel from one another along rows, columns and diagonals."""
    keys = []
    height, width = labels.shape
    for distance in (1, NEIGHBOUR_DISTANCE):
        for dy, dx in ((0, distance), (distance, 0), (distance, distance), (distance, -distance)):
            one = labels[: height - dy, max(0, -dx) : width - max(0, dx)]
            other = labels[dy:, max(0, dx) : width + min(0, dx)]
            met = (one != other) & (one > 0) & (other > 0)
            keys.append(one[met].astype(np.int64) * (count + 1) + other[met])
    return np.stack(np.divmod(np.unique(np.concatenate(keys)), count + 1), axis=1)
