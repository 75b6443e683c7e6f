"""The crop of a job as a file: an uncompressed TIFF, the same crop always the same bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from zoo.image_limits import BadImage
from zoo.image_types import Crop, PixelSize
from zoo.roi import Region

DAMAGE = (tifffile.TiffFileError, ValueError, KeyError, TypeError, OSError, IndexError)


@dataclass(frozen=True)
class CropInfo:
    """What a stored crop is, without its pixels; `planes` as many as it holds for networks of several."""

    channels: int
    planes: int
    rgb: bool
    pixel_size: PixelSize | None
    origin: Region


def encode_crop(crop: Crop) -> bytes:
    """The crop as a TIFF of a page for each channel of its plane or, in `around`, of each plane in turn."""
    words = {
        "zooscope": "crop",
        "rgb": crop.rgb,
        "origin": crop.origin.to_json(),
        "pixel_size": crop.pixel_size.to_json() if crop.pixel_size else None,
    }
    if crop.around is not None:
        words["planes"] = len(crop.around)
    planes, height, width, channels = crop.stack.shape
    pages = np.ascontiguousarray(np.moveaxis(crop.stack, -1, 1)).reshape(planes * channels, height, width)
    out = io.BytesIO()
    tifffile.imwrite(
        out,
        pages,
        photometric="minisblack",
        description=json.dumps(words, sort_keys=True),
        metadata=None,
        software="zooscope",
    )
    return out.getvalue()


def decode_crop(source: bytes | Path) -> Crop:
    """What `encode_crop` wrote, bit for bit; raises `BadImage` for anything else."""
    try:
        with tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source) as tif:
            words = json.loads(tif.pages[0].description)
            info = _info(words, len(tif.pages))
            pages = np.stack([page.asarray() for page in tif.pages])
        stack = np.moveaxis(pages.reshape(info.planes, info.channels, *pages.shape[1:]), 1, -1)
        around = np.ascontiguousarray(stack) if "planes" in words else None
        pixels = np.ascontiguousarray(stack[info.planes // 2])
        return Crop(pixels, info.pixel_size, info.rgb, info.origin, around)
    except DAMAGE as error:
        raise _damaged() from error


def describe_crop(path: Path) -> CropInfo:
    """What the crop at `path` is, without reading its pixels; raises `BadImage`."""
    try:
        with tifffile.TiffFile(path) as tif:
            return _info(json.loads(tif.pages[0].description), len(tif.pages))
    except DAMAGE as error:
        raise _damaged() from error


def _info(words: dict[str, Any], pages: int) -> CropInfo:
    planes = int(words.get("planes", 1))
    if planes < 1 or pages % planes:
        raise ValueError("pages do not make whole planes")
    size, origin = PixelSize.from_json(words["pixel_size"]), Region.from_json(words["origin"])
    return CropInfo(pages // planes, planes, words["rgb"], size, origin)


def _damaged() -> BadImage:
    return BadImage("The crop of a job is damaged.", "Submit the preview again.")
