"""TIFF in all its kinds. Nothing is decoded before the declared shape, segments and offsets have been checked, and then
only the strips or tiles that a region touches."""

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
from zoo.image_types import ImageInfo, named_channels
from zoo.roi import Region
from zoo.settings import Settings

HINT = "Export the image again and check that the file was copied whole."
# none, LZW, deflate (both codes), PackBits, JPEG, Zstandard
COMPRESSIONS = {1, 5, 7, 8, 32946, 32773, 50000}
MINISWHITE, MINISBLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
CONTIGUOUS, SEPARATE = 1, 2
JPEG = 7
DAMAGE = (
    tifffile.TiffFileError, ValueError, TypeError, IndexError, KeyError, OSError, struct.error, RuntimeError,
    zlib.error, imagecodecs.DelayedImportError, AttributeError, ArithmeticError, MemoryError,
)  # fmt: skip


@dataclass
class Opened:
    """An open TIFF that passed the checks; `pages` are those of the first image."""

    tif: tifffile.TiffFile
    pages: list[Any]
    axes: Axes
    info: ImageInfo
    virtual: bool


@contextlib.contextmanager
def opened(path: Path, settings: Settings) -> Iterator[Opened]:
    """Open and check; raises `BadImage`, `UnsupportedImage` or `ImageTooLarge`, also for damage met while reading."""
    try:
        # OME is read by `image_tiff_axes`: tifffile would follow references to other files.
        with tifffile.TiffFile(path, is_ome=False, _multifile=False, _useframes=False) as tif:
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
        page = image.pages[0]
        if image.axes.sizes["C"] == 1:
            pixels = _read_page(image, image.axes.page(plane, 0), region)
            return np.ascontiguousarray(pixels[:, :, list(channels)])
        samples = int(page.samplesperpixel)
        parts = []
        for channel in channels:
            index, sample = divmod(channel, samples)
            parts.append(_read_page(image, image.axes.page(plane, index), region)[:, :, sample])
        return np.stack(parts, axis=-1)


def _checked(tif: tifffile.TiffFile, file_bytes: int, settings: Settings) -> Opened:
    count = len(tif.pages)
    if count == 0:
        raise BadImage("The TIFF file has no image.", HINT)
    if count > settings.image_planes:
        raise ImageTooLarge(f"The TIFF has {count} pages; at most {settings.image_planes} are accepted.")
    first: Any = tif.pages[0]
    _check_page(first, file_bytes, settings)
    pages = [first]
    for index in range(1, count):
        page: Any = tif.pages[index]
        if (page.imagewidth, page.imagelength, page.dtype, page.samplesperpixel) == _likeness(first):
            pages.append(page)
    page_bytes = first.imagewidth * first.imagelength * first.samplesperpixel * first.dtype.itemsize
    whole = first.compression == 1 and len(pages) == 1 and bool(first.dataoffsets)
    virtual = (file_bytes - first.dataoffsets[0]) // max(1, page_bytes) if whole else 1
    axes = find_axes(tif, len(pages), max(1, virtual))
    info = _info(first, axes)
    stored = file_bytes if axes.pages > len(pages) else sum(sum(page.databytecounts) for page in pages)
    check_declared(
        settings, width=info.width, height=info.height, planes=info.planes, channels=info.channels,
        itemsize=first.dtype.itemsize, file_bytes=stored,
    )  # fmt: skip
    for page in pages[1:]:
        _check_segments(page, file_bytes)
    return Opened(tif, pages, axes, info, virtual=axes.pages > len(pages))


def _likeness(page: Any) -> tuple[Any, ...]:
    return page.imagewidth, page.imagelength, page.dtype, page.samplesperpixel


def _check_page(page: Any, file_bytes: int, settings: Settings) -> None:
    bits = page.bitspersample
    check_dtype(page.dtype, f"{bits}-bit" if page.dtype is None else str(page.dtype))
    check_declared(
        settings, width=page.imagewidth, height=page.imagelength, planes=1, channels=page.samplesperpixel,
        itemsize=page.dtype.itemsize, file_bytes=max(1, sum(page.databytecounts)),
    )  # fmt: skip
    if page.imagedepth != 1:
        raise UnsupportedImage("The TIFF has volumes inside its pages.", "Save it as one page for each plane.")
    if int(page.compression) not in COMPRESSIONS:
        raise UnsupportedImage(
            f"The TIFF is compressed with {str(page.compression)[:40]}.", "Save it with LZW, deflate or no compression."
        )
    if int(page.photometric) not in (MINISWHITE, MINISBLACK, RGB, PALETTE, YCBCR):
        raise UnsupportedImage(
            f"The TIFF's colours are {getattr(page.photometric, 'name', page.photometric)}.", "Save it as RGB or grey."
        )
    height, width = _segment_size(page)
    samples = page.samplesperpixel if page.planarconfig == CONTIGUOUS else 1
    if height < 1 or width < 1:
        raise BadImage("The TIFF's strips or tiles have no size.", HINT)
    if height * width * samples > settings.plane_pixels:
        raise ImageTooLarge(
            f"The TIFF's tiles are {width} x {height} pixels each.", "Save it with tiles of 512 pixels."
        )
    _check_segments(page, file_bytes)


