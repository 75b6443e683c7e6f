"""PNG and JPEG. Header first, limits next, pixels last; whatever is not pixels is thrown away unread."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from zoo.image_limits import BadImage, UnsupportedImage, check_declared
from zoo.image_pixel_size import pixel_size
from zoo.image_types import ImageInfo, PixelSize, named_channels
from zoo.roi import Region
from zoo.settings import Settings

# `check_declared` bounds the pixels before they are decoded; Pillow's own bound would only warn.
Image.MAX_IMAGE_PIXELS = None

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")
SAMPLES = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
DAMAGED = "Export the image again and check that the file was copied whole."


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and whole bytes of each chunk of a PNG, up to and with IEND; raises `BadImage` when cut short."""
    offset = len(PNG_MAGIC)
    while offset + 12 <= len(data):
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
    data = memoryview(path.read_bytes())
    if len(data) < 33 or bytes(data[12:16]) != b"IHDR":
        raise BadImage("The PNG file has no header.", DAMAGED)
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    if colour not in SAMPLES or bits not in (1, 2, 4, 8, 16):
        raise BadImage("The PNG file's header makes no sense.", DAMAGED)
    samples = SAMPLES[colour]
    file_bytes = sum(len(chunk) for kind, chunk in _chunks(data) if kind == b"IDAT")
    check_declared(
        settings, width=width, height=height, planes=1, channels=samples, itemsize=max(bits, 8) / 8,
        file_bytes=file_bytes,
    )  # fmt: skip
    size = next((_physical(chunk) for kind, chunk in _chunks(data) if kind == b"pHYs" and len(chunk) == 21), None)
    dtype = "uint16" if bits == 16 else "uint8"
    return ImageInfo("png", width, height, 1, samples, named_channels(samples, samples == 3), dtype, samples == 3, size)


def _physical(chunk: memoryview) -> PixelSize | None:
    x, y, unit = struct.unpack(">IIB", chunk[8:17])
    return pixel_size(1 / x, 1 / y, "m") if unit == 1 and x and y else None


def read_png(path: Path, info: ImageInfo) -> np.ndarray:
    """All pixels, (y, x, channel); alpha is dropped, palettes become colours."""
    data = memoryview(path.read_bytes())
    kept = b"".join([PNG_MAGIC, *(chunk for kind, chunk in _chunks(data) if kind in CRITICAL)])
    try:
        pixels = imagecodecs.png_decode(kept)
    except (imagecodecs.PngError, ValueError, RuntimeError) as error:
        raise BadImage(f"The PNG file is damaged ({error}).", DAMAGED) from error
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return pixels[:, :, : info.channels]


def inspect_jpeg(path: Path, settings: Settings) -> ImageInfo:
    """Size after the EXIF orientation is applied, as every viewer shows it."""
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            width, height = image.size
            samples = 1 if image.mode == "L" else 3
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            if image.mode not in ("L", "RGB", "CMYK"):
                raise UnsupportedImage(f"The JPEG file has colours of kind {image.mode}.", "Save it as RGB or grey.")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error) as error:
        raise BadImage("The JPEG file is damaged.", DAMAGED) from error
    check_declared(
        settings, width=width, height=height, planes=1, channels=samples, itemsize=1, file_bytes=path.stat().st_size
    )
    width, height = (height, width) if turned else (width, height)
    return ImageInfo(
        "jpeg", width, height, 1, samples, named_channels(samples, samples == 3), "uint8", samples == 3, None
    )


def read_jpeg(path: Path, info: ImageInfo) -> np.ndarray:
    """All pixels, (y, x, channel) uint8; CMYK becomes RGB."""
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright if upright.mode in ("L", "RGB") else upright.convert("RGB"))
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise BadImage("The JPEG file is damaged or cut short.", DAMAGED) from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def cut(pixels: np.ndarray, region: Region, channels: Sequence[int]) -> np.ndarray:
    """The region of (y, x, channel) with the chosen channels in their order, contiguous."""
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    return np.ascontiguousarray(pixels[rows, columns][:, :, list(channels)])
