"""The noise of a blob filter's answers, measured robustly: on blocks of a fixed grid, and around single places."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

BLOCK = 64
# A bright cell is noisier than its block: noise is looked for in a ring around the spot, too, of these radii in sigmas
# and RING_PX more pixels, and believed a little less, for there are fewer pixels in it.
RING_INNER, RING_OUTER, RING_PX, RING_BELIEVED = 2.5, 6.0, 6, 0.75
# Other spots in the ring are large answers: a third of the way up from the smallest there mostly are none. Of a normal
# distribution 35 per cent are within 0.454 standard deviations.
RING_QUANTILE, QUANTILE_TO_SIGMA = 0.35, 1 / 0.4538
MAD_TO_SIGMA = 1.4826
# Noise is never taken for less than this part of the strongest answer: images without any noise have rounding errors.
LEAST_NOISE = 0.003
# Where a part of the plane is quieter than the whole, as outside cells, its noise still is at least this part of it.
QUIETEST = 0.2
# Pixels gathered at a time, which bounds the memory.
AT_ONCE = 2**21


def answer_noise(answers: np.ndarray) -> np.ndarray:
    """(sigma, block y, block x) float64: the standard deviation of the answers without spots, from their median size.

    Blocks are of BLOCK pixels from the plane's corner; what is left over at the right and below belongs to the last.
    """
    scales, height, width = answers.shape
    rows, columns = (max(1, side // BLOCK) for side in (height, width))
    noise = np.empty((scales, rows, columns))
    # Every second pixel of every second row will do: neighbours say nearly the same.
    for scale, answer in enumerate(answers):
        sizes = np.abs(answer[::2, ::2])
        inner = sizes[: rows * BLOCK // 2, : columns * BLOCK // 2]
        tall, wide = inner.shape[0] // rows, inner.shape[1] // columns
        blocks = inner.reshape(rows, tall, columns, wide).swapaxes(1, 2).reshape(rows, columns, -1)
        noise[scale] = ndimage.median_filter(np.median(blocks, axis=-1) * MAD_TO_SIGMA, 3, mode="nearest")
    whole = np.median(noise, axis=(1, 2), keepdims=True)
    strongest = answers.max(axis=(1, 2), initial=0)[:, None, None]
    least = np.maximum(np.maximum(QUIETEST * whole, LEAST_NOISE * strongest), np.finfo(np.float32).tiny)
    return np.maximum(noise, least)


def noise_at(noise: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The noise at (n, 3) scale, y, x: linear between the middles of the blocks."""
    scale, y, x = found.T
    places = [scale, (y + 0.5) / BLOCK - 0.5, (x + 0.5) / BLOCK - 0.5]
    return ndimage.map_coordinates(noise, places, order=1, mode="nearest")


def noise_around(answers: np.ndarray, found: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """The noise in the ring around each of (n, 3) scale, y, x, from the small ones of every second answer in it."""
    noise = np.zeros(len(found))
    _, height, width = answers.shape
    for scale, sigma in enumerate(sigmas):
        reach = int(RING_OUTER * sigma + RING_PX) // 2 * 2
        grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1, 2)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
        distance = np.hypot(*grid.T)
        dy, dx = grid[(distance >= RING_INNER * sigma) & (distance <= RING_OUTER * sigma + RING_PX)].T
        own = np.flatnonzero(found[:, 0] == scale)
        for some in np.array_split(own, 1 + own.size * dy.size // AT_ONCE):
            rows, columns = found[some, 1, None] + dy, found[some, 2, None] + dx
            within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            sizes = np.abs(answers[scale, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)])
            # What lies outside counts neither as small nor as large.
            noise[some] = _quantiles(np.where(within, sizes, np.inf), within.sum(axis=1))
    return noise * RING_BELIEVED


def _quantiles(sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Standard deviations from the small ones among the `counts` (n,) least of each row of (n, m); 0 without any."""
    sizes = np.sort(sizes, axis=1)
    small = sizes[np.arange(len(sizes)), (np.maximum(counts - 1, 0) * RING_QUANTILE).astype(np.int64)]
    return np.where(counts > 0, small * QUANTILE_TO_SIGMA, 0)
