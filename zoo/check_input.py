"""What a check runs a model on: the author's test image, else a sample or the test tensor of the package itself."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.channel_fit import fit_channels
from zoo.crops import encode_crop
from zoo.image_types import Crop, PixelSize
from zoo.images import inspect
from zoo.package_archive import PackageInvalid
from zoo.packages import ModelPackage
from zoo.planes import check_planes, cut_crop
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

# A check runs on the middle of a larger image: it is to be done in seconds, and still find enough.
SIDE = 1024


@dataclass(frozen=True)
class CheckInput:
    """The crop of a check's job as its blob, the resolved settings of the run, and where the pixels are from."""

    crop: bytes
    settings: dict[str, Any]
    source: dict[str, Any]


def check_input(
    package: ModelPackage, image: Path | None, name: str, sha256: str, settings: Settings
) -> CheckInput:  # fmt: skip
    """The input of a check on `image`, whose file its author calls `name`; without one on what the package has.

    Raises `PackageInvalid` when there is nothing to run on, and what reading an image raises.
    """
    resolved = resolve({}, package)
    if image is not None:
        return _of_image(package, image, name, sha256, resolved, settings)
    if package.samples and (file := str(package.samples[0].get("file") or "")):
        with tempfile.TemporaryDirectory() as folder:
            sample = Path(folder) / "sample"
            sample.write_bytes(package.open(file))
            return _of_image(package, sample, Path(file).name, "", resolved, settings)
    if package.test_input:
        return _of_tensor(package, resolved)
    raise PackageInvalid("There is no image to check the model on.", "Add a test image.")


def _of_image(
    package: ModelPackage, path: Path, name: str, sha256: str, resolved: dict[str, Any], settings: Settings
) -> CheckInput:
    info = inspect(path, name, settings)
    fit_channels(info.rgb, info.channels, None, package.channels, package.grey_to_rgb)
    frames = check_planes(info, resolved, package.frames)
    region = middle(info.width, info.height)
    plane = info.depth // 2 * info.z_step
    crop = cut_crop(path, name, settings, info, region, plane, None, info.pixel_size, frames)
    return CheckInput(encode_crop(crop), resolved, _source(crop, name, sha256, plane))


def _of_tensor(package: ModelPackage, resolved: dict[str, Any]) -> CheckInput:
    """The first image of the test input, in the model's own pixel size."""
    tensor = np.load(io.BytesIO(package.open(package.test_input)), allow_pickle=False)
    pixels = as_image(tensor, package.axes)
    region = middle(pixels.shape[1], pixels.shape[0])
    part = pixels[region.y : region.y + region.height, region.x : region.x + region.width]
    side = package.pixel_size_um
    crop = Crop(np.ascontiguousarray(part), PixelSize(side, side) if side else None, False, region)
    name = Path(package.test_input).name
    return CheckInput(encode_crop(crop), resolved, _source(crop, name, "", 0))


def as_image(tensor: np.ndarray, axes: str) -> np.ndarray:
    """(y, x, channel) of the first image of a tensor with these axes, such as "bcyx"; booleans as 0 and 1."""
    full = tensor.reshape((1,) * (4 - tensor.ndim) + tensor.shape)
    order = [axis for axis in "bcyx" if axis not in axes] + list(axes)
    image = full.transpose([order.index(axis) for axis in "byxc"])[0]
    return image.astype(np.uint8) if image.dtype == bool else image


def middle(width: int, height: int, side: int = SIDE) -> Region:
    """The middle of an image, no longer than `side` either way."""
    wide, high = min(width, side), min(height, side)
    return Region((width - wide) // 2, (height - high) // 2, wide, high)


def _source(crop: Crop, name: str, sha256: str, plane: int) -> dict[str, Any]:
    return {
        "image_id": None,
        "image_name": name,
        "image_sha256": sha256 or None,
        "roi": crop.origin.to_json(),
        "plane": plane,
        "channels": None,
        "rgb": crop.rgb,
        "pixel_size_um": crop.pixel_size.x_um if crop.pixel_size else None,
    }
