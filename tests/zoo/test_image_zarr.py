"""OME-Zarr: what zarr writes is read back, every layout and codec, and no chunk unpacks to more than its shape."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import zarr
from numcodecs import LZ4, Blosc, Zlib

from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage
from zoo.images import inspect, read_region
from zoo.roi import Region
from zoo.settings import MIB, Settings

SETTINGS = Settings()
PIXELS = np.random.default_rng(4).integers(0, 60000, (2, 3, 70, 90), dtype=np.uint16)
AXES = [{"name": "c"}, *({"name": name, "unit": "nanometer"} for name in "zyx")]


def write(path: Path, version: int, scale: list[float] | None = None, **array: Any) -> Path:
    """`PIXELS` (c, z, y, x) as an OME-Zarr of format `version`."""
    transforms = [{"type": "scale", "scale": scale}] if scale else []
    multiscales = [{"axes": AXES, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}]
    attributes = {"multiscales": multiscales} if version == 2 else {"ome": {"multiscales": multiscales}}
    with warnings.catch_warnings(), zarr.storage.ZipStore(path, mode="w") as store:
        warnings.filterwarnings("ignore", message="Duplicate name")
        group = zarr.create_group(store, zarr_format=version, attributes=attributes)
        options = {"chunks": (1, 2, 32, 40)} | array
        data = PIXELS.astype(options.pop("dtype", PIXELS.dtype))
        group.create_array("0", data=data, **options)
    return path


LAYOUTS: dict[str, tuple[int, dict[str, Any]]] = {
    "2-default": (2, {}),
    "2-plain": (2, {"compressors": None}),
    "2-blosc": (2, {"compressors": Blosc(cname="zstd", shuffle=2)}),
    "2-zlib": (2, {"compressors": Zlib(5)}),
    "2-lz4": (2, {"compressors": LZ4()}),
    "2-fortran-big-endian": (2, {"order": "F", "dtype": ">u2"}),
    "2-slashes": (2, {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
    "3-default": (3, {}),
    "3-plain": (3, {"compressors": None}),
    "3-blosc": (3, {"compressors": zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle")}),
    "3-gzip": (3, {"compressors": zarr.codecs.GzipCodec()}),
    "3-checksum": (3, {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]}),
    "3-transposed": (3, {"filters": zarr.codecs.TransposeCodec(order=(3, 1, 0, 2))}),
    "3-sharded": (3, {"chunks": (1, 1, 16, 20), "shards": (1, 2, 64, 40)}),
    "3-old-keys": (3, {"chunk_key_encoding": {"name": "v2", "separator": "."}}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_zarr_writes_is_read(tmp_path: Path, layout: str) -> None:
    version, options = LAYOUTS[layout]
    path = write(tmp_path / "a.zip", version, **options)
    info = inspect(path, "a.zip", SETTINGS)
    assert (info.width, info.height, info.planes, info.channels, info.dtype) == (90, 70, 3, 2, "uint16")
    assert np.array_equal(read_region(path, "a.zip", SETTINGS, None, 2), np.moveaxis(PIXELS[:, 2], 0, -1))
    part = read_region(path, "a.zip", SETTINGS, Region(31, 33, 50, 20), 1, [1])
    assert np.array_equal(part[:, :, 0], PIXELS[1, 1, 33:53, 31:81])


@pytest.mark.parametrize(("dtype", "read_as"), [("float64", "float32"), ("float32", "float32"), ("int16", "int16")])
def test_sample_types(tmp_path: Path, dtype: str, read_as: str) -> None:
    path = write(tmp_path / "a.zip", 3, dtype=dtype)
    pixels = read_region(path, "a.zip", SETTINGS, None)
    assert pixels.dtype == read_as == inspect(path, "a.zip", SETTINGS).dtype
    assert np.array_equal(pixels, np.moveaxis(PIXELS[:, 0], 0, -1).astype(dtype).astype(read_as))


def test_the_scale_is_the_pixel_size(tmp_path: Path) -> None:
    size = inspect(write(tmp_path / "a.zip", 3, scale=[1, 50, 4.6, 9.2]), "a.zip", SETTINGS).pixel_size
    assert size is not None
    assert (size.x_um, size.y_um) == (0.0092, 0.0046)
    assert inspect(write(tmp_path / "b.zip", 3), "b.zip", SETTINGS).pixel_size is None


def by_hand(path: Path, chunk: bytes, packing: str, side: int = 64, **changed: Any) -> Path:
    array = {
        "zarr_format": 2, "shape": [side, side], "chunks": [side, side], "dtype": "|u1", "order": "C",
        "compressor": {"id": packing}, "fill_value": 7, "filters": None,
    } | changed  # fmt: skip
    attributes = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(".zattrs", json.dumps(attributes))
        archive.writestr("0/.zarray", json.dumps(array))
        archive.writestr("0/0.0", chunk)
    return path


def _blosc(zeros: bytes) -> bytes:
    return Blosc().encode(zeros)


PACKERS = {
    "zlib": lambda zeros: zlib.compress(zeros, 1), "gzip": lambda zeros: imagecodecs.gzip_encode(zeros, level=1),
    "zstd": imagecodecs.zstd_encode, "blosc": _blosc, "lz4": lambda zeros: LZ4().encode(zeros),
}  # fmt: skip


@pytest.mark.parametrize("compressor", PACKERS)
def test_29_a_chunk_never_unpacks_to_more_than_its_shape(tmp_path: Path, compressor: str) -> None:
    bomb = PACKERS[compressor](bytes(48 * MIB))
    # 3 MiB of pixels allow a file large enough for each bomb, so that only the bound on unpacking can stop it.
    path = by_hand(tmp_path / "a.zip", bomb, compressor, side=1800)
    tracemalloc.start()
    try:
        with pytest.raises(BadImage):
            read_region(path, "a.zip", SETTINGS, None)
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


def test_29_a_member_of_the_zip_that_unpacks_to_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "a.zip", bytes(9 * MIB), "zlib")
    with pytest.raises(BadImage, match="far more"):
        read_region(path, "a.zip", SETTINGS, None)


@pytest.mark.parametrize("chunk", [b"", b"x", bytes(63), zlib.compress(bytes(10)), zlib.compress(bytes(4097))])
@pytest.mark.parametrize("compressor", PACKERS)
def test_29_chunks_of_another_size_or_of_rubbish(tmp_path: Path, compressor: str, chunk: bytes) -> None:
    path = by_hand(tmp_path / "a.zip", chunk, compressor)
    with pytest.raises(BadImage):
        read_region(path, "a.zip", SETTINGS, None)


def test_29_the_fill_value_stands_for_missing_chunks(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "a.zip", zlib.compress(bytes(4096)), "zlib", shape=[64, 100])
    pixels = read_region(path, "a.zip", SETTINGS, None)
    assert (pixels[:, :64] == 0).all()
    assert (pixels[:, 64:] == 7).all()


@pytest.mark.parametrize(
    "changed",
    [
        {"compressor": {"id": "rot13"}}, {"compressor": 5}, {"filters": [{"id": "delta"}]}, {"dtype": "|O"},
        {"dtype": "<U9"}, {"dtype": "<c16"}, {"dtype": "nonsense"}, {"dtype": [["a", "<u2"]]}, {"shape": "big"},
        {"shape": [64]}, {"shape": [64.5, 64]}, {"shape": [-1, 64]}, {"shape": [0, 64]}, {"shape": [True, 64]},
        {"chunks": [0, 64]}, {"chunks": [64]}, {"chunks": None}, {"shape": [10**12, 10**12]},
    ],
    ids=str,
)  # fmt: skip
def test_29_metadata_that_makes_no_sense(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = by_hand(tmp_path / "a.zip", bytes(4096), "zlib", **changed)
    with pytest.raises((BadImage, UnsupportedImage, ImageTooLarge)):
        inspect(path, "a.zip", SETTINGS)


def test_29_a_directory_of_millions_is_refused_before_it_is_read(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, 20 * MIB, 4, 0)
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(100) + end)
    with pytest.raises(ImageTooLarge, match="too many files"):
        inspect(tmp_path / "a.zip", "a.zip", SETTINGS)


@pytest.mark.parametrize("eighths", range(1, 8))
def test_07_truncated(tmp_path: Path, eighths: int) -> None:
    data = write(tmp_path / "a.zip", 3).read_bytes()
    (tmp_path / "b.zip").write_bytes(data[: len(data) * eighths // 8])
    with pytest.raises(BadImage):
        inspect(tmp_path / "b.zip", "b.zip", SETTINGS)


def test_shards_that_point_beyond_themselves(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", 3, chunks=(1, 1, 16, 20), shards=(1, 2, 64, 40), compressors=None)
    out = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
        for name in dict.fromkeys(source.namelist()):
            data = source.read(name)
            if "/c/" in name:
                data = data[: -16 * 16 - 4] + struct.pack("<QQ", 2**40, 640) * 16 + bytes(4)
            target.writestr(name, data)
    path.write_bytes(out.getvalue())
    with pytest.raises(BadImage, match="beyond its end"):
        read_region(path, "a.zip", SETTINGS, None)
