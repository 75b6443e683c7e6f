"""Measuring boxes and spots: sides, places, and intensities of the image as given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.heads.boxes import Boxes
from worker.heads.decoded import Points
from worker.heads.painted import pixel_spans
from zoo.image_types import PixelSize

# The ring of background around a spot, in radii of the spot.
RING_INNER, RING_OUTER = 1.5, 2.5
# Pixels gathered at a time, which bounds the memory.
AT_ONCE = 2**21


def measure_boxes(
    boxes: Boxes,
    pixels: np.ndarray,
    channel_names: Sequence[str],
    *,
    origin: tuple[int, int] = (0, 0),
    pixel_size: PixelSize | None = None,
) -> dict[str, np.ndarray]:
    """Measures of each box, one array a column, in their order; arguments as for `measure_objects`."""
    xyxy = boxes.xyxy.astype(np.float64)
    width, height = (xyxy[:, 2:] - xyxy[:, :2]).T
    table = {"score": boxes.score.astype(np.float64), **_corners(xyxy, origin)}
    table |= {"width_px": width, "height_px": height, "area_px": width * height}
    if pixel_size is not None:
        wide, high = width * pixel_size.x_um, height * pixel_size.y_um
        table |= {"width_um": wide, "height_um": high, "area_um2": wide * high}
    table["centre_x"] = (xyxy[:, 0] + xyxy[:, 2]) / 2 + origin[0]
    table["centre_y"] = (xyxy[:, 1] + xyxy[:, 3]) / 2 + origin[1]
    means = np.zeros((len(boxes), pixels.shape[2]))
    for row, (left, top, right, bottom) in enumerate(pixel_spans(xyxy, pixels.shape[:2]).tolist()):
        means[row] = pixels[top:bottom, left:right].mean(axis=(0, 1), dtype=np.float64)
    return table | {f"mean_intensity_{name}": means[:, index] for index, name in enumerate(channel_names)}


def measure_points(
    points: Points,
    pixels: np.ndarray,
    channel_names: Sequence[str],
    channel: int,
    *,
    origin: tuple[int, int] = (0, 0),
    pixel_size: PixelSize | None = None,
) -> dict[str, np.ndarray]:
    """Measures of each spot, one array a column, in their order.

    `contrast` is how much the mean of `channel` over the spot exceeds the median of the ring around it, and `snr` the
    filter's answer over its noise; other arguments as for `measure_objects`.
    """
    xy, radius = points.xy, points.radius
    corners = np.concatenate([xy - radius[:, None], xy + radius[:, None]], axis=1)
    table = {"score": points.score, **_corners(corners, origin)}
    table |= {"x": xy[:, 0] + origin[0], "y": xy[:, 1] + origin[1], "radius_px": radius}
    if pixel_size is not None:
        table["radius_um"] = radius * np.sqrt(pixel_size.x_um * pixel_size.y_um)
    means, table["contrast"] = _brightness(points, pixels, channel)
    table["snr"] = points.snr
    return table | {f"mean_intensity_{name}": means[:, index] for index, name in enumerate(channel_names)}


def _brightness(points: Points, pixels: np.ndarray, channel: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each channel over each spot (n, channel), and what it exceeds the ring's median by, (n,)."""
    means, contrast = np.zeros((len(points), pixels.shape[2])), np.zeros(len(points))
    reach = int(np.ceil(points.radius.max(initial=1) * RING_OUTER)) + 1
    many = max(1, AT_ONCE // (2 * reach + 1) ** 2)
    for start in range(0, len(points), many):
        some = np.arange(start, min(start + many, len(points)))
        inside, around = _discs(points[some], reach, pixels.shape[:2])
        for index in range(pixels.shape[2]):
            means[some, index] = _mean(pixels[..., index], *inside)
        contrast[some] = means[some, channel] - _median(pixels[..., channel], *around)
    return means, contrast


def _corners(xyxy: np.ndarray, origin: tuple[int, int]) -> dict[str, np.ndarray]:
    names = ("x_min", "y_min", "x_max", "y_max")
    return {name: xyxy[:, index] + origin[index % 2] for index, name in enumerate(names)}


Gathered = tuple[np.ndarray, np.ndarray, np.ndarray]


def _discs(points: Points, reach: int, shape: tuple[int, int]) -> tuple[Gathered, Gathered]:
    """Rows, columns and whether they count, each (spot, pixel), of the spots' discs and of the rings around them."""
    offsets = np.arange(-reach, reach + 1)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offsets, offsets, indexing="ij"))
    x, y = np.floor(points.xy).astype(np.int64).T
    rows, columns = y[:, None] + dy, x[:, None] + dx
    within = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    distance = np.hypot(columns + 0.5 - points.xy[:, :1], rows + 0.5 - points.xy[:, 1:])
    rows, columns = np.where(within, rows, 0), np.where(within, columns, 0)
    share = distance / points.radius[:, None]
    middle = (rows == y[:, None]) & (columns == x[:, None])
    return (rows, columns, within & ((share <= 1) | middle)), (
        rows,
        columns,
        within & (share >= RING_INNER) & (share <= RING_OUTER),
    )


def _mean(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, counts: np.ndarray) -> np.ndarray:
    values = plane[rows, columns].astype(np.float64)
    return (values * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)


def _median(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The median of each row of what counts; 0 where nothing does."""
    values = np.where(counts, plane[rows, columns].astype(np.float64), np.inf)
    values.sort(axis=1)
    known = counts.sum(axis=1)
    every = np.arange(len(values))
    middle = (values[every, np.maximum(known - 1, 0) // 2] + values[every, known // 2]) / 2
    return np.where(known > 0, middle, 0)
