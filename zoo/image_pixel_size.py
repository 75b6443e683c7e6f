"""The size of a pixel, from what a file says of it; anything that cannot be a microscope's is taken as unknown."""

from __future__ import annotations

import math

from zoo.image_types import PixelSize

# From an electron microscope's finest sampling to a macroscope's coarsest. Printers' and screens' resolutions, such as
# 72 or 300 dots an inch, are coarser still (353 and 85 micrometres).
SMALLEST_UM, LARGEST_UM = 1e-5, 50.0

MICROMETRES = {
    "pm": 1e-6, "å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3,
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6,
    "meter": 1e6, "inch": 25400.0, "in": 25400.0,
}  # fmt: skip


def pixel_size(x: float | None, y: float | None, unit: str | None) -> PixelSize | None:
    """Sides in `unit` as micrometres; None when a side or the unit is unknown or not plausible in microscopy."""
    factor = MICROMETRES.get((unit or "").strip().lower())
    if factor is None or x is None:
        return None
    sides = (x * factor, (x if y is None else y) * factor)
    if not all(math.isfinite(side) and SMALLEST_UM <= side <= LARGEST_UM for side in sides):
        return None
    return PixelSize(round(sides[0], 9), round(sides[1], 9))
