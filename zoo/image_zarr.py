"""OME-Zarr in a zip (NGFF 0.4 and 0.5): the full-resolution level of the first multiscale image."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr

from zoo.errors import ZooscopeError
from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage, check_declared, check_dtype
from zoo.image_pixel_size import pixel_size
from zoo.image_types import ImageInfo, PixelSize, named_channels
from zoo.image_zarr_chunks import check_chunks, compressor_name
from zoo.roi import Region
from zoo.settings import Settings

MAXIMUM_MEMBERS = 200_000
MAXIMUM_METADATA = 2**20
METADATA = (".zattrs", "zarr.json")
HINT = "Zip the OME-Zarr folder again, with its zarr.json or .zattrs at the top."


@dataclass(frozen=True)
class Level:
    """The array of full resolution and what its axes mean."""

    array: zarr.Array
    axes: tuple[str, ...]
    info: ImageInfo


@contextlib.contextmanager
def opened(path: Path, settings: Settings) -> Iterator[Level]:
    """Open and check; raises `BadImage`, `UnsupportedImage` or `ImageTooLarge`."""
    try:
        with zipfile.ZipFile(path) as archive:
            root, attributes = _attributes(archive)
            _check_members(archive)
        inner = _array_path(root, attributes)
        with contextlib.closing(zarr.storage.ZipStore(path, mode="r")) as store:
            yield _level(store, inner, attributes, path.stat().st_size, settings)
    except ZooscopeError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, RuntimeError, IndexError) as error:
        raise BadImage(f"The OME-Zarr is damaged or not complete ({type(error).__name__}).", HINT) from error


def inspect_zarr(path: Path, settings: Settings) -> ImageInfo:
    with opened(path, settings) as level:
        return level.info


def read_zarr(path: Path, settings: Settings, region: Region, plane: int, channels: Sequence[int]) -> np.ndarray:
    """The region of one plane, (y, x, channel), reading only the chunks that it touches."""
    with opened(path, settings) as level:
        position = _plane_position(level, plane)
        spans: dict[str, Any] = {
            "y": slice(region.y, region.y + region.height),
            "x": slice(region.x, region.x + region.width),
        }
        parts = []
        for channel in channels:
            chosen = spans | position | {"c": channel}
            selection = tuple(chosen[axis] for axis in level.axes)
            check_chunks(path, level.array, selection)
            block = np.asarray(level.array[selection])
            parts.append(block if level.axes.index("y") < level.axes.index("x") else block.T)
        return np.ascontiguousarray(np.stack(parts, axis=-1), dtype=level.info.dtype)


def _attributes(archive: zipfile.ZipFile) -> tuple[str, dict[str, Any]]:
    """Folder and attributes of the image: those at the top, or in the only folder at the top."""
    names = sorted(
        (name for name in archive.namelist() if PurePosixPath(name).name in METADATA), key=lambda name: name.count("/")
    )
    for name in names[:8]:
        if archive.getinfo(name).file_size > MAXIMUM_METADATA:
            raise BadImage(f"The OME-Zarr's {name} is too large.", HINT)
        body = json.loads(archive.read(name))
        attributes: dict[str, Any] = body.get("attributes", body) if isinstance(body, dict) else {}
        attributes = attributes.get("ome") or attributes
        if "multiscales" in attributes:
            return str(PurePosixPath(name).parent), attributes
    raise UnsupportedImage("The zip holds no OME-Zarr image.", "Upload an OME-Zarr, TIFF, PNG or JPEG.")


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > MAXIMUM_MEMBERS:
        raise ImageTooLarge(f"The OME-Zarr has {len(members)} files; at most {MAXIMUM_MEMBERS} are accepted.")
    for member in members:
        if member.filename.startswith("/") or "\\" in member.filename or ".." in PurePosixPath(member.filename).parts:
            raise BadImage(f"The OME-Zarr has a file named {member.filename[:60]!r}, outside itself.", HINT)


def _array_path(root: str, attributes: dict[str, Any]) -> str:
    inner = PurePosixPath(root) / str(attributes["multiscales"][0]["datasets"][0]["path"])
    if inner.is_absolute() or ".." in inner.parts:
        raise BadImage("The OME-Zarr refers to data outside itself.", HINT)
    return str(inner)


def _level(store: Any, path: str, attributes: dict[str, Any], file_bytes: int, settings: Settings) -> Level:
    multiscale = attributes["multiscales"][0]
    dataset = multiscale["datasets"][0]
    array = zarr.open_array(store, path=path, mode="r")
    axes = tuple(str(axis["name"] if isinstance(axis, dict) else axis) for axis in multiscale.get("axes", "tczyx"))
    if len(axes) != array.ndim or not {"x", "y"} <= set(axes) <= set("tczyx") or len(set(axes)) != len(axes):
        raise BadImage(f"The OME-Zarr's axes are {axes} for an array of {array.ndim} dimensions.", HINT)
    sizes = dict(zip(axes, (int(side) for side in array.shape), strict=True))
    check_dtype(array.dtype, str(array.dtype))
    compressor_name(array)
    planes, channels = sizes.get("z", 1) * sizes.get("t", 1), sizes.get("c", 1)
    check_declared(
        settings, width=sizes["x"], height=sizes["y"], planes=planes, channels=channels,
        itemsize=array.dtype.itemsize, file_bytes=file_bytes,
    )  # fmt: skip
    chunk = int(np.prod([min(part, whole) for part, whole in zip(array.chunks, array.shape, strict=True)]))
    if chunk > settings.plane_pixels or int(np.prod(array.chunks)) > 4 * settings.plane_pixels:
        raise ImageTooLarge(f"The OME-Zarr's chunks are {array.chunks}.", "Save it with chunks of one plane or less.")
    names = _channel_names(attributes, channels)
    dtype = {"float64": "float32", "float16": "float32", "bool": "uint8"}.get(array.dtype.name, array.dtype.name)
    info = ImageInfo(
        "zarr", sizes["x"], sizes["y"], planes, channels, names, dtype, False, _size(multiscale, dataset, axes)
    )
    return Level(array, axes, info)


def _channel_names(attributes: dict[str, Any], channels: int) -> tuple[str, ...]:
    described = (attributes.get("omero") or {}).get("channels") or []
    names = tuple(str(entry.get("label") or "") for entry in described if isinstance(entry, dict))
    return names if len(names) == channels and all(names) else named_channels(channels, False)


def _size(multiscale: dict[str, Any], dataset: dict[str, Any], axes: tuple[str, ...]) -> PixelSize | None:
    transforms = dataset.get("coordinateTransformations") or []
    scale = next((entry["scale"] for entry in transforms if entry.get("type") == "scale"), None)
    described = multiscale.get("axes") or []
    if not scale or len(scale) != len(axes) or not all(isinstance(axis, dict) for axis in described):
        return None
    units = {str(axis["name"]): str(axis.get("unit", "")) for axis in described}
    sides = {axis: float(scale[axes.index(axis)]) for axis in "xy"}
    return pixel_size(sides["x"], sides["y"], units.get("x"))


def _plane_position(level: Level, plane: int) -> dict[str, int]:
    """Index along z and t; planes count the axis that stands last in the file fastest."""
    position: dict[str, int] = {}
    for axis in reversed([axis for axis in level.axes if axis in "zt"]):
        plane, position[axis] = divmod(plane, int(level.array.shape[level.axes.index(axis)]))
    return position
