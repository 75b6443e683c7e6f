"""The pixels of one page of a TIFF: its strips or tiles decoded within their declared size, and its colours put right.

WhiteIsZero is inverted, palettes become RGB, 1-bit becomes 0 and 255, alpha is dropped, JPEG's YCbCr becomes RGB.
CMYK, Lab and raw camera colours are refused. Floats of 16 and 64 bits are read as 32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile

from zoo.image_limits import BadImage, UnsupportedImage
from zoo.jpeg_header import read_frame
from zoo.roi import Region

HINT = "Export the image again and check that the file was copied whole."
JPEG = 7
# None, LZW, JPEG, deflate (both codes), PackBits, Zstandard. Each stops at the declared size, JPEG is checked here.
COMPRESSIONS = {1, 5, JPEG, 8, 32946, 32773, 50000}
MINISWHITE, MINISBLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
SEPARATE = 2
ALPHAS = (1, 2)
# A JPEG tile may be padded to whole blocks.
JPEG_BLOCK = 16


@dataclass(frozen=True)
class Colours:
    """How many channels a page gives once its colours are put right, and whether they are red, green and blue."""

    count: int
    rgb: bool
    palette: bool = False


def colours_of(page: Any) -> Colours:
    """The colours of a page; raises `UnsupportedImage` for those that are not read."""
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    if photometric not in (MINISWHITE, MINISBLACK, RGB, PALETTE, YCBCR):
        name = getattr(page.photometric, "name", page.photometric)
        raise UnsupportedImage(f"The TIFF's colours are {name}.", "Save it as RGB or grey.")
    if photometric == YCBCR and int(page.compression) != JPEG:
        raise UnsupportedImage("The TIFF's colours are YCBCR without JPEG.", "Save it as RGB or grey.")
    if photometric == PALETTE:
        if samples != 1 or page.dtype.kind not in "bu" or page.colormap is None:
            raise BadImage("The TIFF's palette does not fit its samples.", HINT)
        return Colours(1, False) if _is_lookup_table(page) else Colours(3, True, palette=True)
    colours = samples - sum(int(extra) in ALPHAS for extra in page.extrasamples)
    if photometric in (RGB, YCBCR) and samples in (3, 4):
        return Colours(3, True)
    return Colours(max(1, colours), photometric == RGB and colours == 3)


def _is_lookup_table(page: Any) -> bool:
    """Whether an ImageJ palette only tints intensities: darker to lighter without a step back."""
    brightness = np.asarray(page.colormap, np.int64).sum(axis=0)
    return str(page.description or "").startswith("ImageJ=") and bool((np.diff(brightness) >= 0).all())


def samples_dtype(page: Any, colours: Colours) -> str:
    """NumPy's name of the samples as they are read."""
    if colours.palette or page.dtype.kind == "b":
        return "uint8"
    name = str(page.dtype.newbyteorder("=").name)
    return {"float64": "float32", "float16": "float32"}.get(name, name)


