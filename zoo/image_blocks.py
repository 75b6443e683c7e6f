"""In what pieces an image is stored: what has to be decoded at once to see any of its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.image_tiff import _open, _plan_of
from zoo.image_tiff_pixels import reads_rows, segment_size
from zoo.image_types import ImageInfo
from zoo.image_zarr import opened
from zoo.settings import Settings


def block_shape(path: Path, info: ImageInfo, settings: Settings) -> tuple[int, int]:
    """(y, x) pixels of the pieces: tiles or strips of a TIFF, chunks of a Zarr, all of a PNG or JPEG.

    Uncompressed strips can be read row by row. Raises what `zoo.images.inspect` raises.
    """
    if info.format == "tiff":
        plan = _plan_of(path, settings)
        with _open(path) as tif:
            page: Any = tif.pages[plan.directories[0]]
            height, width = segment_size(page)
            return (1 if reads_rows(page) else height), width
    if info.format == "zarr":
        with opened(path, settings) as level:
            sides = dict(zip(level.axes, level.array.chunks, strict=True))
            shards = dict(zip(level.axes, level.array.shards.shape, strict=True)) if level.array.shards else {}
            return sides["y"] * shards.get("y", 1), sides["x"] * shards.get("x", 1)
    return info.height, info.width
