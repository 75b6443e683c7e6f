"""JPEG: the frame header is read here and held against the limits; only then is Pillow's decoder asked for pixels.

The EXIF orientation is applied, as every viewer does, so that regions are where people saw them. CMYK becomes RGB.
The resolution is never taken as a pixel size: cameras and programs fill it in for printers.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from zoo.image_limits import BadImage, UnsupportedImage, check_declared
from zoo.image_types import ImageInfo, named_channels
from zoo.jpeg_header import read_frame
from zoo.settings import Settings

DAMAGED = "Export the image again and check that the file was copied whole."
DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, struct.error,
    ArithmeticError, EOFError,
)  # fmt: skip
ORIENTATION = 0x0112
MODES = {"L": 1, "RGB": 3, "CMYK": 3}


def inspect_jpeg(path: Path, settings: Settings) -> ImageInfo:
    """What the JPEG holds, upright; raises `BadImage`, `UnsupportedImage` or `ImageTooLarge`."""
    data = path.read_bytes()
    frame = read_frame(data)
    if frame is None:
        raise BadImage("The JPEG file is damaged.", DAMAGED)
    if frame.bits != 8 or frame.components not in (1, 3, 4):
        raise UnsupportedImage(
            f"The JPEG file has {frame.components} components of {frame.bits} bits.", "Save it as 8-bit RGB or grey."
        )
    samples = 1 if frame.components == 1 else 3
    check_declared(
        settings, width=frame.width, height=frame.height, planes=1, channels=samples, itemsize=1, file_bytes=len(data)
    )
    try:
        # The plugin itself, not Image.open, which would follow the pictures of a multi-picture file.
        with JpegImageFile(path) as image:
            if image.size != (frame.width, frame.height) or MODES.get(image.mode) != samples:
                raise BadImage("The JPEG file contradicts itself.", DAMAGED)
            turned = _orientation(image) >= 5
    except DAMAGE as error:
        raise BadImage("The JPEG file is damaged.", DAMAGED) from error
    width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
    return ImageInfo(
        "jpeg", width, height, 1, samples, named_channels(samples, samples == 3), "uint8", samples == 3, None
    )


def read_jpeg(path: Path, info: ImageInfo) -> np.ndarray:
    """All pixels, upright, (y, x, channel) uint8; raises `BadImage`. `info` is what `inspect_jpeg` told."""
    try:
        with JpegImageFile(path) as image:
            orientation = _orientation(image)
            pixels = np.asarray(image.convert("RGB") if image.mode == "CMYK" else image)
    except DAMAGE as error:
        raise BadImage("The JPEG file is damaged or cut short.", DAMAGED) from error
    return _upright(pixels.reshape(*pixels.shape[:2], info.channels), orientation)


def _orientation(image: JpegImageFile) -> int:
    """1 to 8 as in EXIF; 1 when there is none or it cannot be read."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(y, x, channel) as it was stored, mirrored and turned as EXIF tells: 5 to 8 exchange rows and columns."""
    turned = pixels.transpose(1, 0, 2) if orientation >= 5 else pixels
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return turned
