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
    rows, columns = block_counts(answers.shape[1:])
    return noise_of(block_medians(answers, rows, columns), answers.max(axis=(1, 2), initial=0))


def block_counts(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of blocks of a plane of `shape` (y, x)."""
    return max(1, shape[0] // BLOCK), max(1, shape[1] // BLOCK)


def block_medians(answers: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(sigma, block y, block x) float64: the deviation, from the median size, of the answers in the first blocks."""
    medians = np.empty((len(answers), rows, columns))
    # Every second pixel of every second row will do: neighbours say nearly the same.
    for own, answer in zip(medians, answers, strict=True):
        sizes = np.abs(answer[: rows * BLOCK : 2, : columns * BLOCK : 2])
        tall, wide = sizes.shape[0] // rows, sizes.shape[1] // columns
        blocks = sizes.reshape(rows, tall, columns, wide).swapaxes(1, 2).reshape(rows, columns, -1)
        own[:] = np.median(blocks, axis=-1) * MAD_TO_SIGMA
    return medians


def noise_of(medians: np.ndarray, strongest: np.ndarray) -> np.ndarray:
    """As `answer_noise`, from the blocks' medians and the strongest answer of each sigma (sigma,) float32."""
    noise = np.stack([ndimage.median_filter(each, 3, mode="nearest") for each in medians])
    whole = np.median(noise, axis=(1, 2), keepdims=True)
    least = np.maximum(QUIETEST * whole, LEAST_NOISE * strongest[:, None, None])
    return np.maximum(noise, np.maximum(least, np.finfo(np.float32).tiny))


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
