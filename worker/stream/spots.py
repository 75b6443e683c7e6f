"""Spots in images larger than memory, as in memory: by squares that see as far as an answer depends on the plane.

The noise of the whole is measured first, and which spot is another's shadow is told last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from worker.heads.decode import counts_in_cells, spot_options
from worker.heads.decoded import Points
from worker.heads.spot_noise import BLOCK, block_counts, block_medians, noise_of
from worker.heads.spots import LabelsAt, Seen, filter_answers, least_snr_of, look_for, reach, scales
from worker.job import PreviewJob, Run
from worker.stream.components import Pieces, Window, squares, widened
from worker.stream.intensity_cells import CellFinder
from worker.stream.numbering import Numbered, numbered
from worker.stream.objects import Found
from worker.stream.planes import Plane
from worker.stream.scratch import Scratch

Tick = Callable[[float], None]


def find_spots(
    maps: Plane,
    head: Mapping[str, Any],
    settings: Mapping[str, Any],
    scratch: Scratch,
    tick: Tick = lambda share: None,
    labels_at: LabelsAt | None = None,
) -> Points:
    """The spots of maps (y, x, map) on the image's pixels, as `worker.heads.decode` finds them; `labels_at` tells in
    which cells they lie.
    """
    options = spot_options(head, settings)
    sigmas, method = scales(options["sigma_min"], options["sigma_max"]), options["method"]
    least_snr, margin = least_snr_of(options["threshold"]), reach(sigmas, method)
    shape = maps.shape[0], maps.shape[1]
    # The answers of all scales, what smoothing holds, and the candidates' surroundings.
    side = int((scratch.memory // 2 // (8 * len(sigmas) + 64)) ** 0.5) - 2 * margin
    side = max(1, side // BLOCK) * BLOCK

    def parts(begin: float, end: float) -> Iterator[tuple[Window, Window, np.ndarray, np.ndarray]]:
        for square in squares(shape, side):
            window = widened(square, margin, shape)
            pixels = maps.read((window[0], window[2]), (window[1], window[3]))[..., int(head.get("channel", 0))]
            pixels = np.ascontiguousarray(pixels, np.float32)
            yield square, window, pixels, filter_answers(pixels, sigmas, method)
            scratch.release()
            tick(begin + (end - begin) * square[2] / shape[0])

    rows, columns = block_counts(shape)
    medians, strongest = np.zeros((len(sigmas), rows, columns)), np.zeros(len(sigmas), np.float32)
    for square, window, _, answers in parts(0, 0.4):
        own = answers[(slice(None), *_inner(square, window))]
        strongest = np.maximum(strongest, own.max(axis=(1, 2), initial=0))
        # What is left over at the right and below has no block of its own.
        first, left = square[0] // BLOCK, square[1] // BLOCK
        down, right = (min(many, -(-end // BLOCK)) for many, end in ((rows, square[2]), (columns, square[3])))
        if down > first and right > left:
            medians[:, first:down, left:right] = block_medians(own, down - first, right - left)
    noise = noise_of(medians, strongest)
    seen = [
        look_for(pixels, answers, noise, sigmas, least_snr, (window[0], window[1]), _inner(square, window))
        for square, window, pixels, answers in parts(0.4, 1)
    ]
    joined = (np.concatenate([getattr(each, name) for each in seen]) for name in Seen.__dataclass_fields__)
    return Seen(*joined).points(least_snr, labels_at)


def _inner(square: Window, window: Window) -> tuple[slice, slice]:
    """The rows and columns of a window that are its square's."""
    return (
        slice(square[0] - window[0], square[2] - window[0]),
        slice(square[1] - window[1], square[3] - window[1]),
    )


def find_counted_spots(
    job: PreviewJob,
    maps: Plane,
    pixels: Callable[[tuple[int, int], tuple[int, int]], np.ndarray],
    scratch: Scratch,
    run: Run,
) -> Found:
    """The spots of an image and, if they are sought, the cells in which they are counted, from its maps (y, x, map)."""
    head, settings = job.package.head, job.settings
    shape, begin = (maps.shape[0], maps.shape[1]), 0.0
    scores: Plane | None = None
    if counts_in_cells(head, settings):
        begin = 0.5
        cells = CellFinder(maps, head, settings, scratch).find(lambda share: run.progress("decoding", begin * share))
        labels, objects, _ = numbered(cells.labels, cells.count, shape, int(settings["minimum_area_px"]), scratch)
        scores = cells.scores
    else:
        empty = scratch.array("labels", shape, np.int32)
        labels, objects = Numbered(empty, np.zeros(1, np.int32), shape), Pieces.none(shape[1])
    points = find_spots(
        maps,
        head,
        settings,
        scratch,
        lambda share: run.progress("decoding", begin + (1 - begin) * share),
        None if scores is None else lambda y, x: labels.at(y, x, scratch),
    )
    classes = np.ones(len(objects), np.int32)
    return Found(labels, objects, classes, maps, pixels, points=points, score_map=scores)
