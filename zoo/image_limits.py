"""What an image may declare before a single pixel is decoded, and the errors of images."""

from __future__ import annotations

import numpy as np

from zoo.errors import UserError
from zoo.settings import MIB, Settings

# Small files may be as repetitive as they like; above this the ratio limit applies.
RATIO_APPLIES_ABOVE = 64 * MIB
ACCEPTED_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64", "bool")


class BadImage(UserError):
    """The file is damaged or contradicts itself."""

    code = "bad-image"
    status = 422


class UnsupportedImage(UserError):
    """A file of a kind Zooscope does not read."""

    code = "unsupported-image"
    status = 415


class ImageTooLarge(UserError):
    """The image declares more than the limits of this installation."""

    code = "image-too-large"
    status = 413


def check_declared(
    settings: Settings, *, width: int, height: int, planes: int, channels: int, itemsize: float, file_bytes: int
) -> None:
    """Raise `BadImage` or `ImageTooLarge` for dimensions that are empty or above the settings.

    `itemsize` is in bytes per sample; `file_bytes` is the compressed size of what is declared.
    """
    if min(width, height, planes, channels) < 1:
        raise BadImage(f"The image declares {width} x {height} pixels.", "Export it again; it holds no pixels.")
    if max(width, height) > settings.image_side:
        raise ImageTooLarge(
            f"The image is {width} x {height} pixels; its sides may have at most {settings.image_side}.",
            "Crop it, or save it at a lower resolution.",
        )
    if planes > settings.image_planes:
        raise ImageTooLarge(
            f"The image has {planes} planes; at most {settings.image_planes} are accepted.", "Save fewer planes."
        )
    if width * height * channels > settings.plane_pixels:
        raise ImageTooLarge(
            f"One plane is {width} x {height} pixels in {channels} channels; at most "
            f"{settings.plane_pixels / 1e6:.0f} million values are accepted.",
            "Crop the image before uploading it.",
        )
    if width * height * planes * channels > settings.image_pixels:
        raise ImageTooLarge(
            f"The image declares {width * height * planes * channels / 1e6:.0f} million values; at most "
            f"{settings.image_pixels / 1e6:.0f} million are accepted.",
            "Crop it, or save fewer planes or channels.",
        )
    declared = width * height * channels * planes * itemsize
    if declared > RATIO_APPLIES_ABOVE and declared > settings.compression_ratio * max(1, file_bytes):
        raise ImageTooLarge(
            f"The file declares {declared / MIB:.0f} MiB of pixels in {file_bytes / MIB:.2f} MiB.",
            "Save it again with ordinary compression.",
        )


def check_dtype(dtype: np.dtype | None, described: str) -> None:
    if dtype is None or np.dtype(dtype).name not in ACCEPTED_DTYPES:
        raise UnsupportedImage(
            f"The image has {described} samples, which Zooscope does not read.",
            "Save it with 8, 16 or 32 bits a sample, as integers or floating point.",
        )
