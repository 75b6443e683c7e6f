"""TIFF in all its kinds. Nothing is decoded before the declared shape, segments and offsets have been checked, and then
only the strips or tiles that a region touches.

The first image decides: pages of another size or kind (thumbnails, the levels of a pyramid, labels) are left out, and
so are SubIFDs. The orientation tag is ignored, as microscopy programs do.
"""

from __future__ import annotations

import contextlib
import functools
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

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
# Plans are small; a service reads the same few images again and again.
PLANS_KEPT = 256
# Vendors' layouts that tifffile would read by rules of their own, other files included.
PLAIN = {"is_ome": False, "is_lsm": False, "is_scanimage": False, "is_ndpi": False}


@dataclass(frozen=True)
class Plan:
    """What the checks found: `directories` are the numbers of the pages that belong to the first image.

    `virtual` says that the planes of an ImageJ stack follow one another behind a single page.
    """

    info: ImageInfo
    axes: Axes
    colours: Colours
    directories: tuple[int, ...]
    virtual: bool


def inspect_tiff(path: Path, settings: Settings) -> ImageInfo:
    """What the TIFF holds; raises `BadImage`, `UnsupportedImage` or `ImageTooLarge`."""
    return _plan_of(path, settings).info


def read_tiff(path: Path, settings: Settings, region: Region, plane: int, channels: Sequence[int]) -> np.ndarray:
    """The region of one plane, (y, x, channel), decoding only the segments it touches; raises as `inspect_tiff`."""
    plan = _plan_of(path, settings)
    count = plan.colours.count
    pages = [plan.axes.page(plane, channel // count) for channel in channels]
    with _damage_told(), _open(path) as tif:
        decoded = {number: _read_page(tif, plan, number, region, settings) for number in dict.fromkeys(pages)}
    if len(decoded) == 1 and list(channels) == list(range(channels[0], channels[0] + count)):
        pixels = decoded[pages[0]]
    else:
        chosen = zip(pages, channels, strict=True)
        pixels = np.stack([decoded[number][:, :, channel % count] for number, channel in chosen], axis=-1)
    return np.ascontiguousarray(pixels, dtype=plan.info.dtype)


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise BadImage(f"The TIFF file is damaged ({type(error).__name__}).", HINT) from error


def _open(path: Path) -> tifffile.TiffFile:
    return tifffile.TiffFile(path, _multifile=False, _useframes=False, **PLAIN)


def _plan_of(path: Path, settings: Settings) -> Plan:
    """The plan of a file, kept as long as the file stays as it is: reading every page of a stack takes a while."""
    with _damage_told():
        stat = path.stat()
        return _kept_plan(path, stat.st_mtime_ns, stat.st_size, settings)


@functools.lru_cache(maxsize=PLANS_KEPT)
def _kept_plan(path: Path, modified: int, file_bytes: int, settings: Settings) -> Plan:
    with _open(path) as tif:
        return _plan(tif, file_bytes, settings)


def _read_page(tif: tifffile.TiffFile, plan: Plan, number: int, region: Region, settings: Settings) -> np.ndarray:
    page: Any = tif.pages[plan.directories[0 if plan.virtual else number]]
    _check_page(page, tif.filehandle.size, settings)
    shift = number * _page_bytes(page) if plan.virtual else 0
    return read_page(tif, page, region, plan.colours, shift)


def _page_bytes(page: Any) -> int:
    return int(page.imagewidth) * int(page.imagelength) * int(page.samplesperpixel) * int(page.dtype.itemsize)


def _plan(tif: tifffile.TiffFile, file_bytes: int, settings: Settings) -> Plan:
    count = _directories(tif, settings.image_planes)
    if count > settings.image_planes:
        raise ImageTooLarge(
            f"The TIFF has more than {settings.image_planes} pages.", "Save fewer planes, or split the stack."
        )
    first: Any = tif.pages[0]
    _check_page(first, file_bytes, settings)
    directories, stored = [0], sum(first.databytecounts)
    for index in range(1, count):
        page: Any = tif.pages[index]
        if _likeness(page) == _likeness(first):
            _check_page(page, file_bytes, settings)
            directories.append(index)
            stored += sum(page.databytecounts)
    one_block = first.compression == 1 and len(directories) == 1 and first.bitspersample % 8 == 0
    virtual = (file_bytes - min(first.dataoffsets)) // _page_bytes(first) if one_block else 0
    axes, colours = find_axes(first, directories, virtual), colours_of(first)
    info = _info(first, axes, colours)
    check_declared(
        settings, width=info.width, height=info.height, planes=info.planes, channels=info.channels,
        itemsize=first.dtype.itemsize, file_bytes=file_bytes if virtual > 1 else min(file_bytes, stored),
    )  # fmt: skip
    return Plan(info, axes, colours, tuple(directories), virtual=axes.pages > len(directories))


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
        axes.pixel_size, axes.sizes["Z"], axes.z_step,
    )  # fmt: skip
