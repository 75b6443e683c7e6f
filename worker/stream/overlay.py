"""The overlay of an image larger than memory: a picture of what was found, reduced until it fits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from worker.heads.boxes import Boxes
from worker.heads.decoded import Decoded
from worker.job import PreviewJob
from worker.render import draw_found
from worker.stream.numbering import Numbered
from worker.stream.objects import Found
from worker.stream.scratch import Scratch
from worker.table import head_classes
from zoo.display import to_display

# What drawing holds for each pixel of the picture.
BYTES_PER_PIXEL = 128


def reduction(shape: tuple[int, int], scratch: Scratch) -> int:
    """By what whole factor the sides of an image of `shape` (y, x) are reduced."""
    most = max(64 * 64, scratch.memory // 4 // BYTES_PER_PIXEL)
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / most)))


def draw(job: PreviewJob, found: Found, factor: int, scratch: Scratch) -> np.ndarray:
    """uint8 (y, x, 3): the picture of `worker.render.draw_found`, each pixel the mean of `factor` x `factor`."""
    pixels = job.crop.pixels
    display = to_display(pixels if factor == 1 else _means(pixels, factor, scratch), job.crop.rgb)
    height, width = display.shape[:2]
    shown = _reduced(found.labels, (height, width), factor, scratch)
    nothing = np.zeros((1, 1, 1), np.float32)
    if found.boxes is not None:
        boxes = Boxes(found.boxes.xyxy / np.float32(factor), found.boxes.score, found.boxes.kind)
        return draw_found(display, Decoded(nothing, shown, found.classes, boxes=boxes), head_classes(job))
    points = None
    if found.points is not None:
        points = replace(found.points, xy=found.points.xy / factor, radius=found.points.radius / factor)
    # Numbered without gaps again, for objects that are too small to be seen have gone.
    present, numbers = np.unique(shown, return_inverse=True)
    if present[0] != 0:
        present, numbers = np.concatenate([[0], present]), numbers + 1
    drawn = numbers.reshape(shown.shape).astype(np.int32)
    own = found.classes[present[1:] - 1]
    return draw_found(display, Decoded(nothing, drawn, own, points=points), head_classes(job))


def _reduced(labels: Numbered, shape: tuple[int, int], factor: int, scratch: Scratch) -> np.ndarray:
    """(y, x) int32: every `factor`-th pixel of the labels along both axes."""
    shown = np.zeros(shape, np.int32)
    step = scratch.rows(labels.shape[1], 64)
    for top in range(0, labels.shape[0], step):
        band = labels.read((top, min(labels.shape[0], top + step)), (0, labels.shape[1]))
        chosen = np.arange(-top % factor, len(band), factor)
        rows = (chosen + top) // factor
        shown[rows[rows < shape[0]]] = band[chosen[rows < shape[0]]][:, ::factor][:, : shape[1]]
        scratch.release()
    return shown


def _means(pixels: np.ndarray, factor: int, scratch: Scratch) -> np.ndarray:
    """(y, x, channel) reduced, in its own dtype; what is left over at the right and the bottom is left out."""
    height, width, channels = pixels.shape
    rows, columns = max(1, height // factor), max(1, width // factor)
    small = np.empty((rows, columns, channels), pixels.dtype)
    step = scratch.rows(width, 8 * channels * factor)
    for top in range(0, rows, step):
        many = min(step, rows - top)
        band = pixels[top * factor : (top + many) * factor, : columns * factor]
        blocks = band.reshape(many, min(factor, height), columns, min(factor, width), channels)
        small[top : top + many] = blocks.mean(axis=(1, 3), dtype=np.float64).astype(pixels.dtype)
        scratch.release()
    return small
