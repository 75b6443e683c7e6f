"""Properties of the reader: damaged files end in a sentence, and a region is the part of the whole it says it is."""

from __future__ import annotations

import functools
import io
import itertools
import json
import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hostile_images import ome, written
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.errors import UserError
from zoo.images import inspect, read_region
from zoo.roi import Region
from zoo.settings import MIB, Settings

SETTINGS = Settings(image_pixels=4 * MIB, plane_pixels=MIB, image_planes=64)
PIXELS = np.random.default_rng(9).integers(0, 255, (40, 50, 3), dtype=np.uint8)
GREY = np.ascontiguousarray(PIXELS[:, :, 0])


def _jpeg() -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(out, "JPEG", exif=exif)
    return out.getvalue()


def _zarr() -> bytes:
    array = {"zarr_format": 2, "shape": [40, 50], "chunks": [16, 16], "dtype": "|u1", "order": "C", "filters": None,
             "compressor": {"id": "zstd"}, "fill_value": 0}  # fmt: skip
    multiscales = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]
    out = io.BytesIO()
    padded = np.pad(GREY, ((0, 8), (0, 14)))
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(".zattrs", json.dumps({"multiscales": multiscales}))
        archive.writestr("0/.zarray", json.dumps(array))
        for row in range(3):
            for column in range(4):
                chunk = padded[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
                archive.writestr(f"0/{row}.{column}", imagecodecs.zstd_encode(chunk.tobytes()))
    return out.getvalue()


STACK = np.stack([GREY, 255 - GREY, GREY // 2, GREY // 3])
NUMBERS = itertools.count()
OME = ome('SizeX="50" SizeY="40" SizeC="2" SizeZ="2" SizeT="1"')
FILES = {
    "png": imagecodecs.png_encode(PIXELS),
    "jpeg": _jpeg(),
    "tiff-strips": written(GREY, rowsperstrip=7),
    "tiff-tiles-lzw": written(PIXELS, tile=(16, 16), compression="lzw", predictor=True),
    "tiff-planar-big": written(PIXELS.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", bigtiff=True),
    "tiff-jpeg": written(PIXELS, tile=(16, 16), compression="jpeg"),
    "tiff-zstd-16-big-endian": written(GREY.astype(np.uint16) * 200, compression="zstd", byteorder=">"),
    "tiff-ome": written(STACK, photometric="minisblack", description=OME, metadata=None),
    "tiff-imagej": written(STACK, imagej=True),
    "zarr": _zarr(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


@functools.cache
def whole_of(path: Path) -> np.ndarray:
    """The whole of the last plane."""
    return read_region(path, path.name, SETTINGS, None, inspect(path, path.name, SETTINGS).planes - 1)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_region_is_that_part_of_the_whole(folder: Path, name: str, data: st.DataObject) -> None:
    path, whole = folder / name, whole_of(folder / name)
    height, width, channels = whole.shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = Region(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    chosen = data.draw(st.lists(st.integers(0, channels - 1), min_size=1, max_size=4))
    plane = inspect(path, name, SETTINGS).planes - 1
    part = read_region(path, name, SETTINGS, region, plane, chosen)
    assert part.flags.c_contiguous
    assert np.array_equal(part, whole[y : y + region.height, x : x + region.width][:, :, chosen])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_07_whatever_is_damaged_ends_in_a_sentence(folder: Path, name: str, data: st.DataObject) -> None:
    """Bytes changed, most of them where the metadata is: pixels come out, or a UserError, and nothing else."""
    damaged = bytearray(FILES[name])
    heads = st.integers(0, min(400, len(damaged) - 1))
    tails = st.integers(max(0, len(damaged) - 400), len(damaged) - 1)
    places = st.one_of(heads, tails, st.integers(0, len(damaged) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        damaged[place] = value
    # A name of its own: what was found out about a file is kept as long as its time stamp stays the same.
    path = folder / f"damaged-{next(NUMBERS)}"
    path.write_bytes(damaged)
    try:
        info = inspect(path, name, SETTINGS)
        pixels = read_region(path, name, SETTINGS, None, info.planes - 1)
    except UserError as refused:
        sentence = refused.message
    else:
        sentence = "."
        assert pixels.shape == (info.height, info.width, info.channels)
        assert pixels.dtype.name == info.dtype
    path.unlink()
    assert sentence.endswith(".")
