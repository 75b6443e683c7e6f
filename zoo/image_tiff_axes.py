"""How the pages of a TIFF make planes and channels: plain pages, ImageJ hyperstacks, OME; and the pixel size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import tifffile
from defusedxml import DefusedXmlException

from zoo.image_limits import BadImage, UnsupportedImage
from zoo.image_pixel_size import pixel_size, resolution_pixel_size
from zoo.image_types import PixelSize

MAXIMUM_XML = 16 * 2**20
RESOLUTION_UNITS = {2: "inch", 3: "cm"}


@dataclass(frozen=True)
class Axes:
    """Sizes of channels, slices and frames over the pages, fastest first in `order` (a permutation of "CZT")."""

    order: str
    sizes: dict[str, int]
    channel_names: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None

    @property
    def planes(self) -> int:
        return self.sizes["Z"] * self.sizes["T"]

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
        return index


def plain_axes(pages: int, size: PixelSize | None) -> Axes:
    return Axes("CZT", {"C": 1, "Z": pages, "T": 1}, (), size)


def find_axes(tif: tifffile.TiffFile, pages: int, virtual_pages: int) -> Axes:
    """The axes of the first image; `virtual_pages` counts what an ImageJ stack of one page could hold."""
    first = tif.pages[0]
    description = first.description or ""
    if description.lstrip()[:512].startswith(("<?xml", "<OME")) and "<OME" in description[:4096]:
        axes = _ome_axes(description, int(first.samplesperpixel), pages)
        if axes is not None:
            return axes
    if description.startswith("ImageJ="):
        return _imagej_axes(description, first, pages if pages > 1 else virtual_pages)
    return plain_axes(pages, _tag_pixel_size(first))


def _count(text: Any, what: str) -> int:
    try:
        number = int(str(text))
    except ValueError as error:
        raise BadImage(f"The image's metadata gives {what} as {str(text)[:40]!r}.", "Export it again.") from error
    if not 0 < number < 2**31:
        raise BadImage(f"The image's metadata gives {what} as {number}.", "Export it again.")
    return number


def _imagej_axes(description: str, first: tifffile.TiffPage, pages: int) -> Axes:
    lines = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    sizes = {
        axis: _count(lines.get(name, 1), name) for axis, name in (("C", "channels"), ("Z", "slices"), ("T", "frames"))
    }
    size = _tag_pixel_size(first, lines.get("unit", "").replace("\\u00B5", "µ").replace("\\\\u00B5", "µ"))
    axes = Axes("CZT", sizes, (), size)
    if axes.pages > pages and _count(lines.get("images", 1), "images") > pages:
        raise BadImage(
            f"The ImageJ stack claims {axes.pages} planes, but the file holds {pages}.",
            "Save the stack again from ImageJ and check that the file was copied whole.",
        )
    return axes if axes.pages == pages else plain_axes(pages, size)


def _tag_pixel_size(page: tifffile.TiffPage, unit: str | None = None) -> PixelSize | None:
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
    unit = unit or (RESOLUTION_UNITS.get(int(tag.value)) if tag is not None else None)
    return resolution_pixel_size(sides[0], sides[1], unit)


def _ome_axes(description: str, samples: int, pages: int) -> Axes | None:
    if len(description) > MAXIMUM_XML:
        raise BadImage(f"The OME metadata is larger than {MAXIMUM_XML // 2**20} MiB.", "Save it without annotations.")
    try:
        root = defusedxml.ElementTree.fromstring(description)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise BadImage("The OME metadata is not plain XML.", "Export the image again as OME-TIFF.") from error
    pixels = next((node for node in root.iter() if _local(node) == "Pixels"), None)
    if pixels is None:
        return None
    if any(_local(node) == "UUID" and node.get("FileName") for node in pixels.iter()) and pages < _declared(pixels):
        raise UnsupportedImage(
            "The OME-TIFF keeps its planes in other files.", "Export it as one OME-TIFF that holds all planes."
        )
    order = pixels.get("DimensionOrder", "XYCZT")[2:]
    if sorted(order) != sorted("CZT"):
        raise BadImage(f"The OME metadata orders its axes as {order[:10]!r}.", "Export the image again as OME-TIFF.")
    sizes = {axis: _count(pixels.get(f"Size{axis}", 1), f"Size{axis}") for axis in "CZT"}
    names = tuple(node.get("Name") or "" for node in pixels if _local(node) == "Channel")
    if samples > 1:
        sizes["C"] = max(1, sizes["C"] // samples)
    size = pixel_size(
        _number(pixels.get("PhysicalSizeX")), _number(pixels.get("PhysicalSizeY")),
        pixels.get("PhysicalSizeXUnit", "µm"),
    )  # fmt: skip
    axes = Axes(order, sizes, names if all(names) and len(names) == sizes["C"] else (), size)
    return axes if axes.pages == pages else plain_axes(pages, size)


def _declared(pixels: Element) -> int:
    return _count(pixels.get("SizeZ", 1), "SizeZ") * _count(pixels.get("SizeT", 1), "SizeT")


def _local(node: Element) -> str:
    return str(node.tag).rsplit("}", 1)[-1]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
