"""What may be done to a plane before the model sees it: CDeep3M2's enhancement, or local contrast (CLAHE).

Both work on a whole region, before it is cut into tiles, each channel by itself, and give grey levels from 0 to 255.

CDeep3M2's (enhance_stack, version 2.1.5) is clip, denoise by total variation, clip: percentiles 1 and 99 to 0..1; the
noise's sigma from the finest diagonal db2 wavelet details (Donoho & Johnstone 1994); the anisotropic total-variation
denoising of weight sigma / 2; percentiles 2 and 98 to 0..1; times 255, truncated. CDeep3M2 does it to the first channel
of a colour image only.

CLAHE is contrast-limited adaptive histogram equalisation (Zuiderveld 1994) as DeepCell's Mesmer is given its images:
cut at percentile 99.9 of the pixels above zero, stretched from darkest to brightest, equalised in blocks of 128 pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from skimage.exposure import equalize_adapthist

CLIP_BEFORE, CLIP_AFTER = (1, 99), (2, 98)
# Root mean square distance to the exact solution at which denoising stops: a twentieth of a grey level of 255.
TOLERANCE = 2e-4
MOST_ITERATIONS = 500
CHECK_EVERY = 10
# The high-pass decomposition filter of Daubechies' db2 wavelet.
DB2_HIGH = (-0.48296291314469025, 0.836516303737469, -0.22414386804185735, -0.12940952255092145)
NORMAL_QUARTILE = 0.6744897501960817
BRIGHTEST_PERCENTILE = 99.9
CLAHE_BLOCK, CLAHE_CLIP, CLAHE_BINS = 128, 0.01, 256


def enhance(pixels: np.ndarray) -> np.ndarray:
    """Enhance each channel of (y, x, channel), any numeric dtype, finite; returns uint8 (y, x, channel)."""
    return np.stack([_enhanced(pixels[:, :, channel]) for channel in range(pixels.shape[2])], axis=2)


def local_contrast(pixels: np.ndarray) -> np.ndarray:
    """CLAHE of each channel of (y, x, channel), any numeric dtype, finite; a constant channel becomes zeros.

    Returns (y, x, channel) float32 from 0 to 255.
    """
    return np.stack([_equalised(pixels[:, :, channel]) for channel in range(pixels.shape[2])], axis=2)


# By the setting's choice: what is done, and how the log tells it.
ENHANCEMENTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "cdeep3m2": (enhance, "clip, total variation, clip"),
    "clahe": (local_contrast, f"local contrast in blocks of {CLAHE_BLOCK} pixels"),
}


def _equalised(plane: np.ndarray) -> np.ndarray:
    plane = plane.astype(np.float32)
    above = plane[plane > 0]
    if above.size:
        plane = np.minimum(plane, np.float32(np.quantile(above.astype(np.float64), BRIGHTEST_PERCENTILE / 100)))
    low, high = plane.min(), plane.max()
    if high <= low:
        return np.zeros_like(plane)
    stretched = (plane - low) / (high - low)
    equalised = equalize_adapthist(stretched, kernel_size=CLAHE_BLOCK, clip_limit=CLAHE_CLIP, nbins=CLAHE_BINS)
    return (equalised * 255).astype(np.float32)


def _enhanced(plane: np.ndarray) -> np.ndarray:
    plane = _clipped(plane.astype(np.float32), CLIP_BEFORE)
    sigma = noise_sigma(plane)
    if sigma > 0:
        plane = denoise_tv(plane, sigma / 2)
    return (_clipped(plane, CLIP_AFTER) * 255).astype(np.uint8)


def _clipped(plane: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    low, high = np.percentile(plane, limits)
    if high <= low:
        return np.zeros_like(plane)
    return np.clip((plane - low) / (high - low), 0, 1).astype(np.float32)


def noise_sigma(plane: np.ndarray) -> float:
    """Standard deviation of Gaussian noise in a (y, x) plane, as `skimage.restoration.estimate_sigma` gives it."""
    details = noise_details(plane)
    details = details[details != 0]
    return sigma_of_median(float(np.median(np.abs(details)))) if details.size else 0.0


def noise_details(plane: np.ndarray) -> np.ndarray:
    """The finest diagonal wavelet details of a (y, x) plane, float64."""
    return _details(_details(plane.astype(np.float64), 0), 1)


def sigma_of_median(median: float) -> float:
    """The standard deviation of Gaussian noise whose details have this median magnitude."""
    return median / NORMAL_QUARTILE


def _details(plane: np.ndarray, axis: int) -> np.ndarray:
    """Every second sample of the high-pass filtered plane along `axis`, mirrored at the ends with the end repeated."""
    plane = np.moveaxis(plane, axis, 0)
    count = (plane.shape[0] + 3) // 2
    framed = np.pad(plane, [(3, 3), (0, 0)], mode="symmetric")
    made = sum(tap * framed[4 - index : 4 - index + 2 * count - 1 : 2] for index, tap in enumerate(DB2_HIGH))
    return np.moveaxis(np.asarray(made), 0, axis)


def denoise_tv(plane: np.ndarray, weight: float, tolerance: float = TOLERANCE) -> np.ndarray:
    """The x that minimises  1/2 |x - plane|^2 + weight * (sum of |differences| along rows and along columns).

    CDeep3M2 calls prox_tv's `tv1_2d` for this. Here the dual, a box-constrained least squares, is solved by
    accelerated projected gradients (Beck & Teboulle 2009) with restarts (O'Donoghue & Candes 2015). The duality gap
    bounds the distance to the exact minimiser, and ends the iteration when its root mean square over the pixels is
    surely below `tolerance` (of images in 0..1), or after MOST_ITERATIONS.

    Args:
        plane: (y, x) float32.
        weight: of the total variation, in the plane's units.

    Returns:
        (y, x) float32.
    """
    plane = plane.astype(np.float32, copy=False)
    down = np.zeros((max(plane.shape[0] - 1, 0), plane.shape[1]), np.float32)
    right = np.zeros((plane.shape[0], max(plane.shape[1] - 1, 0)), np.float32)
    ahead_down, ahead_right = down.copy(), right.copy()
    momentum = 1.0
    image = plane
    for iteration in range(1, MOST_ITERATIONS + 1):
        image = _primal(plane, ahead_down, ahead_right)
        next_down = _step(ahead_down, image, 0, weight)
        next_right = _step(ahead_right, image, 1, weight)
        change_down, change_right = next_down - down, next_right - right
        uphill = np.vdot(ahead_down - next_down, change_down) + np.vdot(ahead_right - next_right, change_right) > 0
        following = 1.0 if uphill else (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        pace = np.float32(0 if uphill else (momentum - 1) / following)
        down, right, momentum = next_down, next_right, following
        ahead_down, ahead_right = down + pace * change_down, right + pace * change_right
        if iteration % CHECK_EVERY == 0:
            image = _primal(plane, down, right)
            gap = _gap(image, down, 0, weight) + _gap(image, right, 1, weight)
            if 2 * gap <= plane.size * tolerance**2:
                return image
    return _primal(plane, down, right)


def _primal(plane: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    image = plane.copy()
    image[:-1] += down
    image[1:] -= down
    image[:, :-1] += right
    image[:, 1:] -= right
    return image


def _step(dual: np.ndarray, image: np.ndarray, axis: int, weight: float) -> np.ndarray:
    """A gradient step of 1/8, the inverse of the largest curvature, back into the box."""
    moved = np.diff(image, axis=axis)
    moved *= np.float32(0.125)
    moved += dual
    return np.clip(moved, -weight, weight, out=moved)


def _gap(image: np.ndarray, dual: np.ndarray, axis: int, weight: float) -> float:
    difference = np.diff(image, axis=axis)
    return float(np.sum(weight * np.abs(difference) - difference * dual, dtype=np.float64))
