"""What a check runs on: the author's image, else the package's own sample, else its test tensor."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from example_package import make_package
from hypothesis import given
from hypothesis import strategies as st

from zoo.channel_fit import ChannelsUnfit
from zoo.check_input import SIDE, as_image, check_input, middle
from zoo.errors import UserError
from zoo.images import decode_crop
from zoo.package_amend import amend
from zoo.packages import ModelPackage, read_package
from zoo.settings import Settings

SETTINGS = Settings()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return read_package(make_package(tmp_path_factory.mktemp("package") / "grey.zip", pixel_size_um=0.5), SETTINGS)


def test_the_author_s_image_comes_first(package: ModelPackage, tmp_path: Path) -> None:
    pixels = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
    tifffile.imwrite(tmp_path / "blob", pixels)
    found = check_input(package, tmp_path / "blob", "mine.tif", "ab" * 32, SETTINGS)
    np.testing.assert_array_equal(decode_crop(found.crop).pixels[..., 0], pixels)
    assert (found.source["image_name"], found.source["image_sha256"]) == ("mine.tif", "ab" * 32)
    assert found.settings["threshold"] == 0.5


def test_of_a_large_stack_the_middle_of_its_middle_plane(package: ModelPackage, tmp_path: Path) -> None:
    stack = np.zeros((5, 1100, 1300), np.uint8)
    stack[2] = 7
    stack[2, 38, 138] = 9
    tifffile.imwrite(tmp_path / "stack.tif", stack, ome=True, metadata={"axes": "ZYX"})
    found = check_input(package, tmp_path / "stack.tif", "stack.tif", "", SETTINGS)
    crop = decode_crop(found.crop)
    assert crop.pixels.shape == (SIDE, SIDE, 1)
    assert crop.pixels[0, 0, 0] == 9
    assert (found.source["plane"], found.source["roi"]) == (2, [138, 38, SIDE, SIDE])


def test_then_the_package_s_sample_and_then_its_test_tensor(package: ModelPackage, tmp_path: Path) -> None:
    sample = check_input(package, None, "", "", SETTINGS)
    assert sample.source["image_name"] == "sample_1.png"
    bare = read_package(amend(package.path, tmp_path / "bare.zip", zooscope={"samples": []}), SETTINGS)
    tensor = check_input(bare, None, "", "", SETTINGS)
    crop = decode_crop(tensor.crop)
    assert tensor.source["image_name"] == "test_input.npy"
    assert crop.pixel_size is not None, "it is in the model's own pixel size"
    assert crop.pixel_size.x_um == 0.5
    expected = np.load(io.BytesIO(package.open("test_input.npy")))[0]
    np.testing.assert_array_equal(crop.pixels, expected)


def test_without_any_of_them_it_is_asked_for(package: ModelPackage) -> None:
    from dataclasses import replace

    with pytest.raises(UserError, match="There is no image to check the model on"):
        check_input(replace(package, samples=[], test_input=""), None, "", "", SETTINGS)


def test_an_image_that_does_not_fit_is_refused_before_a_worker_sees_it(package: ModelPackage, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "two.tif", np.zeros((2, 32, 32), np.uint8), ome=True, metadata={"axes": "CYX"})
    with pytest.raises(ChannelsUnfit):
        check_input(package, tmp_path / "two.tif", "two.tif", "", SETTINGS)


@given(st.sampled_from(["bcyx", "byxc", "yxc", "cyx", "yx", "byx"]))
def test_a_tensor_as_an_image(axes: str) -> None:
    sizes = {"b": 2, "c": 3 if "c" in axes else 1, "y": 4, "x": 5}
    tensor = np.random.default_rng(1).random([sizes[axis] for axis in axes])
    image = as_image(tensor, axes)
    assert image.shape == (4, 5, sizes["c"])
    first = tensor[0] if "b" in axes else tensor
    order = axes.replace("b", "")
    assert image[1, 2, 0] == first[tuple({"y": 1, "x": 2, "c": 0}[axis] for axis in order)]


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_the_middle_lies_in_the_image(width: int, height: int) -> None:
    region = middle(width, height)
    assert region == region.inside(width, height)
    assert abs((region.x + region.width / 2) - width / 2) <= 0.5
