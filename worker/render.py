"""The overlay: the image in display contrast with what was found: regions filled and outlined, boxes, rings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.heads.decoded import Decoded
from worker.heads.painted import pixel_spans
from worker.measure import border_pixels
from zoo.head_classes import HeadClass

# Okabe & Ito (2008), told apart by colour-blind readers too; without black, which reads as background.
PALETTE = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.uint8,
)
FILL_PERCENT = 35
NEIGHBOUR_DISTANCE = 3
# Boxes and the cells around spots are filled lightly, so that what is in them is seen.
LIGHT_PERCENT, OUTLINE = 12, 2
RING_RADII = 1.5


def draw_found(display: np.ndarray, found: Decoded, classes: Sequence[HeadClass]) -> np.ndarray:
    """Draw what a head found over `display`, uint8 (y, x) or (y, x, 3); returns uint8 (y, x, 3).

    Regions of one class have colours that tell neighbours apart; where there are several classes, objects have theirs.
    """
    colours = np.array([each.rgb for each in classes], np.uint8)
    if found.boxes is not None:
        return draw_boxes(display, found.labels, found.boxes.xyxy, colours[found.classes])
    if found.points is not None:
        picture = draw_overlay(display, found.labels, fill_percent=LIGHT_PERCENT)
        draw_rings(picture, found.points.xy, found.points.radius, colours[0])
        return picture
    own = None if len(classes) == 1 else np.concatenate([PALETTE[:1], colours[found.classes]])
    return draw_overlay(display, found.labels, own)


def draw_overlay(
    display: np.ndarray, labels: np.ndarray, colours: np.ndarray | None = None, *, fill_percent: int = FILL_PERCENT
) -> np.ndarray:
    """Draw (y, x) int32 labels over `display`, uint8 (y, x) or (y, x, 3); returns uint8 (y, x, 3).

    `colours` (n + 1, 3) uint8 are those of the labels 0..n; None: such as tell neighbours apart.
    """
    picture = np.repeat(display[:, :, None], 3, axis=2) if display.ndim == 2 else display.copy()
    if colours is None:
        colours = PALETTE[object_colours(labels)]
    flat = picture.reshape(-1, 3)
    inside = np.flatnonzero(labels)
    drawn = colours[labels.ravel()[inside]]
    filled = _mixed(flat[inside], drawn, fill_percent)
    outline = border_pixels(labels).ravel()[inside]
    filled[outline] = drawn[outline]
    flat[inside] = filled
    return picture


def _mixed(pixels: np.ndarray, drawn: np.ndarray, percent: int) -> np.ndarray:
    mixed = pixels.astype(np.uint16) * (100 - percent) + drawn.astype(np.uint16) * percent
    return (mixed // 100).astype(np.uint8)


def draw_boxes(display: np.ndarray, labels: np.ndarray, xyxy: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Draw boxes (n, 4) in their `colours` (n, 3) over `display`: filled lightly where `labels` has their number, with
    an outline of OUTLINE pixels inside the box, the first on top."""
    picture = np.repeat(display[:, :, None], 3, axis=2) if display.ndim == 2 else display.copy()
    flat = picture.reshape(-1, 3)
    inside = np.flatnonzero(labels)
    flat[inside] = _mixed(flat[inside], colours[labels.ravel()[inside] - 1], LIGHT_PERCENT)
    spans = pixel_spans(xyxy, labels.shape).tolist()
    for number in range(len(spans) - 1, -1, -1):
        left, top, right, bottom = spans[number]
        for rows, columns in (
            (slice(top, min(top + OUTLINE, bottom)), slice(left, right)),
            (slice(max(bottom - OUTLINE, top), bottom), slice(left, right)),
            (slice(top, bottom), slice(left, min(left + OUTLINE, right))),
            (slice(top, bottom), slice(max(right - OUTLINE, left), right)),
        ):
            picture[rows, columns] = colours[number]
    return picture


def draw_rings(picture: np.ndarray, xy: np.ndarray, radius: np.ndarray, colour: np.ndarray) -> None:
    """Draw a ring one pixel wide around each spot (n, 2), clear of the spot itself, into uint8 (y, x, 3)."""
    height, width = picture.shape[:2]
    x, y = np.floor(xy).astype(np.int64).T
    sizes = np.round(radius * RING_RADII + 1).astype(np.int64)
    for size in np.unique(sizes):
        offsets = np.arange(-size, size + 1)
        dy, dx = (grid.ravel() for grid in np.meshgrid(offsets, offsets, indexing="ij"))
        on_ring = np.abs(np.hypot(dy, dx) - size) <= 0.5
        rows = (y[sizes == size, None] + dy[on_ring]).ravel()
        columns = (x[sizes == size, None] + dx[on_ring]).ravel()
        within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        picture[rows[within], columns[within]] = colour


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
