"""What a recipe says of its model for the package: words, samples, scores, and the picture on the cover."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worker.render import draw_overlay
from zoo.display import to_display

CARDS = Path(__file__).parent / "cards"


@dataclass(frozen=True)
class Sample:
    """A real image kept out of training, uint8 (y, x) or (y, x, 3), with where it comes from."""

    file: str
    title: str
    origin: str
    licence: str
    pixels: np.ndarray
    pixel_size_um: float | None = None

    def to_json(self) -> dict[str, Any]:
        height, width = self.pixels.shape[:2]
        words = {name: getattr(self, name) for name in ("file", "title", "origin", "licence", "pixel_size_um")}
        return words | {"width": width, "height": height}


@dataclass(frozen=True)
class Description:
    """What a recipe says of its model; `zooscope` is completed here with runtimes, samples and the halo."""

    id: str
    version: str
    name: str
    description: str
    licence: str
    cite: list[dict[str, str]]
    tags: list[str]
    channel_names: list[str]
    output_channels: list[str]
    percentiles: tuple[float, float]
    pixel_size_um: float | None
    card: str
    samples: list[Sample]
    bioimageio: dict[str, Any]
    zooscope: dict[str, Any] = field(default_factory=dict)


def shown_with_overlay(rgb: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (y, x, 3) in display contrast, and the same with the labels (y, x) drawn over it."""
    shown = to_display(rgb, rgb=True)
    return shown, draw_overlay(shown, labels)
