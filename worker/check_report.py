"""The report of a check: step by step what was seen, in sentences, and the figures that go into the package."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from worker.manifest import software

LOAD, REPRODUCE, TEST_IMAGE, FIGURES = "load", "reproduce", "test_image", "figures"
STEPS = (LOAD, REPRODUCE, TEST_IMAGE, FIGURES)
LONGEST_SENTENCE = 600


@dataclass
class Step:
    """One step; `ok` is None when it was not done, because one before it failed."""

    name: str
    ok: bool | None = None
    sentence: str = "Not done, because a step before it failed."
    hint: str = ""
    seconds: float = 0.0

    def done(self, ok: bool, sentence: str, hint: str = "") -> None:
        self.ok, self.sentence, self.hint = ok, sentence[:LONGEST_SENTENCE], hint[:LONGEST_SENTENCE]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "sentence": self.sentence,
            "hint": self.hint,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class Report:
    """What a check found. `load_s`, `seconds_per_megapixel`, `difference` and `objects` are None until known;
    `found` is the summary of the run on the test image, `ert` what goes into `config.zooscope`.
    """

    steps: dict[str, Step] = field(default_factory=lambda: {name: Step(name) for name in STEPS})
    load_s: float | None = None
    seconds_per_megapixel: float | None = None
    measured: list[dict[str, float]] = field(default_factory=list)
    device: str = ""
    difference: float | None = None
    objects: int | None = None
    found: dict[str, Any] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    tensors_made: bool = False
    ert: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(step.ok for step in self.steps.values())

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """The step `name`, timed."""
        started = time.perf_counter()
        try:
            yield self.steps[name]
        finally:
            self.steps[name].seconds = time.perf_counter() - started

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "passed": self.passed,
            "steps": [step.to_json() for step in self.steps.values()],
            "load_s": _number(self.load_s),
            "seconds_per_megapixel": _number(self.seconds_per_megapixel),
            "measured": self.measured,
            "device": self.device,
            "difference": _number(self.difference),
            "objects": self.objects,
            "found": self.found,
            "peak_memory_bytes": self.peak_memory_bytes,
            "tensors_made": self.tensors_made,
            "ert": self.ert,
            "software": software("onnxruntime"),
            "at": round(time.time(), 3),
        }
        return body


def _number(value: float | None) -> float | None:
    """JSON has no word for what is no number."""
    return value if value is not None and math.isfinite(value) else None
