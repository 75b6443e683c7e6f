"""TIFF in all its kinds. Nothing is decoded before the declared shape, segments and offsets have been checked, and then
only the strips or tiles that a region touches.

The first image decides: pages of another size or kind (thumbnails, the levels of a pyramid, labels) are left out, and
so are SubIFDs. The orientation tag is ignored, as microscopy programs do.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from zoo.errors import ZooscopeError
from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage, check_declared, check_dtype
from zoo.image_tiff_axes import Axes, find_axes
from zoo.image_tiff_pixels import (
    COMPRESSIONS,
    HINT,
    SEPARATE,
    Colours,
    colours_of,
    read_page,
    samples_dtype,
    segment_size,
)
from zoo.image_types import ImageInfo, named_channels
from zoo.roi import Region
from zoo.settings import Settings

DAMAGE = (
    tifffile.TiffFileError, ValueError, TypeError, IndexError, KeyError, OSError, struct.error, RuntimeError,
    zlib.error, imagecodecs.DelayedImportError, AttributeError, ArithmeticError, MemoryError,
)  # fmt: skip
# Vendors' layouts that tifffile would read by rules of their own, other files included.
PLAIN = {"is_ome": False, "is_lsm": False, "is_scanimage": False, "is_ndpi": False}


@dataclass(frozen=True)
class Opened:
    """An open TIFF that passed the checks; `pages` are those of the first image.

    `virtual` says that the planes of an ImageJ stack follow one another behind a single page.
    """

    tif: tifffile.TiffFile
    pages: list[Any]
    axes: Axes
    info: ImageInfo
    colours: Colours
    virtual: bool


@contextlib.contextmanager
def opened(path: Path, settings: Settings) -> Iterator[Opened]:
    """Open and check; raises `BadImage`, `UnsupportedImage` or `ImageTooLarge`, also for damage met while reading."""
    try:
        with tifffile.TiffFile(path, _multifile=False, _useframes=False, **PLAIN) as tif:
            yield _checked(tif, path.stat().st_size, settings)
    except ZooscopeError:
        raise
    except DAMAGE as error:
        raise BadImage(f"The TIFF file is damaged ({type(error).__name__}).", HINT) from error


def inspect_tiff(path: Path, settings: Settings) -> ImageInfo:
    with opened(path, settings) as image:
        return image.info


def read_tiff(path: Path, settings: Settings, region: Region, plane: int, channels: Sequence[int]) -> np.ndarray:
    """The region of one plane, (y, x, channel), decoding only the segments that it touches."""
    with opened(path, settings) as image:
        decoded: dict[int, np.ndarray] = {}
        parts = []
        for channel in channels:
            index, sample = divmod(channel, image.colours.count)
            number = image.axes.page(plane, index)
            if number not in decoded:
                decoded[number] = _pixels(image, number, region)
            parts.append(decoded[number][:, :, sample])
        return np.stack(parts, axis=-1).astype(image.info.dtype, copy=False)


def _pixels(image: Opened, number: int, region: Region) -> np.ndarray:
    page = image.pages[0 if image.virtual else number]
    shift = number * _page_bytes(page) if image.virtual else 0
    return read_page(image.tif, page, region, image.colours, shift)


def _page_bytes(page: Any) -> int:
    return int(page.imagewidth) * int(page.imagelength) * int(page.samplesperpixel) * int(page.dtype.itemsize)


def _checked(tif: tifffile.TiffFile, file_bytes: int, settings: Settings) -> Opened:
    count = _directories(tif, settings.image_planes)
    if count > settings.image_planes:
        raise ImageTooLarge(
            f"The TIFF has more than {settings.image_planes} pages.", "Save fewer planes, or split the stack."
        )
    first: Any = tif.pages[0]
    _check_page(first, file_bytes, settings)
    alike, ifds = [first], [0]
    for index in range(1, count):
        page: Any = tif.pages[index]
        if _likeness(page) == _likeness(first):
            _check_page(page, file_bytes, settings)
            alike.append(page)
            ifds.append(index)
    one_block = first.compression == 1 and len(alike) == 1 and first.bitspersample % 8 == 0
    virtual = (file_bytes - min(first.dataoffsets)) // _page_bytes(first) if one_block else 0
    axes, colours = find_axes(first, ifds, virtual), colours_of(first)
    info = _info(first, axes, colours)
    stored = file_bytes if virtual > 1 else min(file_bytes, sum(sum(page.databytecounts) for page in alike))
    check_declared(
        settings, width=info.width, height=info.height, planes=info.planes, channels=info.channels,
        itemsize=first.dtype.itemsize, file_bytes=stored,
    )  # fmt: skip
    return Opened(tif, alike, axes, info, colours, virtual=axes.pages > len(alike))


def _directories(tif: tifffile.TiffFile, most: int) -> int:
    """How many directories follow one another, counted to `most` + 1; a circle ends where it closes."""
    file, tiff = tif.filehandle, tif.tiff
    first: Any = tif.pages[0]
    offset, seen = first.offset, set[int]()
    while 0 < offset < file.size and offset not in seen and len(seen) <= most:
        seen.add(offset)
        try:
            file.seek(offset)
            (tags,) = struct.unpack(tiff.tagnoformat, file.read(tiff.tagnosize))
            file.seek(offset + tiff.tagnosize + tags * tiff.tagsize)
            (offset,) = struct.unpack(tiff.offsetformat, file.read(tiff.offsetsize))
        except struct.error:
            break
    return len(seen)


def _likeness(page: Any) -> tuple[Any, ...]:
    return (
        page.imagewidth, page.imagelength, page.dtype, page.bitspersample, page.samplesperpixel, page.photometric,
        page.planarconfig,
    )  # fmt: skip


def _check_page(page: Any, file_bytes: int, settings: Settings) -> None:
    """Shape, samples, colours and the segments' places; all that a page declares, before any of it is decoded."""
    bits = page.bitspersample
    check_dtype(page.dtype, f"{bits}-bit" if page.dtype is None else str(page.dtype))
    check_declared(
        settings, width=page.imagewidth, height=page.imagelength, planes=1, channels=page.samplesperpixel,
        itemsize=page.dtype.itemsize, file_bytes=max(1, min(file_bytes, sum(page.databytecounts))),
    )  # fmt: skip
    if page.imagedepth != 1:
        raise UnsupportedImage("The TIFF has volumes inside its pages.", "Save it as one page for each plane.")
    if int(page.compression) not in COMPRESSIONS:
        raise UnsupportedImage(
            f"The TIFF is compressed with {str(page.compression)[:40]}.", "Save it with LZW, deflate or no compression."
        )
    colours_of(page)
    height, width = segment_size(page)
    if height < 1 or width < 1:
        raise BadImage("The TIFF's strips or tiles have no size.", HINT)
    samples = 1 if page.planarconfig == SEPARATE else page.samplesperpixel
    if height * width * samples > settings.plane_pixels:
        raise ImageTooLarge(
            f"The TIFF's tiles are {width} x {height} pixels each.", "Save it with tiles of 512 pixels."
        )
    _check_segments(page, file_bytes)


def _check_segments(page: Any, file_bytes: int) -> None:
    height, width = segment_size(page)
    expected = -(-page.imagelength // height) * -(-page.imagewidth // width)
    expected *= page.samplesperpixel if page.planarconfig == SEPARATE else 1
    if len(page.dataoffsets) < expected or len(page.databytecounts) < expected:
        raise BadImage("The TIFF file lacks some of its strips or tiles.", HINT)
    offsets, sizes = (np.array(values[:expected], np.uint64) for values in (page.dataoffsets, page.databytecounts))
    if (sizes > file_bytes).any() or (offsets > file_bytes - sizes).any():
        raise BadImage("The TIFF file ends before its pixels do.", HINT)


def _info(page: Any, axes: Axes, colours: Colours) -> ImageInfo:
    channels = colours.count * axes.sizes["C"]
    rgb = colours.rgb and channels == 3
    names = axes.channel_names if len(axes.channel_names) == channels else named_channels(channels, rgb)
    return ImageInfo(
        "tiff", page.imagewidth, page.imagelength, axes.planes, channels, names, samples_dtype(page, colours), rgb,
        axes.pixel_size,
    )  # fmt: skip
