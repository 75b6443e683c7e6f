"""What a recipe says of its model for the package: words, samples, scores, and the picture on the cover."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from worker.heads.boxes import Boxes
from worker.render import draw_overlay
from zoo.display import to_display

CARDS = Path(__file__).parent / "cards"


@dataclass(frozen=True)
class Sample:
    """A real image kept out of training, uint8 (y, x), (y, x, 3) or, if `stack`, (plane, y, x), and its origin."""

    file: str
    title: str
    origin: str
    licence: str
    pixels: np.ndarray
    pixel_size_um: float | None = None
    stack: bool = False

    def to_json(self) -> dict[str, Any]:
        height, width = self.pixels.shape[-2:] if self.stack else self.pixels.shape[:2]
        words = {name: getattr(self, name) for name in ("file", "title", "origin", "licence", "pixel_size_um")}
        return words | {"width": width, "height": height} | ({"planes": len(self.pixels)} if self.stack else {})


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


def shown_with_boxes(rgb: np.ndarray, boxes: Boxes, colours: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (y, x, 3) in display contrast, and the same with the boxes drawn over it in the colours of their kinds."""
    shown = to_display(rgb, rgb=True)
    picture = Image.fromarray(shown)
    pencil = ImageDraw.Draw(picture)
    for box, kind in zip(boxes.xyxy.tolist(), boxes.kind.tolist(), strict=True):
        pencil.rectangle([round(side) for side in box], outline=colours[kind], width=3)
    return shown, np.asarray(picture)


def shown_with_overlay(rgb: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (y, x, 3) in display contrast, and the same with the labels (y, x) drawn over it."""
    shown = to_display(rgb, rgb=True)
    return shown, draw_overlay(shown, labels)
