"""The one reader of images: what a file is, checked against the limits before anything is decoded, and its pixels.

The first bytes decide the format, never the name. `planes` are all the z, time and page positions in the file's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.crops import decode_crop, encode_crop
from zoo.errors import UserError
from zoo.image_jpeg import inspect_jpeg, read_jpeg
from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage
from zoo.image_png import MAGIC as PNG_MAGIC
from zoo.image_png import inspect_png, read_png
from zoo.image_tiff import inspect_tiff, read_tiff
from zoo.image_types import Crop, ImageInfo, PixelSize
from zoo.image_zarr import inspect_zarr, read_zarr
from zoo.roi import Region
from zoo.settings import Settings

__all__ = [
    "BadImage", "BadSelection", "Crop", "ImageInfo", "ImageTooLarge", "PixelSize", "UnsupportedImage", "decode_crop",
    "encode_crop", "inspect", "read_region",
]  # fmt: skip

TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
EXPORT = "Export it as TIFF, OME-TIFF, PNG or JPEG and try again."
# First bytes of what people try, and what it is.
KNOWN_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"RIFF", "a WebP or AVI"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "a PDF"),
    (b"\0\0\0\x0cjP", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"ZISRAW", "a Zeiss CZI"),
    (b"\xda\xce\xbe\x0a", "a Nikon ND2"),
    (b"\x70\x00\x00\x00", "a Leica LIF"),
    (b"\x89HDF", "an HDF5"),
    (b"\xd0\xcf\x11\xe0", "an Olympus OIB or Office"),
    (b"\x1f\x8b", "a gzip"),
    (b"<", "an SVG, HTML or XML"),
    (b"\xef\xbb\xbf<", "an SVG, HTML or XML"),
)


class BadSelection(UserError):
    """A plane or channel that the image does not have."""

    code = "bad-selection"


def _format(path: Path) -> str:
    if path.is_dir():
        return "zarr"
    with path.open("rb") as file:
        head = file.read(132)
    if not head:
        raise BadImage("The file is empty.", "Choose a file that holds an image.")
    if head.startswith(PNG_MAGIC):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(TIFF_MAGICS):
        return "tiff"
    if head.startswith(b"PK\x03\x04"):
        return "zarr"
    if head[128:132] == b"DICM":
        raise UnsupportedImage("The file is a DICOM file, which Zooscope does not read.", EXPORT)
    what = next((name for magic, name in KNOWN_OTHERS if head.lstrip().startswith(magic)), None)
    told = f"The file is {what} file, which" if what else "The file is of a kind that"
    raise UnsupportedImage(f"{told} Zooscope does not read.", EXPORT)


def inspect(path: Path, name: str, settings: Settings) -> ImageInfo:
    """What the image at `path` is; `name` is only for messages.

    Raises `BadImage` (damaged), `UnsupportedImage` (another kind) or `ImageTooLarge`, each saying what to do.
    """
    kind = _format(path)
    if kind == "png":
        return inspect_png(path, settings)
    if kind == "jpeg":
        return inspect_jpeg(path, settings)
    return inspect_tiff(path, settings) if kind == "tiff" else inspect_zarr(path, settings)


def read_region(
    path: Path,
    name: str,
    settings: Settings,
    region: Region | None,
    plane: int = 0,
    channels: Sequence[int] | None = None,
) -> np.ndarray:
    """Pixels (y, x, channel) of one plane in the dtype that `inspect` tells; all of it when `region` is None.

    Raises what `inspect` raises, `BadRegion`, and `BadSelection` for a plane or channel that is not there.
    """
    info = inspect(path, name, settings)
    region = Region(0, 0, info.width, info.height) if region is None else region.inside(info.width, info.height)
    if not 0 <= plane < info.planes:
        raise BadSelection(f"There is no plane {plane}.", f"The image's planes are 0 to {info.planes - 1}.")
    chosen = tuple(range(info.channels)) if channels is None else tuple(channels)
    if not chosen or not all(0 <= channel < info.channels for channel in chosen):
        raise BadSelection(
            f"There is no channel {', '.join(map(str, chosen)) or '(none chosen)'}.",
            f"The image's channels are 0 to {info.channels - 1}.",
        )
    if info.format == "tiff":
        return read_tiff(path, settings, region, plane, chosen)
    if info.format == "zarr":
        return read_zarr(path, settings, region, plane, chosen)
    pixels = read_png(path, info) if info.format == "png" else read_jpeg(path, info)
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    return np.ascontiguousarray(pixels[rows, columns][:, :, list(chosen)])
