"""How the pages of a TIFF make planes and channels: plain pages, ImageJ hyperstacks, OME; and the pixel size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.image_limits import BadImage
from zoo.image_pixel_size import pixel_size, resolution_pixel_size
from zoo.image_tiff_ome import count, is_ome, read_ome
from zoo.image_types import PixelSize

RESOLUTION_UNITS = {2: "inch", 3: "cm"}
IMAGEJ = "ImageJ="


@dataclass(frozen=True)
class Axes:
    """Sizes of channels, slices and frames over the pages, fastest first in `order` (a permutation of "CZT").

    `table` gives the page of each position in that order; without it they are the pages 0, 1, 2 and so on.
    """

    order: str
    sizes: dict[str, int]
    channel_names: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None
    table: tuple[int, ...] | None = None

    @property
    def planes(self) -> int:
        return self.sizes["Z"] * self.sizes["T"]

    @property
    def z_step(self) -> int:
        """How many planes on the next slice of the same z-stack is."""
        return 1 if self.order.index("Z") < self.order.index("T") else self.sizes["T"]

    @property
    def pages(self) -> int:
        return self.planes * self.sizes["C"]

    def page(self, plane: int, channel: int) -> int:
        """The page of a channel of a plane; planes count slices and frames in the file's own order."""
        position, remaining = {"C": channel}, plane
        for axis in self.order.replace("C", ""):
            remaining, position[axis] = divmod(remaining, self.sizes[axis])
        index, stride = 0, 1
        for axis in self.order:
            index += position[axis] * stride
            stride *= self.sizes[axis]
        return index if self.table is None else self.table[index]


def find_axes(first: Any, ifds: list[int], virtual_pages: int) -> Axes:
    """The axes over the pages like `first`, whose numbers in the file are `ifds`.

    `virtual_pages` counts the planes that an ImageJ stack with a single page could hold behind it. Pages in `Axes`
    count from 0 along `ifds`. Raises `BadImage` and `UnsupportedImage` for metadata that cannot be true.
    """
    description = str(first.description or "")
    if is_ome(description):
        ome = read_ome(description, int(first.samplesperpixel), set(ifds))
        if ome is not None and ome.pages is not None:
            places = {ifd: index for index, ifd in enumerate(ifds)}
            table = tuple(places[ifd] for ifd in ome.pages)
            names = ome.channel_names if len(ome.channel_names) == ome.sizes["C"] else ()
            return Axes(ome.order, ome.sizes, names, ome.pixel_size, table)
        return _pages_as_planes(len(ifds), ome.pixel_size if ome else None)
    if description.startswith(IMAGEJ):
        return _imagej_axes(description, first, len(ifds), virtual_pages if len(ifds) == 1 else 0)
    return _pages_as_planes(len(ifds), _tag_pixel_size(first))


def _pages_as_planes(pages: int, size: PixelSize | None) -> Axes:
    return Axes("CZT", {"C": 1, "Z": pages, "T": 1}, (), size)


def _imagej_axes(description: str, first: Any, pages: int, virtual_pages: int) -> Axes:
    lines = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    sizes = {
        axis: count(lines.get(name, "1"), name) for axis, name in (("C", "channels"), ("Z", "slices"), ("T", "frames"))
    }
    size = _tag_pixel_size(first, lines.get("unit", "").replace("\\u00B5", "µ"))
    axes = Axes("CZT", sizes, (), size)
    if axes.pages == pages or axes.pages <= virtual_pages:
        return axes
    if axes.pages > pages and count(lines.get("images", "1"), "images") > pages:
        raise BadImage(
            f"The ImageJ stack claims {axes.pages} planes, but the file holds {max(pages, virtual_pages)}.",
            "Save the stack again from ImageJ and check that the file was copied whole.",
        )
    return _pages_as_planes(pages, size)


def _tag_pixel_size(page: Any, unit: str = "") -> PixelSize | None:
    """From the resolution tags, in the unit that ImageJ names or that the tags tell."""
    sides = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        value = tag.value if tag is not None else None
        if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
            return None
        sides.append(value[1] / value[0])
    if unit and unit.lower() not in ("inch", "in"):
        return pixel_size(sides[0], sides[1], unit)
    tag = page.tags.get("ResolutionUnit")
    told = RESOLUTION_UNITS.get(int(tag.value)) if tag is not None else None
    return resolution_pixel_size(sides[0], sides[1], unit or told)
