"""The size of a pixel, from what a file says of it; anything that cannot be a microscope's is taken as unknown."""

from __future__ import annotations

import math

from zoo.image_types import PixelSize

# From an electron microscope's finest sampling to a macroscope's coarsest.
SMALLEST_UM, LARGEST_UM = 1e-5, 1000.0
# Of a bare resolution, which programs fill in for printers and screens: 72 to 600 dots an inch are 353 to 42
# micrometres, and 1200, a fine printer's, are 21.
LARGEST_FROM_RESOLUTION_UM = 20.0

MICROMETRES = {
    "pm": 1e-6, "å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3,
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6,
    "meter": 1e6, "metre": 1e6, "inch": 25400.0, "in": 25400.0,
}  # fmt: skip


def pixel_size(x: float | None, y: float | None, unit: str | None) -> PixelSize | None:
    """Sides in `unit` as micrometres; None when a side or the unit is unknown or not plausible in microscopy."""
    factor = MICROMETRES.get((unit or "").strip().lower())
    if factor is None or x is None:
        return None
    return _plausible(x * factor, (x if y is None else y) * factor, LARGEST_UM)


def resolution_pixel_size(x: float, y: float, unit: str | None) -> PixelSize | None:
    """The same for sides from a resolution tag, which must be finer than what printers and screens use."""
    size = pixel_size(x, y, unit)
    return size and _plausible(size.x_um, size.y_um, LARGEST_FROM_RESOLUTION_UM)


def _plausible(x_um: float, y_um: float, largest_um: float) -> PixelSize | None:
    if not all(math.isfinite(side) and SMALLEST_UM <= side <= largest_um for side in (x_um, y_um)):
        return None
    return PixelSize(round(x_um, 9), round(y_um, 9))