def _segment_size(page: Any) -> tuple[int, int]:
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)


def _check_segments(page: Any, file_bytes: int) -> None:
    height, width = _segment_size(page)
    expected = -(-page.imagelength // height) * -(-page.imagewidth // width)
    expected *= page.samplesperpixel if page.planarconfig == SEPARATE else 1
    if len(page.dataoffsets) < expected or len(page.databytecounts) < expected:
        raise BadImage("The TIFF file lacks some of its strips or tiles.", HINT)
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + size > file_bytes:
            raise BadImage("The TIFF file ends before its pixels do.", HINT)


def _info(page: Any, axes: Axes) -> ImageInfo:
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    rgb = photometric in (RGB, PALETTE, YCBCR) and (samples >= 3 or photometric == PALETTE)
    colours = 3 if rgb else samples - (1 if _has_alpha(page) else 0)
    channels = colours * axes.sizes["C"]
    rgb = rgb and channels == 3
    dtype = "uint8" if photometric == PALETTE or page.dtype.kind == "b" else page.dtype.newbyteorder("=").name
    dtype = {"float64": "float32", "float16": "float32"}.get(dtype, dtype)
    names = axes.channel_names or named_channels(channels, rgb)
    names = names if len(names) == channels else named_channels(channels, rgb)
    size = axes.pixel_size
    return ImageInfo("tiff", page.imagewidth, page.imagelength, axes.planes, channels, names, dtype, rgb, size)


def _has_alpha(page: Any) -> bool:
    return page.samplesperpixel == 2 and any(int(extra) in (1, 2) for extra in page.extrasamples)


def _read_page(image: Opened, index: int, region: Region) -> np.ndarray:
    """The region of one page as (y, x, sample) in the dtype that `info` tells, colours and polarity put right."""
    page = image.pages[0] if image.virtual else image.pages[index]
    offset = index * page.imagewidth * page.imagelength * page.samplesperpixel * page.dtype.itemsize
    out = np.zeros((region.height, region.width, page.samplesperpixel), page.dtype.newbyteorder("="))
    for number, y, x, sample in _touched(page, region):
        data = _segment_bytes(image.tif, page, number, offset if image.virtual else 0)
        if data:
            _paste(out, page, data, number, (y, x, sample), region)
    return _as_told(page, out, image.info)


def _touched(page: Any, region: Region) -> Iterator[tuple[int, int, int, int | None]]:
    """Number, upper row, left column and sample (None: all) of each strip or tile the region touches."""
    height, width = _segment_size(page)
    across, down = -(-page.imagewidth // width), -(-page.imagelength // height)
    samples = range(page.samplesperpixel) if page.planarconfig == SEPARATE else [None]
    for sample in samples:
        for row in range(region.y // height, (region.y + region.height - 1) // height + 1):
            for column in range(region.x // width, (region.x + region.width - 1) // width + 1):
                number = ((sample or 0) * down + row) * across + column
                yield number, row * height, column * width, sample


def _segment_bytes(tif: tifffile.TiffFile, page: Any, number: int, offset: int) -> bytes:
    tif.filehandle.seek(page.dataoffsets[number] + offset)
    data: bytes = tif.filehandle.read(page.databytecounts[number])
    if len(data) < page.databytecounts[number]:
        raise BadImage("The TIFF file ends before its pixels do.", HINT)
    return data


def _paste(
    out: np.ndarray, page: Any, data: bytes, number: int, at: tuple[int, int, int | None], region: Region
) -> None:
    tables = page.jpegtables if page.compression == JPEG else None
    decoded = page.decode(data, number, jpegtables=tables)[0]
    if decoded is None:
        return
    segment = decoded[0]
    y, x, sample = at
    top, left = max(y, region.y), max(x, region.x)
    bottom = min(y + segment.shape[0], region.y + region.height)
    right = min(x + segment.shape[1], region.x + region.width)
    part = segment[top - y : bottom - y, left - x : right - x]
    rows, columns = slice(top - region.y, bottom - region.y), slice(left - region.x, right - region.x)
    if sample is None:
        out[rows, columns] = part[:, :, : out.shape[2]]
    else:
        out[rows, columns, sample] = part[:, :, 0]


def _as_told(page: Any, pixels: np.ndarray, info: ImageInfo) -> np.ndarray:
    photometric = int(page.photometric)
    if photometric == PALETTE:
        colours = (np.asarray(page.colormap) >> 8).astype(np.uint8)
        return np.moveaxis(colours[:, pixels[:, :, 0]], 0, -1)
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * 255
    if photometric == MINISWHITE and pixels.dtype.kind in "ub":
        pixels = np.iinfo(pixels.dtype).max - pixels
    keep = 3 if info.rgb else info.channels
    return np.asarray(pixels[:, :, :keep], dtype=info.dtype)
