"""Local contrast (CLAHE) of planes larger than memory, the same as `worker.enhance.local_contrast` gives.

What is measured of the whole channel is measured first. A pixel's grey level depends on the blocks around its own, so
squares of whole blocks are equalised with BLOCKS_BESIDE more on every side; as many are needed where the plane ends,
for there it is reflected to whole blocks and half a block more.
"""

from __future__ import annotations

import numpy as np
from skimage.exposure import rescale_intensity
from skimage.exposure._adapthist import NR_OF_GRAY, _clahe
from skimage.util import img_as_uint

from worker.enhance import BRIGHTEST_PERCENTILE, CLAHE_BINS, CLAHE_BLOCK, CLAHE_CLIP
from worker.stream.components import squares, widened
from worker.stream.planes import Operated, Plane, Stored, bands
from worker.stream.scratch import Scratch
from worker.stream.statistics import quantile_of

BLOCKS_BESIDE = 2
# Equalising holds about so many bytes for each pixel.
BYTES_PER_PIXEL = 128


def local_contrast(plane: Plane, scratch: Scratch, name: str) -> Plane:
    """Each channel equalised, float32 (y, x, channel) from 0 to 255; a constant channel becomes zeros."""
    channels = plane.shape[2]
    equalised = scratch.array(name, plane.shape, np.float32)
    ends = [_equalise(Channel(plane, channel), equalised, channel, scratch) for channel in range(channels)]

    def stretched(pixels: np.ndarray) -> np.ndarray:
        made = np.zeros_like(pixels)
        for channel, span in enumerate(ends):
            if span is not None:
                made[..., channel] = rescale_intensity(pixels[..., channel], in_range=span, out_range=(0, 1)) * 255
        return made

    return Operated(Stored(equalised), (stretched,), channels)


class Channel:
    """One channel of a plane, (y, x, 1) float32."""

    def __init__(self, plane: Plane, channel: int) -> None:
        self.plane, self.channel = plane, channel
        self.shape = (*plane.shape[:2], 1)

    def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
        pixels = self.plane.read(y, x)[..., self.channel : self.channel + 1]
        return np.ascontiguousarray(pixels, np.float32)


def _equalise(plane: Channel, out: np.ndarray, channel: int, scratch: Scratch) -> tuple[float, float] | None:
    """Write a channel of `out` and give its darkest and brightest value; None for a constant channel."""
    shape = plane.shape[0], plane.shape[1]
    below, low, high = 0, np.float32(np.inf), np.float32(-np.inf)
    for _, pixels in bands(plane, scratch, 32):
        below += int(np.count_nonzero(pixels <= 0))
        low, high = min(low, pixels.min()), max(high, pixels.max())
    if below < shape[0] * shape[1]:
        most = np.float32(quantile_of(plane, scratch, BRIGHTEST_PERCENTILE / 100, below))
        low, high = min(low, most), min(high, most)
    if high <= low:
        return None
    ends = [np.inf, -np.inf]
    side = max(1, int((scratch.memory // 4 // BYTES_PER_PIXEL) ** 0.5) // CLAHE_BLOCK - 2 * BLOCKS_BESIDE) * CLAHE_BLOCK
    for square in squares(shape, side):
        window = widened(square, BLOCKS_BESIDE * CLAHE_BLOCK, shape)
        pixels = plane.read((window[0], window[2]), (window[1], window[3]))[..., 0]
        stretched = (np.minimum(pixels, high) - low) / (high - low)
        grey = rescale_intensity(img_as_uint(stretched), in_range=(0, 2**16 - 1), out_range=(0, NR_OF_GRAY - 1))
        levels = np.round(grey).astype(np.uint16)
        made = _clahe(levels, [CLAHE_BLOCK, CLAHE_BLOCK], CLAHE_CLIP, CLAHE_BINS).astype(np.float32)
        own = made[square[0] - window[0] :, square[1] - window[1] :]
        own = own[: square[2] - square[0], : square[3] - square[1]]
        out[square[0] : square[2], square[1] : square[3], channel] = own
        ends = [min(ends[0], float(own.min())), max(ends[1], float(own.max()))]
        scratch.release()
    return ends[0], ends[1]
