"""ERT, the expected runtime of a job: from what its model was seen to take, else from its package's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.runtimes import Figures
from zoo.settings import Settings

# For a package that nobody measured: slow on purpose, because a lease too short runs a job twice.
UNMEASURED = {"load_s": 5.0, "seconds_per_megapixel": 10.0}
# Reading, drawing and handing over, whatever the size: of the seed models on two cores.
FIXED_SECONDS = 0.2
# A lease is at least this many times the slow end of what was seen.
SPREAD_MARGIN = 1.5


@dataclass(frozen=True)
class Estimate:
    """Seconds: `seconds` is what a person waits once a worker has the job, `load_s` is the loading of a cold model
    (0 when warm), `ert_seconds` is how long a lease lasts, which allows for a cold model in any case. `jobs` is the
    number of finished jobs it was learned from."""

    seconds: float
    load_s: float
    ert_seconds: float
    jobs: int = 0


def prior(ert_figures: Mapping[str, Mapping[str, Any]], device: str = "cpu") -> Figures:
    """What a package says of itself, for a device such as `gpu:0`; one without figures is as slow as the CPU."""
    figures = ert_figures.get(device.partition(":")[0]) or ert_figures.get("cpu") or UNMEASURED
    return Figures(
        float(figures.get("load_s", UNMEASURED["load_s"])),
        FIXED_SECONDS,
        float(figures.get("seconds_per_megapixel", UNMEASURED["seconds_per_megapixel"])),
    )


def estimate(figures: Figures, megapixels: float, passes: int, settings: Settings, warm: bool = False) -> Estimate:
    """How long `passes` of a model over `megapixels` (of the model's own pixels) take."""
    computing = figures.fixed_s + figures.seconds_per_megapixel * megapixels * max(1, passes)
    load = 0.0 if warm else figures.load_s
    slack = settings.ert_slack if figures.spread is None else max(figures.spread * SPREAD_MARGIN, SPREAD_MARGIN)
    return Estimate(computing + load, load, lease_seconds(computing + figures.load_s, slack, settings), figures.jobs)


def lease_seconds(seconds: float, slack: float, settings: Settings) -> float:
    """The lease of a job that is expected to take `seconds`, loading included."""
    return float(max(settings.ert_floor_seconds, slack * seconds))
