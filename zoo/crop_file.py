"""A crop's file filled piece by piece, for regions larger than memory: the bytes that `encode_crop` would give."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import tifffile

from zoo.crops import encode_crop
from zoo.image_types import Crop, PixelSize
from zoo.roi import Region


def blank_crop(
    path: Path,
    shape: tuple[int, int, int, int],
    dtype: np.dtype,
    *,
    pixel_size: PixelSize | None,
    rgb: bool,
    origin: Region,
    around: bool,
) -> np.memmap:
    """Make the file of a crop of zeros; returns its pixels mapped, (plane, y, x, channel) of `shape`, to be written to.

    `around` says that its planes are a plane with its neighbours, as of `Crop`.
    """
    planes, height, width, channels = shape
    tiny = np.zeros((planes, 1, 1, channels), dtype)
    like = encode_crop(Crop(tiny[planes // 2], pixel_size, rgb, origin, tiny if around else None))
    with tifffile.TiffFile(io.BytesIO(like)) as tif:
        description = tif.pages[0].description
    tifffile.imwrite(
        path,
        None,
        shape=(planes * channels, height, width),
        dtype=dtype,
        photometric="minisblack",
        description=description,
        metadata=None,
        software="zooscope",
    )
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            # The disk is known to have room before the mapping is written to.
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[0]
    pages = np.memmap(path, dtype, "r+", offset, (planes, channels, height, width))
    return pages.transpose(0, 2, 3, 1)
