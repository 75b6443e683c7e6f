"""Boxes of detectors in images larger than memory.

A grid of cells, each of many pixels, and the boxes themselves are small beside the image: they are held in memory and
decoded at once, as those of any image are. What has the image's size, the painted labels and the maps, lies in files.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worker.heads.decode import Task, boxes_of, boxes_on_image
from worker.heads.painted import paint_into, pixel_spans
from worker.job import PreviewJob
from worker.stream.components import Pieces
from worker.stream.numbering import Numbered
from worker.stream.objects import Found
from worker.stream.planes import Nearest, Operated, Plane, Stored
from worker.stream.scratch import Scratch
from worker.stream.statistics import NotStreamable
from zoo.pixel_scale import Scale

# What finding the peaks of a grid holds for each value of its maps.
BYTES_PER_VALUE = 12


def find_boxes(
    job: PreviewJob,
    made: Plane | np.ndarray,
    scale: Scale,
    shape: tuple[int, int],
    pixels: Callable[[tuple[int, int], tuple[int, int]], np.ndarray],
    scratch: Scratch,
) -> Found:
    """The boxes of an image of `shape` (y, x): of a plane of grid maps, or of the rows of a network's own list.

    Raises `NotStreamable` when the grid is too fine for the memory.
    """
    size = scale.shape(*shape)
    rows = made if isinstance(made, np.ndarray) else _grid(made, scratch)
    task = Task(rows, job.package.head, job.settings, scale, shape)
    own = boxes_of(task)
    boxes = boxes_on_image(task, own)
    labels = scratch.array("labels", shape, np.int32)
    paint_into(labels, boxes.xyxy)
    scratch.release()
    if isinstance(made, np.ndarray):
        painted = scratch.array("painted", (*size, 1), np.int32)
        paint_into(painted[..., 0], own.xyxy)
        scores = np.concatenate([np.zeros(1, np.float32), own.score])
        maps: Plane = Nearest(Operated(Stored(painted), (lambda numbers: scores[numbers],), 1), 1, size, shape)
    else:
        maps = Nearest(made, int(job.package.head["stride"]), size, shape)
    left, top, right, bottom = pixel_spans(boxes.xyxy, shape).T
    spans = np.stack([top, left, bottom, right], axis=1)
    covered = Pieces(spans, top * shape[1] + left, (bottom - top) * (right - left), shape[1])
    numbers = np.arange(len(boxes) + 1, dtype=np.int32)
    return Found(Numbered(labels, numbers, shape), covered, boxes.kind, maps, pixels, boxes)


def _grid(maps: Plane, scratch: Scratch) -> np.ndarray:
    height, width, count = maps.shape
    if height * width * count * BYTES_PER_VALUE > scratch.memory:
        raise NotStreamable(
            f"The detector's grid has {width} x {height} cells, too many for the memory.",
            "Choose a smaller --roi, or raise ZOOSCOPE_STREAM_MEMORY_BYTES.",
        )
    return np.array(maps.read((0, height), (0, width)))
