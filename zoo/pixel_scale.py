"""From an image's pixel size to a model's: one rule for the page, the worker and the terminal.

The rule: with rescaling on "auto", an image is resized when its own pixel size is known, the model has one, and the
model's is not merely nominal. Within a few per cent nothing is gained by resampling, so nothing is done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from zoo.errors import UserError

CLOSE_ENOUGH = 0.03


class RegionTooLarge(UserError):
    code = "region-too-large"


class _PixelSize(Protocol):
    @property
    def x_um(self) -> float: ...
    @property
    def y_um(self) -> float: ...


@dataclass(frozen=True)
class Scale:
    """Factors from the image's pixels to the model's; 1 leaves an axis as it is."""

    y: float = 1.0
    x: float = 1.0

    @property
    def changes(self) -> bool:
        return self.y != 1 or self.x != 1

    @property
    def factor(self) -> float:
        """One number for both axes, their geometric mean."""
        return math.sqrt(self.x * self.y)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """(y, x) pixels of an image of that many pixels after resizing, at least one."""
        return max(1, round(height * self.y)), max(1, round(width * self.x))


def scale_to_model(
    pixel_size: _PixelSize | None, model_pixel_um: float | None, *, nominal: bool, rescale: str = "auto"
) -> Scale:
    """The factors to resize an image by before a model sees it."""
    if rescale == "off" or nominal or pixel_size is None or not model_pixel_um:
        return Scale()
    y, x = pixel_size.y_um / model_pixel_um, pixel_size.x_um / model_pixel_um
    if all(abs(factor - 1) <= CLOSE_ENOUGH for factor in (y, x)):
        return Scale()
    return Scale(y, x)


def check_budget(height: int, width: int, scale: Scale, budget: int) -> None:
    """Raise `RegionTooLarge` when a region, as it is or resized, has more pixels than a model takes."""
    if height * width > budget:
        raise RegionTooLarge(
            f"The region has {height * width:,} pixels; the model takes at most {budget:,}.",
            f"Choose a region of at most {math.isqrt(budget)} × {math.isqrt(budget)} px.",
        )
    resized = height * scale.y * width * scale.x
    if resized > budget:
        side = int(math.sqrt(budget) / scale.factor)
        raise RegionTooLarge(
            f"Resized ×{scale.factor:.3g} to the model's pixel size the region has {resized:,.0f} pixels; "
            f"the model takes at most {budget:,}.",
            f"Check the pixel size, choose a region of at most {side} × {side} px, or set rescale to off.",
        )
    if min(height * scale.y, width * scale.x) < 1:
        raise RegionTooLarge(
            f"Resized ×{scale.factor:.3g} to the model's pixel size nothing is left of the region.",
            "Check the pixel size, or set rescale to off.",
        )
