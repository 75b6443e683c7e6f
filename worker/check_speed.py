"""How long a model takes here: seconds to load, warm seconds per megapixel at several sizes, and its peak of memory.

The figures become `config.zooscope.ert`, from which the first estimates of a new model are made.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from worker.inference import WarmModel
from worker.tiles import pad_to

# Sides of the squares that are timed; the largest is that of a usual region, and what one tile takes.
SIDES = (256, 512, 1024)
RUNS = 3
# A larger square that would take longer than this, all its runs together, is left out.
PATIENCE_SECONDS = 20.0
MEGAPIXEL = 1e6


@dataclass(frozen=True)
class Speed:
    """`measured` are [{megapixels, seconds}] of each size, the median of its runs; the rate is that of the largest."""

    seconds_per_megapixel: float
    measured: list[dict[str, float]]
    runs: int


def time_model(model: WarmModel, plane: np.ndarray, beat: Callable[[], None], log: Callable[[str], None]) -> Speed:
    """Time the network on squares made of `plane`, (y, x, channel) float32 as it is given to it.

    `beat` is called as often as progress is made and may raise to stop.
    """
    measured: list[dict[str, float]] = []
    for side in SIDES:
        megapixels = side * side / MEGAPIXEL
        if measured and _expected(measured[-1], megapixels) * RUNS > PATIENCE_SECONDS:
            break
        square = _square(plane, side)
        model.predict(square, lambda done, tiles: beat(), log)  # kernels for this size are chosen
        seconds = []
        for _ in range(RUNS):
            beat()
            started = time.perf_counter()
            model.predict(square, lambda done, tiles: beat(), log)
            seconds.append(time.perf_counter() - started)
        measured.append({"megapixels": megapixels, "seconds": round(median(seconds), 5)})
    rate = measured[-1]["seconds"] / measured[-1]["megapixels"]
    return Speed(round(max(rate, 1e-4), 4), measured, RUNS)


def one_run(seconds: float, pixels: int) -> Speed:
    """The speed of what was timed once, over so many pixels."""
    megapixels = max(pixels, 1) / MEGAPIXEL
    measured = {"megapixels": round(megapixels, 4), "seconds": round(seconds, 5)}
    return Speed(round(max(seconds / megapixels, 1e-4), 4), [measured], 1)


def _expected(last: dict[str, float], megapixels: float) -> float:
    return last["seconds"] * megapixels / last["megapixels"]


def _square(plane: np.ndarray, side: int) -> np.ndarray:
    """(side, side, channel) of the plane, reflected as often as it takes."""
    part = plane[:side, :side]
    return np.ascontiguousarray(pad_to(part, (max(side, part.shape[0]), max(side, part.shape[1])))[:side, :side])


def begin_memory() -> None:
    """Forget the peak so far, where Linux lets a process do so."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> int:
    """Of this process since `begin_memory`; where that is not told, since its start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def ert_figures(load_s: float, speed: Speed, device: str, machine: str) -> dict[str, Any]:
    """What goes into `config.zooscope.ert`: {cpu | gpu: {load_s, seconds_per_megapixel, measured_on, n}}."""
    kind = "cpu" if device == "cpu" else "gpu"
    return {
        kind: {
            "load_s": round(load_s, 3),
            "seconds_per_megapixel": speed.seconds_per_megapixel,
            "measured_on": machine if device == "cpu" else device,
            "n": speed.runs,
        }
    }
