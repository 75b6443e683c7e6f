"""A preview while it runs: what it is given, and its talking side (progress, log, cancellation, timings)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scheduler.contract import Progress
from zoo.errors import ZooscopeError
from zoo.images import Crop
from zoo.packages import ModelPackage

# Where a stage begins in the whole, as far as progress is told.
BEGINS = {"loading": 0.0, "reading": 0.1, "enhancing": 0.12, "inferring": 0.15, "decoding": 0.85, "drawing": 0.91,
          "measuring": 0.95}  # fmt: skip


class Cancelled(ZooscopeError):
    """The job was cancelled while it ran: nothing is to be posted."""

    code = "cancelled"
    status = 410


@dataclass(frozen=True)
class PreviewJob:
    """`settings` as `zoo.preview_settings.resolve` gives them; `source` tells where the crop was taken from (roi,
    plane, channels, rgb, image_name, image_sha256), of which only `roi` has a part in the computing.
    """

    package: ModelPackage
    crop: Crop
    settings: Mapping[str, Any]
    source: Mapping[str, Any]


@dataclass
class Run:
    """The talking side of one preview: progress, log, cancellation, timings."""

    report: Callable[[Progress], None]
    tell: Callable[[str], None]
    cancelled: Callable[[], bool]
    timings: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def log(self, line: str) -> None:
        self.lines.append(line)
        self.tell(line)

    def progress(self, stage: str, share: float = 0.0, message: str = "") -> None:
        if self.cancelled():
            raise Cancelled("The job was cancelled.")
        ends = [begin for begin in BEGINS.values() if begin > BEGINS[stage]]
        fraction = BEGINS[stage] + share * (min(ends, default=1.0) - BEGINS[stage])
        self.report(Progress(stage, round(fraction, 4), message))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name)
        started = time.perf_counter()
        yield
        self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - started
