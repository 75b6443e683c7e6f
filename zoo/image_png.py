"""PNG: header first, limits next, pixels last. Chunks that are no pixels (texts, profiles, animation) stay unread.

Alpha is dropped, palettes become colours, fewer than 8 bits are spread over 8. Of an animation the default picture is
read. EXIF inside a PNG is ignored.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from zoo.image_limits import BadImage, check_declared
from zoo.image_pixel_size import resolution_pixel_size
from zoo.image_types import ImageInfo, PixelSize, named_channels
from zoo.settings import Settings

MAGIC = b"\x89PNG\r\n\x1a\n"
DECODED = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")
# Samples read for each colour type, alpha left out: grey, RGB, palette, grey with alpha, RGB with alpha.
SAMPLES = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
# Encoders write chunks of 8 KiB and more.
MAXIMUM_CHUNKS = 200_000
DAMAGED = "Export the image again and check that the file was copied whole."


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and whole bytes of each chunk, up to and with IEND; raises `BadImage` when cut short."""
    offset = len(MAGIC)
    for _ in range(MAXIMUM_CHUNKS):
        if offset + 12 > len(data):
            break
        (length,) = struct.unpack(">I", data[offset : offset + 4])
        kind = bytes(data[offset + 4 : offset + 8])
        end = offset + 12 + length
        if end > len(data):
            break
        yield kind, data[offset:end]
        if kind == b"IEND":
            return
        offset = end
    raise BadImage("The PNG file ends too early.", DAMAGED)


def inspect_png(path: Path, settings: Settings) -> ImageInfo:
    """What the PNG holds; raises `BadImage` or `ImageTooLarge`."""
    data = memoryview(path.read_bytes())
    if len(data) < 33 or bytes(data[12:16]) != b"IHDR":
        raise BadImage("The PNG file has no header.", DAMAGED)
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    if colour not in SAMPLES or bits not in (1, 2, 4, 8, 16):
        raise BadImage("The PNG file's header makes no sense.", DAMAGED)
    samples, file_bytes, size = SAMPLES[colour], 0, None
    for kind, chunk in _chunks(data):
        if kind == b"IDAT":
            file_bytes += len(chunk)
        elif kind == b"pHYs" and len(chunk) == 21:
            size = _physical(chunk)
    check_declared(
        settings, width=width, height=height, planes=1, channels=samples, itemsize=max(bits, 8) / 8,
        file_bytes=file_bytes,
    )  # fmt: skip
    dtype = "uint16" if bits == 16 else "uint8"
    return ImageInfo("png", width, height, 1, samples, named_channels(samples, samples == 3), dtype, samples == 3, size)


def _physical(chunk: memoryview) -> PixelSize | None:
    x, y, unit = struct.unpack(">IIB", chunk[8:17])
    return resolution_pixel_size(1 / x, 1 / y, "m") if unit == 1 and x and y else None


def read_png(path: Path, info: ImageInfo) -> np.ndarray:
    """All pixels, (y, x, channel), uint8 or uint16; raises `BadImage`."""
    data = memoryview(path.read_bytes())
    kept = b"".join([MAGIC, *(chunk for kind, chunk in _chunks(data) if kind in DECODED)])
    try:
        pixels = imagecodecs.png_decode(kept)
    except (imagecodecs.PngError, ValueError, RuntimeError) as error:
        raise BadImage(f"The PNG file is damaged ({error}).", DAMAGED) from error
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return pixels[:, :, : info.channels]
