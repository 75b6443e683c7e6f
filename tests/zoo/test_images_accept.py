"""Images that are read: every format, sample type and layout, region by region."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from zoo.images import BadImage, BadSelection, Crop, PixelSize, decode_crop, encode_crop, inspect, read_region
from zoo.roi import Region
from zoo.settings import Settings

SETTINGS = Settings()
RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (64, 80), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (64, 80, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (64, 80), dtype=np.uint16)
DEEP_COLOUR = RNG.integers(0, 65536, (64, 80, 3), dtype=np.uint16)
STACK = RNG.integers(0, 65536, (3, 2, 64, 80), dtype=np.uint16)
REGION = Region(5, 7, 20, 40)


def check(path: Path, whole: np.ndarray, plane: int = 0) -> None:
    """The whole plane and a region of it are exactly `whole`, in its dtype, as `inspect` announced."""
    whole = whole[:, :, None] if whole.ndim == 2 else whole
    info = inspect(path, path.name, SETTINGS)
    assert (info.height, info.width, info.channels) == whole.shape
    assert info.dtype == whole.dtype.name
    pixels = read_region(path, path.name, SETTINGS, None, plane)
    assert pixels.dtype == whole.dtype
    assert np.array_equal(pixels, whole)
    part = read_region(path, path.name, SETTINGS, REGION, plane)
    assert np.array_equal(part, whole[7:47, 5:25])
    last = info.channels - 1
    assert np.array_equal(read_region(path, path.name, SETTINGS, REGION, plane, [last]), whole[7:47, 5:25, last:])


@pytest.mark.parametrize("pixels", [GREY, COLOUR, DEEP, DEEP_COLOUR], ids=["grey", "colour", "deep", "deep-colour"])
def test_png(tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    check(tmp_path / "a.png", pixels)


def test_png_with_alpha_palette_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([COLOUR, GREY])).save(tmp_path / "alpha.png")
    check(tmp_path / "alpha.png", COLOUR)
    Image.fromarray(np.dstack([GREY, GREY]), mode=None).save(tmp_path / "grey-alpha.png")
    check(tmp_path / "grey-alpha.png", GREY)
    palette = Image.fromarray(COLOUR).quantize(16)
    palette.save(tmp_path / "palette.png")
    check(tmp_path / "palette.png", np.asarray(palette.convert("RGB")))
    Image.fromarray(GREY > 127).save(tmp_path / "bits.png")
    check(tmp_path / "bits.png", np.where(GREY > 127, 255, 0).astype(np.uint8))


def test_the_first_bytes_decide_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "really.png")
    (tmp_path / "really.png").rename(tmp_path / "called.tif")
    assert inspect(tmp_path / "called.tif", "called.tif", SETTINGS).format == "png"


def test_jpeg_and_its_orientation(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg")
    check(tmp_path / "a.jpg", np.asarray(Image.open(tmp_path / "a.jpg")))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(tmp_path / "turned.jpg", exif=exif)
    check(tmp_path / "turned.jpg", np.rot90(np.asarray(Image.open(tmp_path / "turned.jpg")), -1))
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert read_region(tmp_path / "cmyk.jpg", "cmyk.jpg", SETTINGS, None).shape == COLOUR.shape


TIFF_LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "deflate": {"compression": "zlib"},
    "tiled-lzw": {"tile": (16, 32), "compression": "lzw"},
    "bigtiff": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "strips": {"rowsperstrip": 5},
    "zstd-predictor": {"compression": "zstd", "predictor": True},
    "packbits": {"compression": "packbits"},
}
GREYS = {
    "uint8": GREY,
    "uint16": DEEP,
    "int16": (DEEP.astype(np.int32) - 32768).astype(np.int16),
    "uint32": DEEP.astype(np.uint32) * 60000,
    "float32": (DEEP / 1000 - 30).astype(np.float32),
}


@pytest.mark.parametrize("layout", TIFF_LAYOUTS)
@pytest.mark.parametrize("dtype", GREYS)
def test_grey_tiff(tmp_path: Path, layout: str, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREYS[dtype], **TIFF_LAYOUTS[layout])
    check(tmp_path / "a.tif", GREYS[dtype])


@pytest.mark.parametrize("layout", TIFF_LAYOUTS)
def test_colour_tiff_contiguous_and_planar(tmp_path: Path, layout: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, photometric="rgb", **TIFF_LAYOUTS[layout])
    check(tmp_path / "a.tif", COLOUR)
    planar = np.moveaxis(DEEP_COLOUR, -1, 0)
    tifffile.imwrite(tmp_path / "b.tif", planar, photometric="rgb", planarconfig="separate", **TIFF_LAYOUTS[layout])
    check(tmp_path / "b.tif", DEEP_COLOUR)


def test_tiff_kinds(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "white.tif", GREY, photometric="miniswhite")
    check(tmp_path / "white.tif", 255 - GREY)
    tifffile.imwrite(tmp_path / "alpha.tif", np.dstack([COLOUR, GREY]), photometric="rgb", extrasamples=["unassalpha"])
    check(tmp_path / "alpha.tif", COLOUR)
    five = RNG.integers(0, 9, (64, 80, 5), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "five.tif", five, photometric="minisblack", planarconfig="contig")
    check(tmp_path / "five.tif", five)
    tifffile.imwrite(tmp_path / "jpeg.tif", COLOUR, photometric="ycbcr", compression="jpeg", tile=(32, 32))
    check(tmp_path / "jpeg.tif", tifffile.imread(tmp_path / "jpeg.tif"))
    palette = Image.fromarray(COLOUR).quantize(16)
    palette.save(tmp_path / "palette.tif")
    check(tmp_path / "palette.tif", np.asarray(palette.convert("RGB")))
    Image.fromarray(GREY > 127).save(tmp_path / "bits.tif")
    check(tmp_path / "bits.tif", np.where(GREY > 127, 255, 0).astype(np.uint8))
    tifffile.imwrite(tmp_path / "double.tif", GREYS["float32"].astype(np.float64))
    check(tmp_path / "double.tif", GREYS["float32"])


def test_stacks_of_pages(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "pages.tif", STACK[:, 0], photometric="minisblack")
    assert inspect(tmp_path / "pages.tif", "pages.tif", SETTINGS).planes == 3
    check(tmp_path / "pages.tif", STACK[2, 0], plane=2)


def test_imagej_hyperstack(tmp_path: Path) -> None:
    metadata = {"axes": "ZCYX", "unit": "um"}
    tifffile.imwrite(tmp_path / "ij.tif", STACK, imagej=True, metadata=metadata, resolution=(4, 2))
    info = inspect(tmp_path / "ij.tif", "ij.tif", SETTINGS)
    assert (info.planes, info.channels, info.pixel_size) == (3, 2, PixelSize(0.25, 0.5))
    check(tmp_path / "ij.tif", np.moveaxis(STACK[1], 0, -1), plane=1)


def test_an_imagej_stack_with_one_directory(tmp_path: Path) -> None:
    """ImageJ writes stacks over 4 GB with a directory for the first plane alone."""
    words = "ImageJ=1.53\nimages=3\nslices=3\n"
    planes = np.ascontiguousarray(STACK[:, 0])
    tifffile.imwrite(tmp_path / "one.tif", planes[0], description=words, metadata=None)
    with (tmp_path / "one.tif").open("ab") as file:
        file.write(planes[1].tobytes() + planes[2].tobytes())
    assert inspect(tmp_path / "one.tif", "one.tif", SETTINGS).planes == 3
    check(tmp_path / "one.tif", planes[0], plane=0)
    with tifffile.TiffFile(tmp_path / "one.tif") as tif:
        assert tif.pages[0].dataoffsets[-1] + tif.pages[0].databytecounts[-1] <= (tmp_path / "one.tif").stat().st_size
        pixels_end = tif.pages[0].dataoffsets[0] + planes[0].nbytes
    data = (tmp_path / "one.tif").read_bytes()
    if data[pixels_end : pixels_end + 8] == planes[1].tobytes()[:8]:
        check(tmp_path / "one.tif", planes[2], plane=2)


def test_ome_tiff(tmp_path: Path) -> None:
    metadata = {
        "axes": "ZCYX", "PhysicalSizeX": 100, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 100,
        "PhysicalSizeYUnit": "nm", "Channel": {"Name": ["DAPI", "GFP"]},
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    info = inspect(tmp_path / "a.ome.tif", "a.ome.tif", SETTINGS)
    assert (info.planes, info.channel_names) == (3, ("DAPI", "GFP"))
    assert info.pixel_size == PixelSize(0.1, 0.1)
    check(tmp_path / "a.ome.tif", np.moveaxis(STACK[2], 0, -1), plane=2)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_ome_zarr(tmp_path: Path, version: int) -> None:
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"
    ]
    transform = [{"type": "scale", "scale": [1, 1, 0.5, 0.25]}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transform}]}]
    store = zarr.storage.ZipStore(tmp_path / "a.zarr.zip", mode="w")
    group = zarr.open_group(store, mode="w", zarr_format=version)
    group.attrs.update({"multiscales": multiscales} if version == 2 else {"ome": {"multiscales": multiscales}})
    group.create_array("0", shape=(2, 3, 64, 80), chunks=(1, 1, 32, 32), dtype="uint16")[:] = STACK.transpose(
        1, 0, 2, 3
    )
    store.close()
    info = inspect(tmp_path / "a.zarr.zip", "a", SETTINGS)
    assert (info.format, info.planes, info.pixel_size) == ("zarr", 3, PixelSize(0.25, 0.5))
    check(tmp_path / "a.zarr.zip", np.moveaxis(STACK[1], 0, -1), plane=1)


@pytest.mark.parametrize("dots", [72, 96, 150, 300, 500])
def test_a_printers_resolution_is_no_pixel_size(tmp_path: Path, dots: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=(dots, dots), resolutionunit="inch")
    Image.fromarray(GREY).save(tmp_path / "a.png", dpi=(dots, dots))
    for name in ("a.tif", "a.png"):
        assert inspect(tmp_path / name, name, SETTINGS).pixel_size is None


def test_a_microscopes_resolution_is(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=(20000, 20000), resolutionunit="centimeter")
    assert inspect(tmp_path / "a.tif", "a.tif", SETTINGS).pixel_size == PixelSize(0.5, 0.5)
    data = imagecodecs.png_encode(GREY)
    chunk = b"pHYs" + struct.pack(">IIB", 2_000_000, 2_000_000, 1)
    physical = struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:33] + physical + data[33:])
    assert inspect(tmp_path / "a.png", "a.png", SETTINGS).pixel_size == PixelSize(0.5, 0.5)


@pytest.mark.parametrize(("plane", "channels"), [(1, None), (-1, None), (0, [1]), (0, [-1]), (0, [])])
def test_planes_and_channels_that_are_not_there(tmp_path: Path, plane: int, channels: list[int] | None) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.raises(BadSelection):
        read_region(tmp_path / "a.png", "a.png", SETTINGS, None, plane, channels)


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.uint32, np.float32]),
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6)),
    ),
    st.booleans(),
    st.none() | st.builds(PixelSize, st.floats(1e-3, 10), st.floats(1e-3, 10)),
)
def test_a_crop_survives_bit_for_bit(pixels: np.ndarray, rgb: bool, size: PixelSize | None) -> None:
    crop = Crop(pixels, size, rgb, Region(3, 4, pixels.shape[1], pixels.shape[0]))
    data = encode_crop(crop)
    assert data == encode_crop(crop)
    read = decode_crop(data)
    assert read.pixels.dtype == pixels.dtype
    assert read.pixels.shape == pixels.shape
    assert read.pixels.tobytes() == pixels.tobytes()
    assert (read.pixel_size, read.rgb, read.origin) == (size, rgb, crop.origin)


def test_what_is_no_crop_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    for source in (b"", b"hello", tmp_path / "a.tif", encode_crop(Crop(COLOUR, None, True, REGION))[:3000]):
        with pytest.raises(BadImage):
            decode_crop(source)
