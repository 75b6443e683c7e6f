"""Spots: bright, round, of about a known size, found where a blob filter's answer is highest in place and scale.

The filter is the scale-normalised Laplacian of Gaussian (Lindeberg 1998), or its approximation by differences of
Gaussians (Lowe 2004); a spot's radius is the square root of two times the sigma that answers most. Maxima along ridges
are told by the ratio of the two curvatures (Lowe 2004), those beside edges by the slope they lie on. What counts is
how far an answer stands out of the filter's own noise, which is measured robustly on blocks of a fixed grid, so that
uneven background, brightness and exposure do not matter, nor where the plane was cut beyond the filter's reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from worker.heads.decoded import Points
from worker.heads.spot_noise import AT_ONCE, BLOCK, RING_OUTER, RING_PX, answer_noise, noise_around, noise_at

# Scales apart by this factor lose at most a few per cent of a spot's answer between two of them.
SCALE_STEP = 1.3
# A spot whose filter answer is this often the noise has the score 0.5.
EVEN_SNR = 6.0
# The flatter curvature of a round spot is at least this part of the steeper one; along an edge it is near 0.
ROUNDNESS = 0.3
# Two and a half sigmas from a spot the filter answers nothing; along an edge it does on both sides, as much as here.
ALONG, ALONG_SIGMAS, DIRECTIONS = 0.4, 2.5, 8
# Beside an edge the plane falls, over a length of sigma, by half of what the filter answers more than the wider
# surroundings do; on a spot it is level, or falls as they do.
STEEPEST, SURROUNDINGS = 0.35, 3.0
# One scale beyond either end is looked at: what answers more there by these factors is a larger thing, or a hot pixel.
LARGER, SMALLER = 1.02, 1.08
# Of two spots nearer than this part of the larger radius the weaker is the stronger one's shadow.
APART = 0.8
TRUNCATE = 4.0

LabelsAt = Callable[[np.ndarray, np.ndarray], np.ndarray]


def find_spots(
    plane: np.ndarray,
    *,
    method: str = "log",
    sigma_min: float = 1.0,
    sigma_max: float = 3.0,
    threshold: float = 0.5,
    labels: np.ndarray | None = None,
) -> Points:
    """Bright spots of one plane, in scan order.

    Args:
        plane: (y, x) float32 in any units.
        method: "log", Laplacian of Gaussian, or "dog", differences of Gaussians.
        sigma_min, sigma_max: the range of sigmas looked for, in pixels.
        threshold: the least score. A score is snr / (snr + EVEN_SNR), snr the filter's answer over its noise there.
        labels: (y, x) int32, the cells that spots may lie in.
    """
    plane = plane.astype(np.float32, copy=False)
    sigmas = scales(sigma_min, sigma_max)
    answers = filter_answers(plane, sigmas, method)
    found = look_for(plane, answers, answer_noise(answers), sigmas, least_snr_of(threshold))
    return found.points(least_snr_of(threshold), None if labels is None else lambda y, x: labels[y, x])


def least_snr_of(threshold: float) -> float:
    """The least answer over its noise of spots whose score reaches the threshold."""
    return EVEN_SNR * threshold / max(1 - threshold, 1e-6)


@dataclass(frozen=True)
class Seen:
    """What may be spots: `cells` (n, 3) int64, scale, y and x; `xy` (n, 2), `sigma`, `answer` and `noise` (n,), in
    pixels of the plane, float64 but for the answer's float32.
    """

    cells: np.ndarray
    xy: np.ndarray
    sigma: np.ndarray
    answer: np.ndarray
    noise: np.ndarray

    def points(self, least_snr: float, labels_at: LabelsAt | None = None) -> Points:
        """The spots among them, in scan order: no stronger one's shadow, and of at least `least_snr`; `labels_at` tells
        the labels (n,) at rows and columns (n,) of the plane.
        """
        order = _apart(self.xy, self.sigma * math.sqrt(2), self.answer)
        snr = self.answer[order] / self.noise[order]
        order, snr = order[snr >= least_snr], snr[snr >= least_snr]
        _, y, x = self.cells[order].T
        parent = np.zeros(len(order), np.int32) if labels_at is None else labels_at(y, x).astype(np.int32)
        return Points(self.xy[order], self.sigma[order] * math.sqrt(2), snr / (snr + EVEN_SNR), snr, parent)


def look_for(
    plane: np.ndarray,
    answers: np.ndarray,
    noise: np.ndarray,
    sigmas: np.ndarray,
    least_snr: float,
    origin: tuple[int, int] = (0, 0),
    core: tuple[slice, slice] = (slice(None), slice(None)),
) -> Seen:
    """What may be spots in the rows and columns `core` of a part of a plane that begins at `origin` (y, x).

    `plane` (y, x) and the filter's `answers` (sigma, y, x) are of the part, `noise` is of the whole plane.
    """
    found = _strong(answers, noise, least_snr, origin)
    inside = np.zeros(plane.shape, bool)
    inside[core] = True
    found = found[inside[found[:, 1], found[:, 2]]]
    found = found[_local_maxima(answers, found)]
    found = found[_roundness(answers, found) >= ROUNDNESS]
    found = found[_along(answers, found, sigmas) <= ALONG * answers[tuple(found.T)]]
    found = found[_slope(plane, found, sigmas) <= STEEPEST * answers[tuple(found.T)]]
    cells = found + np.array([0, *origin])
    xy, sigma = _refined(answers, found, cells, sigmas)
    around = np.maximum(noise_at(noise, cells), noise_around(answers, found, sigmas))
    return Seen(cells, xy, sigma, answers[tuple(found.T)], around)


def scales(sigma_min: float, sigma_max: float) -> np.ndarray:
    """Sigmas from the least to the largest, at most SCALE_STEP apart, and one more beyond either end."""
    sigma_max = max(sigma_min, sigma_max)
    steps = max(0, math.ceil(math.log(sigma_max / sigma_min) / math.log(SCALE_STEP) - 1e-9))
    step = (sigma_max / sigma_min) ** (1 / steps) if steps else SCALE_STEP
    return sigma_min * step ** np.arange(-1, steps + 2)


def filter_answers(plane: np.ndarray, sigmas: np.ndarray, method: str) -> np.ndarray:
    """(sigma, y, x) float32, what the filter `method` answers to a plane (y, x) float32."""
    return (log_answers if method == "log" else dog_answers)(plane, sigmas)


def reach(sigmas: np.ndarray, method: str) -> int:
    """How far in pixels what is found depends on the plane around it."""
    steps = np.sqrt(np.diff(np.concatenate([[0.0], _ladder(sigmas, method)]) ** 2))
    smoothing = sum(int(TRUNCATE * step + 0.5) for step in steps) + 1
    largest = float(sigmas[-1])
    return max(smoothing + int(RING_OUTER * largest + RING_PX) + 2, int(2.5 * SURROUNDINGS * largest) + 2)


def _ladder(sigmas: np.ndarray, method: str) -> np.ndarray:
    """The sigmas of the smoothings that a filter is made of."""
    if method == "log":
        return sigmas
    step = float(sigmas[1] / sigmas[0])
    return np.append(sigmas, sigmas[-1] * step) / math.sqrt(step)


def log_answers(plane: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """(sigma, y, x) float32: minus sigma squared times the Laplacian of the plane smoothed by sigma."""
    answers = np.empty((len(sigmas), *plane.shape), np.float32)
    for answer, sigma, smooth in zip(answers, sigmas, _smoothed(plane, sigmas), strict=True):
        framed = np.pad(smooth, 1, mode="edge")
        np.multiply(smooth, np.float32(4), out=answer)
        for part in (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]):
            answer -= part
        answer *= np.float32(sigma**2)
    return answers


def dog_answers(plane: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """As `log_answers`, from the difference of smoothings half a step under and half a step over each sigma."""
    step = float(sigmas[1] / sigmas[0])
    ladder = _smoothed(plane, _ladder(sigmas, "dog"))
    answers = np.empty((len(sigmas), *plane.shape), np.float32)
    lower = next(ladder)
    for answer, upper in zip(answers, ladder, strict=True):
        np.subtract(lower, upper, out=answer)
        lower = upper
    # The derivative by the logarithm of sigma is sigma squared times the Laplacian.
    answers /= np.float32(math.log(step))
    return answers


def _smoothed(plane: np.ndarray, sigmas: np.ndarray) -> Iterator[np.ndarray]:
    """The plane under Gaussians of growing sigma, each made from the one before."""
    reached = 0.0
    for sigma in sigmas:
        further = math.sqrt(sigma**2 - reached**2)
        plane = ndimage.gaussian_filter(plane, further, mode="nearest", truncate=TRUNCATE)
        reached = float(sigma)
        yield plane


def _strong(answers: np.ndarray, noise: np.ndarray, least_snr: float, origin: tuple[int, int]) -> np.ndarray:
    """(n, 3) int64 scale, y, x of all answers of at least `least_snr` times the noise, but for the outer scales."""
    found = []
    for scale in range(1, len(answers) - 1):
        # No less than the noise between a block and its neighbours: a first look at all pixels at once.
        least = ndimage.minimum_filter(noise[scale], 3, mode="nearest") * least_snr
        rows = np.minimum((np.arange(answers.shape[1]) + origin[0]) // BLOCK, least.shape[0] - 1)
        columns = np.minimum((np.arange(answers.shape[2]) + origin[1]) // BLOCK, least.shape[1] - 1)
        y, x = np.nonzero(answers[scale] >= least.astype(np.float32)[rows][:, columns])
        found.append(np.stack([np.full(y.size, scale), y, x], axis=1))
    candidates = np.concatenate(found)
    here = noise_at(noise, candidates + np.array([0, *origin]))
    return candidates[answers[tuple(candidates.T)] >= least_snr * here]


def _local_maxima(answers: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Which of (n, 3) scale, y, x answer more than their 26 neighbours, of equal ones the first."""
    scales, height, width = answers.shape
    alive = np.arange(len(found))
    for ds, dy, dx in sorted(product((-1, 0, 1), repeat=3), key=lambda step: np.abs(step).sum()):
        if not (ds or dy or dx):
            continue
        scale, y, x = found[alive].T
        there = answers[scale + ds, np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
        here = answers[scale, y, x]
        outside = (y + dy < 0) | (y + dy >= height) | (x + dx < 0) | (x + dx >= width)
        if ds:
            beyond = (scale + ds == 0) | (scale + ds == scales - 1)
            slack = np.where(beyond, SMALLER if ds < 0 else LARGER, 1).astype(np.float32)
            there = np.where(beyond & bool(dy or dx), -np.inf, there / slack)
        first = (ds, dy, dx) > (0, 0, 0)
        alive = alive[outside | (here > there) | ((here == there) & first)]
    return alive


def _neighbour(answers: np.ndarray, found: np.ndarray, ds: int, dy: int, dx: int) -> np.ndarray:
    scale, y, x = found.T
    limits = answers.shape
    return answers[scale + ds, np.clip(y + dy, 0, limits[1] - 1), np.clip(x + dx, 0, limits[2] - 1)].astype(np.float64)


def _roundness(answers: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The flatter over the steeper curvature of the answer at (n, 3) scale, y, x; 1 is round, 0 or less an edge."""
    at = partial(_neighbour, answers, found, 0)
    middle = 2 * at(0, 0)
    yy, xx = middle - at(-1, 0) - at(1, 0), middle - at(0, -1) - at(0, 1)
    xy = (at(-1, 1) + at(1, -1) - at(-1, -1) - at(1, 1)) / 4
    mean, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    return np.divide(mean - spread, mean + spread, out=np.zeros_like(mean), where=mean + spread > 0)


def _along(answers: np.ndarray, found: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """The largest mean of the answers on either side of (n, 3) scale, y, x, over DIRECTIONS that halve the circle."""
    most = np.full(len(found), -np.inf)
    scale, y, x = found.T
    reach = ALONG_SIGMAS * sigmas[scale]
    _, height, width = answers.shape
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        dy, dx = np.rint(reach * np.sin(angle)).astype(np.int64), np.rint(reach * np.cos(angle)).astype(np.int64)
        sides = [
            answers[scale, np.clip(y + side * dy, 0, height - 1), np.clip(x + side * dx, 0, width - 1)]
            for side in (-1, 1)
        ]
        most = np.maximum(most, np.add(*sides) / 2)
    return most


def _slope(plane: np.ndarray, found: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """How much the plane falls over a length of sigma at each of (n, 3) scale, y, x, beyond what its wider
    surroundings do: smoothed by sigma and by SURROUNDINGS times that."""
    slopes = np.zeros(len(found))
    height, width = plane.shape
    for scale, sigma in enumerate(sigmas):
        reach = int(2.5 * SURROUNDINGS * sigma) + 1
        offsets = np.arange(-reach, reach + 1)
        near, far = (_falling(offsets, wide) for wide in (sigma, SURROUNDINGS * sigma))
        kernel = sigma * (near - far)
        own = np.flatnonzero(found[:, 0] == scale)
        for some in np.array_split(own, 1 + own.size * offsets.size**2 // AT_ONCE):
            rows = np.clip(found[some, 1, None] + offsets, 0, height - 1)
            columns = np.clip(found[some, 2, None] + offsets, 0, width - 1)
            around = plane[rows[:, :, None], columns[:, None, :]].reshape(some.size, offsets.size**2)
            # Unlike a product of matrices, each sum is the same whatever else is summed beside it.
            down, right = (np.einsum("ij,j->i", around, each.ravel()) for each in (kernel.T, kernel))
            slopes[some] = np.hypot(down, right)
    return slopes


def _falling(offsets: np.ndarray, sigma: float) -> np.ndarray:
    """(y, x) float32: the kernel of the slope in x of what is smoothed by sigma, exact for planes that are tilted."""
    smooth = np.exp(-(offsets**2) / (2 * sigma**2))
    smooth /= smooth.sum()
    steep = smooth * offsets
    return np.outer(smooth, steep / (steep @ offsets)).astype(np.float32)


def _refined(
    answers: np.ndarray, found: np.ndarray, cells: np.ndarray, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) x, y in pixels from the plane's corner and (n,) sigma, between pixels and scales by parabolas; `cells`
    are `found` as they lie in the plane."""
    at = partial(_neighbour, answers, found)
    middle = at(0, 0, 0)
    dx = _vertex(at(0, 0, -1), middle, at(0, 0, 1))
    dy = _vertex(at(0, -1, 0), middle, at(0, 1, 0))
    ds = _vertex(at(-1, 0, 0), middle, at(1, 0, 0))
    step = float(sigmas[1] / sigmas[0])
    return np.stack([cells[:, 2] + 0.5 + dx, cells[:, 1] + 0.5 + dy], axis=1), sigmas[found[:, 0]] * step**ds


def _vertex(before: np.ndarray, middle: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where the parabola through three equidistant values is highest, within half a step of the middle."""
    bend = 2 * middle - before - after
    return np.clip(np.divide(after - before, 2 * bend, out=np.zeros_like(bend), where=bend > 0), -0.5, 0.5)


def _apart(xy: np.ndarray, radius: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Indices in scan order of the spots that are no stronger one's shadow."""
    keep = np.ones(len(xy), bool)
    if len(xy) > 1:
        pairs = KDTree(xy).query_pairs(APART * float(radius.max()), output_type="ndarray")
        distance = np.hypot(*(xy[pairs[:, 0]] - xy[pairs[:, 1]]).T)
        pairs = pairs[distance < APART * np.maximum(radius[pairs[:, 0]], radius[pairs[:, 1]])]
        rank = np.empty(len(xy), np.int64)
        rank[np.lexsort((xy[:, 0], xy[:, 1], -answer))] = np.arange(len(xy))
        ranks = np.sort(rank[pairs], axis=1)
        spot = np.argsort(rank)
        for stronger, weaker in ranks[np.lexsort((ranks[:, 1], ranks[:, 0]))].tolist():
            if keep[spot[stronger]]:
                keep[spot[weaker]] = False
    order = np.lexsort((xy[:, 0], xy[:, 1]))
    return order[keep[order]]
