"""OME-XML in a TIFF: sizes, order, channel names, pixel size, and which page holds which plane.

Only the first image is read. The XML is bounded, entities are refused, and no file it names is ever opened.
Source: the OME data model 2016-06 (Pixels, TiffData, UUID).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from zoo.image_limits import BadImage, UnsupportedImage
from zoo.image_pixel_size import pixel_size
from zoo.image_types import PixelSize

MAXIMUM_XML = 8 * 2**20
LARGEST_COUNT = 2**31
EXPORT = "Export the image again as OME-TIFF."


@dataclass(frozen=True)
class Ome:
    """`sizes` of C (in pages, not samples), Z and T; `order` fastest first; `pages` in that order, as IFD numbers.

    `pages` is None when the file's IFDs stand for other numbers of planes than the sizes tell.
    """

    order: str
    sizes: dict[str, int]
    channel_names: tuple[str, ...]
    pixel_size: PixelSize | None
    pages: tuple[int, ...] | None


def is_ome(description: str) -> bool:
    return description.lstrip()[:512].startswith(("<?xml", "<OME")) and "<OME" in description[:4096]


def read_ome(description: str, samples: int, ifds: set[int]) -> Ome | None:
    """The first image of the OME-XML; None when it describes no pixels.

    `samples` is the number of samples per pixel of a page, `ifds` are the pages there are. Raises `BadImage` for XML
    that is too large, unsafe or contradicts itself and `UnsupportedImage` for planes kept in other files.
    """
    if len(description) > MAXIMUM_XML:
        raise BadImage(f"The OME metadata is larger than {MAXIMUM_XML // 2**20} MiB.", "Save it without annotations.")
    try:
        root = defusedxml.ElementTree.fromstring(description)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise BadImage("The OME metadata is not plain XML.", EXPORT) from error
    described = [node for node in root.iter() if _local(node) == "Pixels"]
    if not described:
        return None
    pixels = described[0]
    order = pixels.get("DimensionOrder", "XYCZT")[2:]
    if sorted(order) != sorted("CZT"):
        raise BadImage(f"The OME metadata orders its axes as {order[:10]!r}.", EXPORT)
    sizes = {axis: count(pixels.get(f"Size{axis}", "1"), f"Size{axis}") for axis in "CZT"}
    if samples > 1:
        sizes["C"] = max(1, sizes["C"] // samples)
    names = tuple(node.get("Name") or "" for node in pixels if _local(node) == "Channel")
    size = pixel_size(
        _number(pixels.get("PhysicalSizeX")), _number(pixels.get("PhysicalSizeY")),
        pixels.get("PhysicalSizeXUnit", "µm"),
    )  # fmt: skip
    pages = _pages(pixels, root.get("UUID"), order, sizes, samples, ifds)
    if pages is not None and len(pages) < len(ifds) and len(described) == 1 and not _places(pixels):
        pages = None
    return Ome(order, sizes, names if all(names) else (), size, pages)


def count(text: str, what: str) -> int:
    """A size from metadata, from 1 to 2^31; raises `BadImage`."""
    try:
        number = int(text)
    except ValueError as error:
        raise BadImage(f"The image's metadata gives {what} as {text[:40]!r}.", "Export it again.") from error
    if not 0 < number < LARGEST_COUNT:
        raise BadImage(f"The image's metadata gives {what} as {number}.", "Export it again.")
    return number


def _pages(
    pixels: Element, own: str | None, order: str, sizes: dict[str, int], samples: int, ifds: set[int]
) -> tuple[int, ...] | None:
    """IFD of each plane, the first axis of `order` fastest; None when some planes have none."""
    total = math.prod(sizes.values())
    elsewhere = any(_other_file(node, own) for node in pixels if _local(node) == "TiffData")
    pages: tuple[int, ...] | None = None
    if total <= len(ifds):
        listed = _listed(pixels, own, order, sizes, samples)
        wanted = tuple(range(total)) if listed is None else tuple(listed.get(index, -1) for index in range(total))
        pages = wanted if set(wanted) <= ifds else None
    if pages is None and elsewhere:
        raise UnsupportedImage(
            "The OME-TIFF keeps its planes in other files.", "Export it as one OME-TIFF that holds all planes."
        )
    return pages


def _places(pixels: Element) -> bool:
    return any(_local(node) == "TiffData" and node.attrib for node in pixels)


def _listed(pixels: Element, own: str | None, order: str, sizes: dict[str, int], samples: int) -> dict[int, int] | None:
    """Plane number to IFD as the TiffData elements tell; None when they leave it to the order of the pages."""
    if not _places(pixels):
        return None
    total, listed = math.prod(sizes.values()), dict[int, int]()
    strides = {order[0]: 1, order[1]: sizes[order[0]], order[2]: sizes[order[0]] * sizes[order[1]]}
    for node in pixels:
        if _local(node) != "TiffData" or _other_file(node, own):
            continue
        first = {axis: _whole(node.get(f"First{axis}"), 0) for axis in "CZT"}
        first["C"] //= max(1, samples)
        ifd = _whole(node.get("IFD"), 0)
        planes = _whole(node.get("PlaneCount"), 1 if node.get("IFD") else total)
        start = sum(first[axis] * strides[axis] for axis in "CZT")
        for step in range(min(planes, total - start)):
            listed[start + step] = ifd + step
    return listed


def _other_file(node: Element, own: str | None) -> bool:
    """Whether a TiffData element speaks of another file; without the file's own UUID any that names one does."""
    for child in node:
        if _local(child) == "UUID" and child.get("FileName"):
            return own is None or (child.text or "").strip() != own.strip()
    return False


def _whole(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    try:
        number = int(text)
    except ValueError as error:
        raise BadImage(f"The OME metadata places a plane at {text[:40]!r}.", EXPORT) from error
    if not 0 <= number < LARGEST_COUNT:
        raise BadImage(f"The OME metadata places a plane at {number}.", EXPORT)
    return number


def _local(node: Element) -> str:
    return str(node.tag).rsplit("}", 1)[-1]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
