"""OME-Zarr in a zip or a folder (NGFF 0.4 and 0.5): the full-resolution level of the first multiscale image."""

from __future__ import annotations

import contextlib
import json
import math
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from zoo.errors import ZooscopeError
from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage, check_declared, check_dtype
from zoo.image_pixel_size import pixel_size
from zoo.image_types import ImageInfo, PixelSize, named_channels
from zoo.roi import Region
from zoo.settings import MIB, Settings
from zoo.zarr_array import MAXIMUM_METADATA, Archive, ZarrArray, open_array, read_member
from zoo.zarr_folder import ZarrFolder

# The list of about 200 000 files.
MAXIMUM_DIRECTORY = 16 * MIB
METADATA = (".zattrs", "zarr.json")
METADATA_TRIED = 8
# The end of a zip: its record, behind which a comment of up to 64 KiB may stand.
END_RECORD, END_RECORD_BYTES, MAXIMUM_COMMENT = b"PK\x05\x06", 22, 2**16
# Before it, in large archives, a record of 56 bytes and its locator.
ZIP64_LOCATOR, ZIP64_LOCATOR_BYTES, ZIP64_BYTES = b"PK\x06\x07", 20, 76
HINT = "Zip the OME-Zarr folder again, with its zarr.json or .zattrs at the top."
DAMAGE = (
    zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, IndexError, EOFError,
    ArithmeticError, struct.error, MemoryError,
)  # fmt: skip
UNKNOWN_BYTES = 2**62
READ_AS = {"float64": "float32", "float16": "float32", "bool": "uint8"}


@dataclass(frozen=True)
class Level:
    """The array of full resolution and what its axes mean."""

    array: ZarrArray
    axes: tuple[str, ...]
    info: ImageInfo


@contextlib.contextmanager
def opened(path: Path, settings: Settings) -> Iterator[Level]:
    """Open and check; raises `BadImage`, `UnsupportedImage` or `ImageTooLarge`, also for damage met while reading."""
    try:
        if path.is_dir():
            folder = ZarrFolder(path)
            # Its size says nothing of its compression: other pictures may lie beside it.
            yield _level(folder, *_attributes(folder), UNKNOWN_BYTES, settings)
            return
        with path.open("rb") as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                _check_names(archive)
                root, attributes = _attributes(archive)
                yield _level(archive, root, attributes, path.stat().st_size, settings)
    except ZooscopeError:
        raise
    except DAMAGE as error:
        raise BadImage(f"The OME-Zarr is damaged or not complete ({type(error).__name__}).", HINT) from error


def inspect_zarr(path: Path, settings: Settings) -> ImageInfo:
    with opened(path, settings) as level:
        return level.info


def read_zarr(path: Path, settings: Settings, region: Region, plane: int, channels: Sequence[int]) -> np.ndarray:
    """The region of one plane, (y, x, channel), reading only the chunks that it touches."""
    with opened(path, settings) as level:
        spans = {"y": (region.y, region.y + region.height), "x": (region.x, region.x + region.width)}
        spans |= {axis: (index, index + 1) for axis, index in _plane_position(level, plane).items()}
        parts = []
        for channel in channels:
            chosen = spans | {"c": (channel, channel + 1)}
            block = level.array.read([chosen[axis] for axis in level.axes])
            rows_first = level.axes.index("y") < level.axes.index("x")
            block = block.reshape((region.height, region.width) if rows_first else (region.width, region.height))
            parts.append(block if rows_first else block.T)
        return np.ascontiguousarray(np.stack(parts, axis=-1), dtype=level.info.dtype)


def _check_directory(file: BinaryIO) -> None:
    """Refuse a list of members longer than any image's before zipfile reads all of it."""
    size = file.seek(0, 2)
    file.seek(max(0, size - MAXIMUM_COMMENT - END_RECORD_BYTES - ZIP64_BYTES))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(END_RECORD)
    if at < 0 or len(tail) < at + END_RECORD_BYTES:
        raise BadImage("The zip file ends too early.", "Upload it again; it was not copied whole.")
    (declared,) = struct.unpack_from("<I", tail, at + 12)
    if at >= ZIP64_BYTES and tail[at - ZIP64_LOCATOR_BYTES :].startswith(ZIP64_LOCATOR):
        (declared,) = struct.unpack_from("<Q", tail, at - ZIP64_BYTES + 40)
    if declared > MAXIMUM_DIRECTORY:
        raise ImageTooLarge(
            "The OME-Zarr has too many files.", "Save it with larger chunks, or as OME-TIFF, and try again."
        )


