"""Enhancement of planes larger than memory: `worker.enhance` with limits of the whole plane, denoised by squares.

A pixel's denoised value depends on far pixels ever less; squares see MARGIN pixels beyond their borders, which brings
nearly all within a grey level of 255 of the whole's. Local contrast (`worker.stream.contrast`) is that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worker.enhance import CLAHE_BLOCK, CLIP_AFTER, CLIP_BEFORE, denoise_tv, noise_details, sigma_of_median
from worker.stream.components import Window, squares, widened
from worker.stream.contrast import local_contrast
from worker.stream.planes import Operated, Plane, Stored
from worker.stream.scratch import Scratch
from worker.stream.statistics import Measured

MARGIN = 48
# The noise's median is found among this many steps of values in 0..2.
NOISE_STEPS = 2**20
# Denoising holds about so many bytes for each pixel.
BYTES_PER_PIXEL = 64


def enhanced(plane: Plane, scratch: Scratch, name: str) -> Plane:
    """CDeep3M2's enhancement of each channel, uint8 (y, x, channel)."""
    height, width, channels = plane.shape
    stretched = _clipped(plane, CLIP_BEFORE, scratch)
    side = max(256, int((scratch.memory // 8 // BYTES_PER_PIXEL) ** 0.5))
    weights = [_noise(stretched, channel, side, scratch) / 2 for channel in range(channels)]
    denoised = scratch.array(name, (height, width, channels), np.float32)
    for square in squares((height, width), side):
        window = widened(square, MARGIN, (height, width))
        pixels = _read(stretched, window)
        inner = tuple(slice(low - start, high - start) for low, high, start in _spans(square, window))
        for channel, weight in enumerate(weights):
            part = np.ascontiguousarray(pixels[:, :, channel])
            part = denoise_tv(part, weight) if weight > 0 else part
            denoised[square[0] : square[2], square[1] : square[3], channel] = part[inner]
        scratch.release()
    again = _clipped(Stored(denoised), CLIP_AFTER, scratch)
    return Operated(again, (lambda pixels: (pixels * 255).astype(np.uint8),), channels)


def _clipped(plane: Plane, limits: tuple[int, int], scratch: Scratch) -> Plane:
    """Each channel's percentiles `limits` to 0 and 1, float32; a constant channel becomes zeros."""
    low, high = Measured(plane, scratch).percentiles(limits, (0, 1))
    spread = np.where(high > low, high - low, np.inf)

    def clip(pixels: np.ndarray) -> np.ndarray:
        return np.clip((pixels.astype(np.float32) - low) / spread, 0, 1).astype(np.float32)

    return Operated(plane, (clip,), plane.shape[2])


def _noise(plane: Plane, channel: int, side: int, scratch: Scratch) -> float:
    """Standard deviation of the noise: of the details that are not 0 in all squares, the median."""
    counts = np.zeros(NOISE_STEPS, np.int64)
    for square in squares(plane.shape[:2], side):
        details = np.abs(noise_details(_read(plane, square)[:, :, channel]))
        steps = (details[details != 0] * (NOISE_STEPS / 2)).astype(np.int64)
        counts += np.bincount(np.minimum(steps, NOISE_STEPS - 1), minlength=NOISE_STEPS)
        scratch.release()
    if not counts.any():
        return 0.0
    median = np.searchsorted(np.cumsum(counts), counts.sum() / 2)
    return sigma_of_median((float(median) + 0.5) * 2 / NOISE_STEPS)


def _read(plane: Plane, window: Window) -> np.ndarray:
    top, left, bottom, right = window
    return plane.read((top, bottom), (left, right))


def _spans(square: Window, window: Window) -> list[tuple[int, int, int]]:
    return [(square[0], square[2], window[0]), (square[1], square[3], window[1])]


# By the setting's choice: what is done, and how the log tells it.
ENHANCEMENTS: dict[str, tuple[Callable[[Plane, Scratch, str], Plane], str]] = {
    "cdeep3m2": (enhanced, "clip, total variation by squares, clip"),
    "clahe": (local_contrast, f"local contrast in blocks of {CLAHE_BLOCK} pixels"),
}
