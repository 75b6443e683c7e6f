"""Spots in images larger than memory, as in memory: by squares that see as far as an answer depends on the plane.

The noise of the whole is measured first, and which spot is another's shadow is told last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from worker.heads.decode import spot_options
from worker.heads.decoded import Points
from worker.heads.spot_noise import BLOCK, block_counts, block_medians, noise_of
from worker.heads.spots import Seen, filter_answers, least_snr_of, look_for, reach, scales
from worker.measure_found import RING_OUTER
from worker.stream.components import Pieces, Window, squares, widened
from worker.stream.numbering import Numbered
from worker.stream.planes import Plane
from worker.stream.scratch import Scratch

Tick = Callable[[float], None]


def find_spots(
    maps: Plane,
    head: Mapping[str, Any],
    settings: Mapping[str, Any],
    scratch: Scratch,
    tick: Tick = lambda share: None,
) -> Points:
    """The spots of maps (y, x, map) on the image's pixels, as `worker.heads.decode` finds them without cells."""
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
    return Seen(*joined).points(least_snr)


def _inner(square: Window, window: Window) -> tuple[slice, slice]:
    """The rows and columns of a window that are its square's."""
    return (
        slice(square[0] - window[0], square[2] - window[0]),
        slice(square[1] - window[1], square[3] - window[1]),
    )


def covered(points: Points, shape: tuple[int, int]) -> Pieces:
    """The pixels that measuring each spot of an image of `shape` (y, x) looks at, as pieces."""
    far = int(np.ceil(points.radius.max(initial=1) * RING_OUTER)) + 2
    x, y = np.floor(points.xy).astype(np.int64).T
    low, high = np.stack([y - far, x - far], axis=1), np.stack([y + far + 1, x + far + 1], axis=1)
    boxes = np.concatenate([np.maximum(low, 0), np.minimum(high, shape)], axis=1)
    return Pieces(boxes, y * shape[1] + x, np.ones(len(points), np.int64), shape[1])


def no_labels(shape: tuple[int, int], scratch: Scratch) -> Numbered:
    """Labels of no object."""
    return Numbered(scratch.array("labels", shape, np.int32), np.zeros(1, np.int32), shape)
