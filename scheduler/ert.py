"""ERT, the expected runtime of a job: from the package's measured figures and the size of its region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.settings import Settings

# For a package that nobody measured: slow on purpose, because a lease too short runs a job twice.
UNMEASURED = {"load_s": 5.0, "seconds_per_megapixel": 10.0}


@dataclass(frozen=True)
class Estimate:
    """Seconds: `seconds` is what a person waits once a worker has the job, `load_s` is the loading of a cold model
    (0 when warm), `ert_seconds` is how long a lease lasts, which allows for a cold model in any case."""

    seconds: float
    load_s: float
    ert_seconds: float


def estimate(
    ert_figures: Mapping[str, Mapping[str, Any]],
    megapixels: float,
    passes: int,
    device: str = "cpu",
    warm: bool = False,
    settings: Settings | None = None,
) -> Estimate:
    """How long `passes` of a model over `megapixels` (of the model's own pixels) take on `device`, such as `gpu:0`.

    A device without figures is taken to be as slow as the CPU.
    """
    kind = device.partition(":")[0]
    figures = ert_figures.get(kind) or ert_figures.get("cpu") or UNMEASURED
    load = float(figures.get("load_s", UNMEASURED["load_s"]))
    per_megapixel = float(figures.get("seconds_per_megapixel", UNMEASURED["seconds_per_megapixel"]))
    computing = per_megapixel * megapixels * max(1, passes)
    shown_load = 0.0 if warm else load
    return Estimate(computing + shown_load, shown_load, lease_seconds(computing + load, settings or Settings()))


def lease_seconds(seconds: float, settings: Settings) -> float:
    """The lease of a job that is expected to take `seconds`, loading included."""
    return float(max(settings.ert_floor_seconds, settings.ert_slack * seconds))
