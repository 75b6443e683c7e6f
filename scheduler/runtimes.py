"""What jobs really took, kept by model version and kind of device, and what that teaches about the next one.

The runtime of a job is taken to be `fixed_s + seconds_per_megapixel x (megapixels x passes)`, after loading. Both are
fitted to the latest jobs by least squares of the relative error, reweighted with Cauchy's weights (Holland and Welsch
1977) so that one job on a busy machine teaches little; the package's own figures stand in as observations that real
ones soon outvote.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, RevisionConflict
from zoo.errors import ZooscopeError

log = logging.getLogger(__name__)

COLLECTION = "runtimes"
KEPT = 64
# Below this a model was warm: looking it up takes as long.
WARM_LOAD_SECONDS = 0.05
# The sizes, in megapixel-passes, at which the package's figures stand in, and how much each weighs.
PRIOR_SIZES, PRIOR_WEIGHT = (0.5, 4.0), 0.5
# The relative error at which an observation counts half.
OUTLYING = 0.25
ROUNDS = 12
SHORTEST_SECONDS = 1e-3
# How many jobs teach the spread before it replaces the slack of the settings.
ENOUGH_FOR_SPREAD = 10
SPREAD_QUANTILE = 0.95
TRIES = 20


@dataclass(frozen=True)
class Figures:
    """Seconds to load, fixed seconds and seconds per megapixel-pass; `spread` is the quantile of actual over expected
    runtimes, None while too few jobs were seen; `jobs` is how many taught it."""

    load_s: float
    fixed_s: float
    seconds_per_megapixel: float
    spread: float | None = None
    jobs: int = 0


def learn(prior: Figures, observations: Sequence[Mapping[str, float]]) -> Figures:
    """Fit `observations` of {work: megapixel-passes, seconds: without loading, load_s}; `prior` where there are few."""
    if not observations:
        return prior
    loads = [float(one["load_s"]) for one in observations if one["load_s"] > WARM_LOAD_SECONDS]
    load = median([*loads, prior.load_s]) if len(loads) < 3 else median(loads)
    work = np.array([one["work"] for one in observations])
    seconds = np.maximum([one["seconds"] for one in observations], SHORTEST_SECONDS)
    fixed, slope = _fit(prior, work, seconds)
    ratios = seconds / np.maximum(fixed + slope * work, SHORTEST_SECONDS)
    spread = float(np.quantile(ratios, SPREAD_QUANTILE)) if ratios.size >= ENOUGH_FOR_SPREAD else None
    return Figures(load, fixed, slope, spread, int(ratios.size))


def _fit(prior: Figures, work: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """The fixed seconds and the slope, neither negative."""
    sizes = np.array(PRIOR_SIZES)
    x = np.concatenate([work, sizes])
    y = np.concatenate([seconds, np.maximum(prior.fixed_s + prior.seconds_per_megapixel * sizes, SHORTEST_SECONDS)])
    base = np.concatenate([np.ones(work.size), np.full(sizes.size, PRIOR_WEIGHT)])
    expected = np.full(y.size, np.median(seconds))
    for _ in range(ROUNDS):
        # Relative to the larger of the two, so that expecting too little and too much count alike.
        scale = np.maximum(y, expected)
        error = np.abs(expected - y) / scale
        fixed, slope = _line(x, y, base / scale**2 / (1 + (error / OUTLYING) ** 2))
        expected = fixed + slope * x
    return fixed, slope


def _line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The weighted least-squares line with a slope and an intercept of at least 0."""
    total, mean_x, mean_y = weights.sum(), np.average(x, weights=weights), np.average(y, weights=weights)
    variance = float((weights * (x - mean_x) ** 2).sum() / total)
    slope = float((weights * (x - mean_x) * (y - mean_y)).sum() / total) / variance if variance > 0 else 0.0
    slope = max(0.0, slope)
    if (fixed := float(mean_y - slope * mean_x)) >= 0:
        return fixed, slope
    return 0.0, float((weights * x * y).sum() / max((weights * x * x).sum(), 1e-300))


class Runtimes:
    """The observations, in the documents, so that every process learns from every job."""

    def __init__(self, documents: Documents) -> None:
        documents.declare(COLLECTION, Fields())
        self._documents = documents

    def figures(self, package_sha256: str, device: str, prior: Figures) -> Figures:
        """What is known of the model on this kind of device; `prior` says what its package claims."""
        return learn(prior, self._observations(package_sha256, device))

    def _observations(self, package_sha256: str, device: str) -> list[dict[str, float]]:
        with contextlib.suppress(DocumentMissing):
            stored = self._documents.get(COLLECTION, _key(package_sha256, device))
            return list(stored.body["observations"])
        return []

    def learn_from(self, body: Mapping[str, Any]) -> None:
        """Remember what the finished job `body` took. No result is refused for what cannot be learned from it."""
        load = body["result"]["timings"].get("loading", 0.0)
        if not body["work"] or not body["started_at"] or not isinstance(load, int | float):
            return
        seconds = body["finished_at"] - body["started_at"] - load
        try:
            self.record(body["model"]["package_sha256"], body["result"]["device"], body["work"], seconds, float(load))
        except ZooscopeError as error:
            log.warning("job %s: its runtime is not learned: %s", body["uuid"], error)

    def record(self, package_sha256: str, device: str, work: float, seconds: float, load_s: float) -> None:
        """Remember one finished job: megapixel-passes, seconds without loading, seconds of loading."""
        key, observed = _key(package_sha256, device), {"work": work, "seconds": seconds, "load_s": load_s}
        # Lost when many finish at the very same time: one observation more or less teaches the same.
        for _ in range(TRIES):
            try:
                stored = self._documents.get(COLLECTION, key)
            except DocumentMissing:
                with contextlib.suppress(DocumentExists):
                    self._documents.create(COLLECTION, key, {"observations": [observed]})
                    return
                continue
            body: dict[str, Any] = {"observations": [*stored.body["observations"], observed][-KEPT:]}
            with contextlib.suppress(RevisionConflict, DocumentMissing):
                self._documents.replace(COLLECTION, key, body, stored.revision, lasting=False)
                return


def _key(package_sha256: str, device: str) -> str:
    return f"{package_sha256}.{device.partition(':')[0] or 'cpu'}"