def segment_size(page: Any) -> tuple[int, int]:
    """Height and width of a strip or tile."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)


def read_page(tif: tifffile.TiffFile, page: Any, region: Region, colours: Colours, shift: int = 0) -> np.ndarray:
    """The region as (y, x, channel), in `samples_dtype`; segments are read `shift` bytes behind where they are told.

    Segments without bytes are 0. Raises `BadImage` for those that are cut short or unpack to more than they declare.
    """
    out = np.zeros((region.height, region.width, page.samplesperpixel), page.dtype.newbyteorder("="))
    by_rows = reads_rows(page)
    for number, y, x, sample in _touched(page, region):
        if by_rows:
            first, rows = _rows(tif, page, number, y, region, shift)
            _paste(out, rows, (first, x, sample), region)
            continue
        data = _segment_bytes(tif, page, number, shift)
        if data:
            _paste(out, _decoded(page, data, number), (y, x, sample), region)
    return _put_right(page, out, colours)


def reads_rows(page: Any) -> bool:
    """Whether single rows of a strip can be read: the strips are whole and nothing is packed."""
    height, width = segment_size(page)
    samples = 1 if page.planarconfig == SEPARATE else page.samplesperpixel
    plain = page.compression == 1 and page.fillorder == 1 and page.predictor == 1
    row = width * samples * page.dtype.itemsize
    whole = all(
        size == row * min(height, page.imagelength - index % -(-page.imagelength // height) * height)
        for index, size in enumerate(page.databytecounts)
    )
    return bool(not page.is_tiled and plain and page.bitspersample == page.dtype.itemsize * 8 and whole)


def _rows(
    tif: tifffile.TiffFile, page: Any, number: int, top: int, region: Region, shift: int
) -> tuple[int, np.ndarray]:
    """The rows of an uncompressed strip that the region touches, (y, x, sample), and the number of the first."""
    samples = 1 if page.planarconfig == SEPARATE else page.samplesperpixel
    row = page.imagewidth * samples * page.dtype.itemsize
    first = max(region.y, top)
    last = min(region.y + region.height, top + segment_size(page)[0], page.imagelength)
    tif.filehandle.seek(page.dataoffsets[number] + shift + (first - top) * row)
    data = tif.filehandle.read((last - first) * row)
    if len(data) < (last - first) * row:
        raise BadImage("The TIFF file ends before its pixels do.", HINT)
    pixels = np.frombuffer(data, page.dtype.newbyteorder(tif.byteorder))
    return first, pixels.reshape(last - first, page.imagewidth, samples)


def _touched(page: Any, region: Region) -> Iterator[tuple[int, int, int, int | None]]:
    """Number, upper row, left column and sample (None: all) of each strip or tile the region touches."""
    height, width = segment_size(page)
    across, down = -(-page.imagewidth // width), -(-page.imagelength // height)
    samples = range(page.samplesperpixel) if page.planarconfig == SEPARATE else [None]
    for sample in samples:
        for row in range(region.y // height, (region.y + region.height - 1) // height + 1):
            for column in range(region.x // width, (region.x + region.width - 1) // width + 1):
                number = ((sample or 0) * down + row) * across + column
                yield number, row * height, column * width, sample


def _segment_bytes(tif: tifffile.TiffFile, page: Any, number: int, shift: int) -> bytes:
    tif.filehandle.seek(page.dataoffsets[number] + shift)
    data: bytes = tif.filehandle.read(page.databytecounts[number])
    if len(data) < page.databytecounts[number]:
        raise BadImage("The TIFF file ends before its pixels do.", HINT)
    return data


def _decoded(page: Any, data: bytes, number: int) -> np.ndarray:
    """One strip or tile as (y, x, sample)."""
    tables = page.jpegtables if page.compression == JPEG else None
    if page.compression == JPEG:
        height, width = segment_size(page)
        frame = read_frame(data)
        if frame is None or frame.width > width + JPEG_BLOCK or frame.height > height + JPEG_BLOCK:
            raise BadImage("A JPEG tile of the TIFF is not as large as it should be.", HINT)
    segment: np.ndarray = page.decode(data, number, jpegtables=tables)[0]
    return segment[0]


def _paste(out: np.ndarray, segment: np.ndarray, at: tuple[int, int, int | None], region: Region) -> None:
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


def _put_right(page: Any, pixels: np.ndarray, colours: Colours) -> np.ndarray:
    if colours.palette:
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8)
        return np.moveaxis(table[:, pixels[:, :, 0].astype(np.intp)], 0, -1)
    largest = 2 ** int(page.bitspersample) - 1
    if pixels.dtype.kind == "b":
        pixels, largest = pixels.astype(np.uint8) * 255, 255
    if int(page.photometric) == MINISWHITE and pixels.dtype.kind == "u":
        pixels = largest - pixels
    return pixels[:, :, : colours.count]
