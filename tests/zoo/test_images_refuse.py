"""The list of bad images (security.md 5.4, items 1 to 30): refused with a sentence, or read where that is right.

Every file goes through `inspect` and, if that accepts it, through `read_region`; nothing but a UserError may come out,
and no item may take more memory than a small image needs.
"""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hostile_images import LONG, SHORT, chunk, grey_tiff, ome, png, tiff, written
from PIL import Image, PngImagePlugin

from zoo.errors import UserError
from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage
from zoo.images import inspect, read_region
from zoo.settings import MIB, Settings

SETTINGS = Settings(
    image_pixels=16 * MIB, plane_pixels=8 * MIB, image_planes=256, image_side=70_000, compression_ratio=500
)
MEMORY_LIMIT = 96 * MIB
GREY = np.random.default_rng(1).integers(0, 255, (40, 50), dtype=np.uint8)


def read(path: Path, data: bytes) -> np.ndarray:
    """Inspect and read `data`, within the memory limit."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        inspect(path, path.name, SETTINGS)
        return read_region(path, path.name, SETTINGS, None)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY_LIMIT


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "image.bin"


def refused(path: Path, data: bytes, kind: type[UserError] = UserError, says: str | None = None) -> None:
    with pytest.raises(kind, match=says) as caught:
        read(path, data)
    assert caught.value.message.endswith((".", "!"))
    assert caught.value.status in (400, 413, 415, 422)


def test_01_zero_bytes(image: Path) -> None:
    refused(image, b"", BadImage, "empty")


def test_02_one_pixel_is_an_image(image: Path) -> None:
    assert read(image, png(1, 1)).shape == (1, 1, 1)
    assert read(image, written(np.zeros((1, 1), np.uint8))).shape == (1, 1, 1)


def test_03_a_long_strip_is_an_image(image: Path) -> None:
    assert read(image, written(np.zeros((65535, 1), np.uint8), rowsperstrip=1024)).shape == (65535, 1, 1)


def test_04_huge_header_tiny_strip(image: Path) -> None:
    refused(image, grey_tiff(65535, 65535, t279=(LONG, [1])), ImageTooLarge)


@pytest.mark.parametrize("make", [lambda side: grey_tiff(side, side), lambda side: png(side, side, rows=b"\0")])
def test_05_dimensions_of_two_billion(image: Path, make) -> None:
    refused(image, make(2**31 - 1), ImageTooLarge, "sides")


@pytest.mark.parametrize("data", [grey_tiff(0, 0), png(0, 0), png(0, 8), grey_tiff(8, 0)])
def test_06_no_pixels(image: Path, data: bytes) -> None:
    refused(image, data)


FORMATS = {
    "png": png(40, 50, rows=np.random.default_rng(2).integers(0, 2, 41 * 50, dtype=np.uint8).tobytes()),
    "tiff": written(GREY),
    "tiff-deflate": written(GREY, compression="zlib"),
    "tiff-tiled": written(GREY, tile=(16, 16)),
}


@pytest.mark.parametrize("eighths", range(1, 8))
@pytest.mark.parametrize("name", [*FORMATS, "jpeg"])
def test_07_truncated(image: Path, name: str, eighths: int) -> None:
    if name == "jpeg":
        out = io.BytesIO()
        Image.fromarray(GREY).save(out, "JPEG")
        data = out.getvalue()
    else:
        data = FORMATS[name]
    refused(image, data[: len(data) * eighths // 8])


def test_08_circular_directories(image: Path) -> None:
    tags = {256: (LONG, [8]), 257: (LONG, [8]), 258: (SHORT, [8]), 259: (SHORT, [1]), 262: (SHORT, [1]),
            273: (LONG, [-1]), 277: (SHORT, [1]), 278: (LONG, [8]), 279: (LONG, [64])}  # fmt: skip
    assert read(image, tiff(tags, next_ifd=8)).shape == (8, 8, 1)


def test_09_ten_thousand_pages(image: Path) -> None:
    page = grey_tiff()[8 : 8 + 2 + 12 * 9]
    data = bytearray(b"II*\0" + struct.pack("<I", 8))
    size = len(page) + 4
    for index in range(10_000):
        data += page + struct.pack("<I", 8 + (index + 1) * size if index < 9_999 else 0)
    refused(image, bytes(data) + bytes(64), ImageTooLarge, "more than 256 pages")


def test_10_subdirectories_are_never_followed(image: Path) -> None:
    assert read(image, grey_tiff(t330=(LONG, [8] * 100))).shape == (8, 8, 1)


def test_11_giant_tiles_on_a_tiny_image(image: Path) -> None:
    data = grey_tiff(
        1, 1, t322=(LONG, [2**30]), t323=(LONG, [2**30]), t324=(LONG, [-1]), t325=(LONG, [1]), t273=(LONG, []),
        t278=(LONG, []), t279=(LONG, []),
    )  # fmt: skip
    refused(image, data)


def test_12_strips_beyond_the_end(image: Path) -> None:
    refused(image, grey_tiff(t273=(LONG, [10**6])), BadImage, "ends before")
    refused(image, grey_tiff(t279=(LONG, [2**31])), BadImage)


def test_12_strips_that_overlap_are_only_odd(image: Path) -> None:
    data = grey_tiff(8, 16, t273=(LONG, [8, 8]), t278=(LONG, [8]), t279=(LONG, [64, 64]))
    assert read(image, data).shape == (16, 8, 1)


def test_13_no_rows_per_strip(image: Path) -> None:
    refused(image, grey_tiff(t278=(LONG, [0])))


@pytest.mark.parametrize(("bits", "kind"), [(24, 1), (64, 1), (64, 6), (128, 6), (64, 2), (0, 1)])
def test_14_sample_types_no_one_can_use(image: Path, bits: int, kind: int) -> None:
    refused(image, grey_tiff(t258=(SHORT, [bits]), t339=(SHORT, [kind])))


def test_14_one_and_twelve_bits_are_read(image: Path) -> None:
    assert read(image, grey_tiff(t258=(SHORT, [1]), t279=(LONG, [8]))).dtype == np.uint8
    assert read(image, grey_tiff(4, 8, t258=(SHORT, [12]), t279=(LONG, [48]))).dtype == np.uint16


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-45, 0.0])
def test_15_odd_floats_are_data(image: Path, value: float) -> None:
    pixels = np.full((8, 8), value, np.float32)
    assert np.array_equal(read(image, written(pixels))[:, :, 0], pixels, equal_nan=True)


def test_16_twelve_bits_in_sixteen_stay_as_they_are(image: Path) -> None:
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    assert read(image, written(pixels)).max() == 4095


def test_17_negative_integers(image: Path) -> None:
    pixels = np.arange(-32, 32, dtype=np.int16).reshape(8, 8)
    assert read(image, written(pixels)).min() == -32


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_18_both_byte_orders_and_bigtiff_give_the_same_pixels(image: Path, byteorder: str, bigtiff: bool) -> None:
    pixels = GREY.astype(np.uint16) * 257
    data = written(pixels, byteorder=byteorder, bigtiff=bigtiff)
    assert data[:4] == {"<": b"II", ">": b"MM"}[byteorder] + struct.pack(f"{byteorder}H", 43 if bigtiff else 42)
    assert np.array_equal(read(image, data)[:, :, 0], pixels)


@pytest.mark.parametrize(("photometric", "samples", "name"), [(5, 4, "SEPARATED"), (8, 3, "CIELAB"), (9, 3, "ICCLAB")])
def test_19_colours_that_cannot_be_shown_rightly(image: Path, photometric: int, samples: int, name: str) -> None:
    data = grey_tiff(
        4, 4, t262=(SHORT, [photometric]), t277=(SHORT, [samples]), t258=(SHORT, [8] * samples),
        t279=(LONG, [16 * samples]),
    )  # fmt: skip
    refused(image, data, UnsupportedImage, name)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_20_animations(image: Path, kind: str) -> None:
    out = io.BytesIO()
    frames = [Image.fromarray(GREY) for _ in range(20)]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    refused(image, out.getvalue(), UnsupportedImage, "does not read")


def test_20_an_animated_png_shows_its_first_picture(image: Path) -> None:
    out = io.BytesIO()
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    assert np.array_equal(read(image, out.getvalue())[:, :, 0], GREY)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "packbits"])
def test_21_bombs_of_zeros(image: Path, compression: str) -> None:
    settings_breaker = written(np.zeros((8192, 8192), np.uint8), compression=compression, rowsperstrip=8192)
    refused(image, settings_breaker, ImageTooLarge)


def test_21_a_strip_that_unpacks_to_more_than_it_declares(image: Path) -> None:
    bomb = zlib.compress(bytes(200 * MIB), 9)
    data = grey_tiff(8, 8, t259=(SHORT, [8]), t279=(LONG, [len(bomb)]))[:-64] + bomb
    refused(image, data, BadImage)


def test_22_text_chunks_that_unpack_to_gigabytes(image: Path) -> None:
    text = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(20 * MIB)))
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(20 * MIB)))
    assert read(image, png(8, 8, extra=text * 50 + profile)).shape == (8, 8, 1)


def test_22_a_wrong_checksum(image: Path) -> None:
    data = bytearray(FORMATS["png"])
    data[60] ^= 0xFF
    refused(image, bytes(data), BadImage)


def test_22_pixels_missing_from_the_data(image: Path) -> None:
    refused(image, png(40, 40, rows=b"\0" * 41), BadImage)


def test_23_jpeg_2000(image: Path) -> None:
    refused(image, b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64), UnsupportedImage, "JPEG 2000")


def test_23_position_and_script_in_a_jpeg_are_not_kept(image: Path) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (51.0, 30.0, 0.0)
    Image.fromarray(GREY).save(out, "JPEG", exif=exif, comment=b"<script>alert(1)</script>")
    assert read(image, out.getvalue()).shape == (40, 50, 1)
    assert "51" not in json.dumps(inspect(image, "a.jpg", SETTINGS).to_json())


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"  \n<!DOCTYPE html><script>alert(1)</script>", "HTML"),
        (b"%PDF-1.7\n", "PDF"),
        (bytes(128) + b"DICM" + bytes(64), "DICOM"),
        (b"\xda\xce\xbe\x0a" + bytes(64), "ND2"),
        (b"ZISRAWFILE" + bytes(64), "CZI"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"BM" + bytes(64), "BMP"),
        (b"just some text", "of a kind"),
    ],
)
def test_24_25_30_other_kinds_are_named(image: Path, head: bytes, what: str) -> None:
    refused(image, head, UnsupportedImage, what)


def test_26_a_tiff_that_is_a_zip_too_is_read_as_the_tiff(image: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("evil.js", "alert(1)")
    assert np.array_equal(read(image, written(GREY) + out.getvalue())[:, :, 0], GREY)


def test_27_ome_that_points_to_other_files(image: Path) -> None:
    secret = image.parent / "secret.tif"
    tifffile.imwrite(secret, np.full((40, 50), 77, np.uint8))
    inner = '<TiffData FirstZ="1"><UUID FileName="secret.tif">urn:uuid:1</UUID></TiffData>'
    words = ome('SizeX="50" SizeY="40" SizeC="1" SizeZ="2" SizeT="1"', inner)
    refused(image, written(GREY, description=words, metadata=None), UnsupportedImage, "other files")


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE OME [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_27_entities_in_the_metadata(image: Path, doctype: str) -> None:
    words = ome('SizeX="50" SizeY="40" SizeC="1" SizeZ="1" SizeT="1"', doctype=doctype)
    refused(image, written(GREY, description=words, metadata=None), BadImage, "XML")


@pytest.mark.parametrize("size", ["0", "-1", "many", "1e9", "99999999999"])
def test_27_sizes_that_make_no_sense(image: Path, size: str) -> None:
    words = ome(f'SizeX="50" SizeY="40" SizeC="{size}" SizeZ="1" SizeT="1"')
    refused(image, written(GREY, description=words, metadata=None), BadImage)


def test_28_imagej_claims_a_million_frames(image: Path) -> None:
    words = "ImageJ=1.53\nimages=1000000\nframes=1000000\n"
    refused(image, written(GREY, description=words, metadata=None), BadImage, "1000000")


def zarr_zip(path: Path, axes: str = "yx", **array: object) -> Path:
    options = {"shape": (64, 64), "chunks": (32, 32), "dtype": "uint8"} | array
    with zarr.storage.ZipStore(path, mode="w") as store:
        group = zarr.create_group(
            store,
            zarr_format=2,
            attributes={"multiscales": [{"axes": [{"name": name} for name in axes], "datasets": [{"path": "0"}]}]},
        )
        group.create_array("0", **options)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_29_zarr_with_an_impossible_shape(image: Path) -> None:
    zarr_zip(image, shape=(10**6, 10**6), chunks=(512, 512))
    refused(image, image.read_bytes(), ImageTooLarge)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_29_zarr_with_giant_chunks(image: Path) -> None:
    zarr_zip(image, shape=(64, 64), chunks=(30000, 30000))
    refused(image, image.read_bytes(), ImageTooLarge, "chunks")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_29_zarr_whose_axes_do_not_fit(image: Path) -> None:
    zarr_zip(image, axes="zyx")
    refused(image, image.read_bytes(), BadImage, "axes")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_29_missing_chunks_are_background(image: Path) -> None:
    zarr_zip(image)
    assert not read(image, image.read_bytes()).any()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["/etc/passwd", "../up/0.0", "a/../../b"])
def test_29_names_outside_the_archive(image: Path, name: str) -> None:
    zarr_zip(image)
    with zipfile.ZipFile(image, "a") as archive:
        archive.writestr(name, b"x")
    refused(image, image.read_bytes(), BadImage, "outside")


def zarr_by_hand(metadata: dict[str, object], chunk_bytes: bytes = b"", path: str = "0") -> bytes:
    out = io.BytesIO()
    array = {"zarr_format": 2, "shape": [8, 8], "chunks": [8, 8], "dtype": "|u1", "compressor": None, "fill_value": 0,
             "order": "C", "filters": None} | metadata  # fmt: skip
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        multiscales = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": path}]}]
        archive.writestr(".zattrs", json.dumps({"multiscales": multiscales}))
        archive.writestr("0/.zarray", json.dumps(array))
        archive.writestr("0/0.0", chunk_bytes)
    return out.getvalue()


def test_29_an_unknown_codec(image: Path) -> None:
    refused(image, zarr_by_hand({"compressor": {"id": "rot13"}}))


def test_29_a_path_out_of_the_archive(image: Path) -> None:
    refused(image, zarr_by_hand({}, path="../0"), BadImage, "outside")


def test_29_a_blosc_chunk_that_claims_two_gigabytes(image: Path) -> None:
    header = struct.pack("<BBBBIII", 2, 1, 0x21, 1, 2**31 - 32, 2**20, 64)
    blosc = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    refused(image, zarr_by_hand({"compressor": blosc}, header + bytes(48)))


def test_29_a_zlib_chunk_that_unpacks_to_more_than_its_shape(image: Path) -> None:
    bomb = zlib.compress(bytes(200 * MIB), 9)
    refused(image, zarr_by_hand({"compressor": {"id": "zlib", "level": 9}}, bomb))


@pytest.mark.parametrize("members", [{}, {"a.txt": b"hello"}, {".zattrs": b"{"}, {".zattrs": b"[]"}])
def test_29_zips_that_hold_no_image(image: Path, members: dict[str, bytes]) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    refused(image, out.getvalue())


def test_metadata_of_a_png_is_not_a_pixel_size(image: Path) -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Description", "0.5 um")
    Image.fromarray(GREY).save(image, "PNG", pnginfo=words)
    assert inspect(image, "a.png", SETTINGS).pixel_size is None


@pytest.mark.parametrize("size", ["0", "-1", "10nm", "1e308", "nan", "inf", ""])
def test_33_pixel_sizes_that_make_no_sense_are_unknown(image: Path, size: str) -> None:
    words = ome(f'SizeX="50" SizeY="40" SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="{size}"')
    image.write_bytes(written(GREY, description=words, metadata=None))
    assert inspect(image, "a.tif", SETTINGS).pixel_size is None
