"""A plane with its neighbours: which they are, when there are none, and how they are carried to the worker."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from zoo.crops import decode_crop, describe_crop, encode_crop
from zoo.image_types import Crop, ImageInfo, PixelSize
from zoo.images import BadImage, inspect
from zoo.planes import PlanesMissing, check_planes, cut_crop, neighbours
from zoo.roi import Region
from zoo.settings import Settings

SETTINGS = Settings()


def info(planes: int, depth: int = 0, z_step: int = 1) -> ImageInfo:
    return ImageInfo("tiff", 9, 8, planes, 1, ("grey",), "uint8", False, None, depth, z_step)


def stack_file(path: Path, shape: tuple[int, ...], axes: str) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    kind = {"imagej": "ImageJ" in path.name, "ome": "ome" in path.name}
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": axes}, **kind)
    return pixels


@pytest.mark.parametrize(
    ("planes", "depth", "z_step", "plane", "frames", "found"),
    [
        (9, 0, 1, 4, 3, (3, 4, 5)),
        (9, 0, 1, 4, 1, (4,)),
        (9, 0, 1, 0, 5, (0, 0, 0, 1, 2)),
        (9, 0, 1, 8, 3, (7, 8, 8)),
        (6, 3, 1, 2, 3, (1, 2, 2)),
        (6, 3, 1, 3, 3, (3, 3, 4)),
        (6, 3, 2, 3, 3, (1, 3, 5)),
        (6, 3, 2, 0, 5, (0, 0, 0, 2, 4)),
    ],
)
def test_neighbours(planes: int, depth: int, z_step: int, plane: int, frames: int, found: tuple[int, ...]) -> None:
    assert neighbours(info(planes, depth, z_step), plane, frames) == found


@given(depth=st.integers(1, 7), times=st.integers(1, 4), z_first=st.booleans(), frames=st.sampled_from([1, 3, 5, 7]))
def test_neighbours_stay_in_their_time_point(depth: int, times: int, z_first: bool, frames: int) -> None:
    grid = np.arange(depth * times)
    # Plane numbers by (time, z).
    grid = grid.reshape(times, depth) if z_first else grid.reshape(depth, times).T
    image = info(depth * times, depth, 1 if z_first else times)
    for row in grid:
        framed = np.pad(row, frames // 2, mode="edge")
        for z, plane in enumerate(row):
            assert neighbours(image, int(plane), frames) == tuple(framed[z : z + frames])


@pytest.mark.parametrize(
    ("name", "shape", "axes", "depth", "z_step"),
    [
        ("plain.tif", (4, 8, 9), "QYX", 4, 1),
        ("ImageJ.tif", (2, 3, 8, 9), "TZYX", 3, 1),
        ("ImageJ-time.tif", (4, 8, 9), "TYX", 1, 1),
        ("zt.ome.tif", (3, 2, 8, 9), "ZTYX", 3, 2),
        ("tz.ome.tif", (2, 3, 8, 9), "TZYX", 3, 1),
    ],
)
def test_the_axes_of_a_file_tell_its_depth(
    tmp_path: Path, name: str, shape: tuple[int, ...], axes: str, depth: int, z_step: int
) -> None:
    stack_file(tmp_path / name, shape, axes)
    found = inspect(tmp_path / name, name, SETTINGS)
    assert found.planes == int(np.prod(shape[:-2]))
    assert (found.depth, found.z_step if depth > 1 else 1) == (depth, z_step)
    assert ImageInfo.from_json(found.to_json()) == found


def test_an_image_kept_by_an_earlier_version_is_one_stack() -> None:
    body = info(5).to_json()
    del body["depth"], body["z_step"]
    assert ImageInfo.from_json(body).depth == 5


def test_a_crop_holds_the_plane_and_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "zt.ome.tif"
    pixels = stack_file(path, (3, 2, 8, 9), "ZTYX")
    found = inspect(path, path.name, SETTINGS)
    crop = cut_crop(path, path.name, SETTINGS, found, Region(1, 2, 5, 4), 1, None, None, 3)
    assert crop.around is not None
    np.testing.assert_array_equal(crop.around[..., 0], pixels[[0, 0, 1], 1, 2:6, 1:6])
    np.testing.assert_array_equal(crop.pixels, crop.around[1])
    alone = cut_crop(path, path.name, SETTINGS, found, Region(1, 2, 5, 4), 1, None, None)
    assert alone.around is None
    np.testing.assert_array_equal(alone.pixels, crop.pixels)


@given(planes=st.sampled_from([1, 3, 5]), channels=st.integers(1, 3), dtype=st.sampled_from(["uint8", "uint16", "f4"]))
def test_a_crop_comes_back_as_it_was(planes: int, channels: int, dtype: str) -> None:
    stack = (np.random.default_rng(1).random((planes, 6, 4, channels)) * 200).astype(dtype)
    crop = Crop(stack[planes // 2], PixelSize(0.5, 0.25), False, Region(3, 4, 4, 6), stack if planes > 1 else None)
    data = encode_crop(crop)
    assert data == encode_crop(crop)
    found = decode_crop(data)
    for name in ("pixels", "around"):
        np.testing.assert_array_equal(getattr(found, name), getattr(crop, name))
    assert (found.pixel_size, found.origin) == (crop.pixel_size, crop.origin)
    assert found.pixels.dtype == crop.pixels.dtype


def test_a_crop_of_one_plane_has_the_bytes_that_it_always_had() -> None:
    crop = Crop(np.arange(60, dtype=np.uint8).reshape(4, 5, 3), PixelSize(0.5, 0.5), True, Region(1, 2, 5, 4))
    # The sha256 of what the version before networks of several planes wrote.
    assert (
        hashlib.sha256(encode_crop(crop)).hexdigest()
        == "e54c3bfa763f33a10fee7244a6a1f27ab459002da7bb91863a2e03f54d6f4d11"
    )


def test_what_a_crop_is_can_be_told_without_its_pixels(tmp_path: Path) -> None:
    stack = np.zeros((3, 4, 5, 2), np.uint8)
    crop = Crop(stack[1], None, False, Region(1, 2, 5, 4), stack)
    for name, each, planes in (("deep", crop, 3), ("flat", dataclasses.replace(crop, around=None), 1)):
        (tmp_path / name).write_bytes(encode_crop(each))
        found = describe_crop(tmp_path / name)
        assert (found.planes, found.channels, found.origin) == (planes, 2, crop.origin)
    (tmp_path / "bad").write_bytes(b"II*\0nothing")
    with pytest.raises(BadImage):
        describe_crop(tmp_path / "bad")


def test_an_image_with_too_few_planes_is_answered_with_what_would_work() -> None:
    assert check_planes(info(1), {"frames": "1"}, (1, 3, 5)) == 1
    assert check_planes(info(5), {"frames": "1+5"}, (1, 3, 5)) == 5
    with pytest.raises(PlanesMissing) as caught:
        check_planes(info(1), {"frames": "5"}, (1, 3, 5))
    assert caught.value.message == "Frames 5 take 5 planes at once; the image has a single plane."
    assert caught.value.hint == "Choose frames 1, or give a stack of at least 5 planes."
    with pytest.raises(PlanesMissing) as caught:
        check_planes(info(4), {"frames": "3+5"}, (1, 3, 5))
    assert "a stack of 4 planes" in caught.value.message
    assert caught.value.hint == "Choose frames 1, 3 or 1+3, or give a stack of at least 5 planes."
    with pytest.raises(PlanesMissing) as caught:
        check_planes(info(2), {"frames": "3"}, (3,))
    assert caught.value.hint == "Give a stack of at least 3 planes."


def test_time_points_are_no_neighbours() -> None:
    with pytest.raises(PlanesMissing) as caught:
        check_planes(info(20, 1), {"frames": "3"}, (1, 3))
    assert "a single plane at each of its 20 time points" in caught.value.message
    assert "swap them in ImageJ" in caught.value.hint