def _check_names(archive: zipfile.ZipFile) -> None:
    for name in archive.namelist():
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            raise BadImage(f"The OME-Zarr has a file named {name[:60]!r}, outside itself.", HINT)


def _attributes(archive: Archive) -> tuple[str, dict[str, Any]]:
    """Folder and attributes of the image: those nearest to the top of the archive."""
    names = [name for name in archive.namelist() if PurePosixPath(name).name in METADATA]
    for name in sorted(names, key=lambda name: name.count("/"))[:METADATA_TRIED]:
        body = json.loads(read_member(archive, name, MAXIMUM_METADATA) or b"{}")
        attributes: dict[str, Any] = body.get("attributes", body) if isinstance(body, dict) else {}
        attributes = attributes.get("ome") or attributes
        if "multiscales" in attributes:
            return str(PurePosixPath(name).parent), attributes
    raise UnsupportedImage("The zip holds no OME-Zarr image.", "Upload an OME-Zarr, TIFF, PNG or JPEG.")


def _level(archive: Archive, root: str, attributes: dict[str, Any], file_bytes: int, settings: Settings) -> Level:
    multiscale = attributes["multiscales"][0]
    dataset = multiscale["datasets"][0]
    inner = PurePosixPath(root) / str(dataset["path"])
    if inner.is_absolute() or ".." in inner.parts:
        raise BadImage("The OME-Zarr refers to data outside itself.", HINT)
    array = open_array(archive, str(inner))
    axes = tuple(str(axis["name"] if isinstance(axis, dict) else axis) for axis in multiscale.get("axes", "tczyx"))
    if len(axes) != len(array.shape) or not {"x", "y"} <= set(axes) <= set("tczyx") or len(set(axes)) != len(axes):
        raise BadImage(f"The OME-Zarr's axes are {axes} for an array of {len(array.shape)} dimensions.", HINT)
    sizes = dict(zip(axes, array.shape, strict=True))
    check_dtype(array.dtype, str(array.dtype))
    planes, channels = sizes.get("z", 1) * sizes.get("t", 1), sizes.get("c", 1)
    check_declared(
        settings, width=sizes["x"], height=sizes["y"], planes=planes, channels=channels,
        itemsize=array.dtype.itemsize, file_bytes=file_bytes,
    )  # fmt: skip
    stored_together = math.prod(array.chunks) * (math.prod(array.shards.shape) if array.shards else 1)
    if math.prod(array.chunks) > settings.plane_pixels or stored_together > settings.image_pixels:
        raise ImageTooLarge(f"The OME-Zarr's chunks are {array.chunks}.", "Save it with chunks of one plane or less.")
    info = ImageInfo(
        "zarr", sizes["x"], sizes["y"], planes, channels, _channel_names(attributes, channels),
        READ_AS.get(array.dtype.name, array.dtype.name), False, _size(multiscale, dataset, axes), sizes.get("z", 1),
        sizes.get("t", 1) if "z" in axes and "t" in axes[axes.index("z") :] else 1,
    )  # fmt: skip
    return Level(array, axes, info)


def _channel_names(attributes: dict[str, Any], channels: int) -> tuple[str, ...]:
    described = (attributes.get("omero") or {}).get("channels") or []
    names = tuple(str(entry.get("label") or "") for entry in described if isinstance(entry, dict))
    return names if len(names) == channels and all(names) else named_channels(channels, False)


def _size(multiscale: dict[str, Any], dataset: dict[str, Any], axes: tuple[str, ...]) -> PixelSize | None:
    """The pixel size from the level's scale, times the scale that all levels share."""
    described = multiscale.get("axes") or []
    if not all(isinstance(axis, dict) for axis in described):
        return None
    units = {str(axis["name"]): str(axis.get("unit", "")) for axis in described}
    scale = _scale(dataset, len(axes))
    if scale is None:
        return None
    shared = _scale(multiscale, len(axes)) or [1.0] * len(axes)
    x, y = (scale[axes.index(axis)] * shared[axes.index(axis)] for axis in "xy")
    return pixel_size(x, y, units.get("x"))


def _scale(holder: dict[str, Any], count: int) -> list[float] | None:
    transforms = holder.get("coordinateTransformations") or []
    scale = next((entry["scale"] for entry in transforms if entry.get("type") == "scale" and "scale" in entry), None)
    return [float(side) for side in scale] if scale and len(scale) == count else None


def _plane_position(level: Level, plane: int) -> dict[str, int]:
    """Index along z and t; planes count the axis that stands last in the file fastest."""
    position: dict[str, int] = {}
    for axis in reversed([axis for axis in level.axes if axis in "zt"]):
        plane, position[axis] = divmod(plane, level.array.shape[level.axes.index(axis)])
    return position
