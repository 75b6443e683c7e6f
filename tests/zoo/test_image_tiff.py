"""TIFF where it is particular: which page is which plane, colours, and tricks played below the first page."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hostile_images import LONG, SHORT, grey_tiff, tiff, written
from PIL import Image

from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage
from zoo.image_types import ImageInfo, PixelSize
from zoo.images import inspect, read_region
from zoo.settings import MIB, Settings

SETTINGS = Settings()
PAGES = np.random.default_rng(8).integers(0, 255, (6, 24, 32), dtype=np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "image.tif"


def pages_of(path: Path, info: ImageInfo) -> list[list[int]]:
    """For each plane, which of `PAGES` its channels are."""
    planes = [read_region(path, "a", SETTINGS, None, plane) for plane in range(info.planes)]
    return [
        [next(n for n, page in enumerate(PAGES) if np.array_equal(page, plane[:, :, c])) for c in range(info.channels)]
        for plane in planes
    ]


def ome_tiff(
    path: Path, sizes: str, inner: str = "", order: str = "XYCZT", more: str = "", uuid: str = ""
) -> ImageInfo:
    words = (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{uuid}>'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint8" SizeX="32" SizeY="24" '
        f"{sizes}>{inner}</Pixels></Image>{more}</OME>"
    )
    path.write_bytes(written(PAGES, photometric="minisblack", description=words, metadata=None))
    return inspect(path, "a.ome.tif", SETTINGS)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("XYCZT", [[0, 1], [2, 3], [4, 5]]),
        ("XYZCT", [[0, 3], [1, 4], [2, 5]]),
        ("XYTCZ", [[0, 1], [2, 3], [4, 5]]),
        ("XYZTC", [[0, 3], [1, 4], [2, 5]]),
    ],
)
def test_ome_orders(image: Path, order: str, expected: list[list[int]]) -> None:
    info = ome_tiff(image, 'SizeC="2" SizeZ="3" SizeT="1"', "<TiffData/>", order)
    assert pages_of(image, info) == expected


def test_ome_planes_are_where_tiffdata_says(image: Path) -> None:
    places = [(0, 0, 5), (1, 0, 4), (0, 1, 0), (1, 1, 1), (0, 2, 3), (1, 2, 2)]
    inner = "".join(f'<TiffData FirstC="{c}" FirstZ="{z}" IFD="{ifd}" PlaneCount="1"/>' for c, z, ifd in places)
    info = ome_tiff(image, 'SizeC="2" SizeZ="3" SizeT="1"', inner)
    assert pages_of(image, info) == [[5, 4], [0, 1], [3, 2]]


def test_only_the_first_image_of_an_ome_tiff_is_read(image: Path) -> None:
    more = '<Image ID="Image:1"><Pixels DimensionOrder="XYCZT" SizeC="1" SizeZ="2" SizeT="1"/></Image>'
    info = ome_tiff(image, 'SizeC="2" SizeZ="2" SizeT="1"', '<TiffData IFD="0" PlaneCount="4"/>', more=more)
    assert pages_of(image, info) == [[0, 1], [2, 3]]


def test_ome_that_tells_less_than_the_file_holds_is_not_believed(image: Path) -> None:
    assert ome_tiff(image, 'SizeC="1" SizeZ="1" SizeT="1"').planes == 6


def test_27_an_ome_tiff_may_name_itself_but_no_other_file(image: Path) -> None:
    own = '<TiffData IFD="0" PlaneCount="6"><UUID FileName="x.ome.tif">urn:uuid:1</UUID></TiffData>'
    sizes, uuid = 'SizeC="1" SizeZ="6" SizeT="1"', ' UUID="urn:uuid:1"'
    assert ome_tiff(image, sizes, own, uuid=uuid).planes == 6
    (image.parent / "x.ome.tif").write_bytes(image.read_bytes())
    with pytest.raises(UnsupportedImage, match="other files"):
        ome_tiff(image, sizes, own.replace("urn:uuid:1", "urn:uuid:2"), uuid=uuid)
    with pytest.raises(UnsupportedImage, match="other files"):
        ome_tiff(image, 'SizeC="1" SizeZ="12" SizeT="1"', own.replace("x.ome.tif", "../../etc/passwd"), uuid="")


@pytest.mark.parametrize("place", ['IFD="-1"', 'IFD="x"', 'FirstZ="99999999999"', 'PlaneCount="-2"'])
def test_27_places_that_make_no_sense(image: Path, place: str) -> None:
    with pytest.raises(BadImage):
        ome_tiff(image, 'SizeC="1" SizeZ="6" SizeT="1"', f"<TiffData {place}/>")


def test_27_metadata_of_megabytes_is_refused_unread(image: Path) -> None:
    started = time.monotonic()
    with pytest.raises(BadImage, match="larger than"):
        ome_tiff(image, 'SizeC="1" SizeZ="6" SizeT="1"', "<A/>" * (3 * MIB))
    assert time.monotonic() - started < 3


def test_pages_of_another_size_or_kind_are_left_out(image: Path) -> None:
    with tifffile.TiffWriter(image) as tif:
        tif.write(PAGES[0], metadata=None)
        tif.write(PAGES[1, ::2, ::2], metadata=None)
        tif.write(np.dstack([PAGES[2]] * 3), photometric="rgb", metadata=None)
        tif.write(PAGES[3].astype(np.uint16), metadata=None)
        tif.write(PAGES[4], compression="zlib", metadata=None)
    info = inspect(image, "a", SETTINGS)
    assert pages_of(image, info) == [[0], [4]]


def test_imagej_leaves_what_stands_behind_its_planes(image: Path) -> None:
    words = "ImageJ=1.54\nimages=2\nslices=2\nunit=nm\n"
    data = written(PAGES[0], description=words, metadata=None, resolution=(1 / 4.6, 1 / 4.6))
    image.write_bytes(data + PAGES[1].tobytes() + PAGES[2].tobytes())
    info = inspect(image, "a", SETTINGS)
    assert info.planes == 2
    assert info.pixel_size is not None
    assert info.pixel_size.x_um == pytest.approx(0.0046)


def test_an_imagej_tint_is_no_colour_but_a_palette_is(image: Path) -> None:
    green = np.zeros((3, 256), np.uint16)
    green[1] = np.arange(256) * 257
    image.write_bytes(
        written(PAGES[0], photometric="palette", colormap=green, description="ImageJ=1.54\n", metadata=None)
    )
    info = inspect(image, "a", SETTINGS)
    assert (info.channels, info.rgb) == (1, False)
    assert np.array_equal(read_region(image, "a", SETTINGS, None)[:, :, 0], PAGES[0])
    image.write_bytes(written(PAGES[0], photometric="palette", colormap=green, metadata=None))
    assert inspect(image, "a", SETTINGS).rgb
    assert np.array_equal(read_region(image, "a", SETTINGS, None)[:, :, 1], PAGES[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_19_white_is_zero(image: Path, dtype: type[np.unsignedinteger]) -> None:
    pixels = PAGES[0].astype(dtype)
    image.write_bytes(written(pixels, photometric="miniswhite"))
    assert np.array_equal(read_region(image, "a", SETTINGS, None)[:, :, 0], np.iinfo(dtype).max - pixels)


def test_19_white_is_zero_in_one_bit_and_four(image: Path) -> None:
    image.write_bytes(grey_tiff(t258=(SHORT, [1]), t262=(SHORT, [0]), t279=(LONG, [8])))
    assert (read_region(image, "a", SETTINGS, None) == 255).all()
    image.write_bytes(grey_tiff(t258=(SHORT, [4]), t262=(SHORT, [0]), t279=(LONG, [32])))
    assert (read_region(image, "a", SETTINGS, None) == 15).all()


def test_19_many_channels_and_alpha(image: Path) -> None:
    five = np.moveaxis(PAGES[:5], 0, -1)
    image.write_bytes(written(five, photometric="rgb", extrasamples=["unspecified", "unspecified"]))
    assert inspect(image, "a", SETTINGS).channels == 5
    assert not inspect(image, "a", SETTINGS).rgb
    image.write_bytes(written(five[:, :, :2], photometric="minisblack", extrasamples=["unassalpha"]))
    assert np.array_equal(read_region(image, "a", SETTINGS, None)[:, :, 0], PAGES[0])
    assert inspect(image, "a", SETTINGS).channels == 1


def test_21_a_jpeg_tile_that_declares_more_than_its_tile(image: Path) -> None:
    image.write_bytes(written(PAGES[0], compression="jpeg", tile=(32, 32)))
    assert read_region(image, "a", SETTINGS, None).shape == (24, 32, 1)
    data = bytearray(image.read_bytes())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 65000, 65000)
    image.write_bytes(data)
    with pytest.raises(BadImage, match="tile"):
        read_region(image, "a", SETTINGS, None)


def test_11_a_later_page_with_giant_tiles(image: Path) -> None:
    """The second page is of the first one's shape and samples, and lies about its tiles only."""
    first = grey_tiff(8, 8)
    second = tiff(
        {256: (LONG, [8]), 257: (LONG, [8]), 258: (SHORT, [8]), 259: (SHORT, [1]), 262: (SHORT, [1]),
         277: (SHORT, [1]), 322: (LONG, [2**20]), 323: (LONG, [2**20]), 324: (LONG, [8]), 325: (LONG, [64])}
    )  # fmt: skip
    directory = second[8 : 8 + 2 + 12 * 10 + 4]
    at = len(first)
    next_at = 8 + 2 + 12 * 9
    image.write_bytes(first[:next_at] + struct.pack("<I", at) + first[next_at + 4 :] + directory)
    with pytest.raises(ImageTooLarge, match="tiles"):
        inspect(image, "a", SETTINGS)


def test_12_strips_that_all_lie_in_one_place_do_not_pass_for_data(image: Path) -> None:
    rows, side = 2**15, 2**12
    data = grey_tiff(
        side, rows, t273=(LONG, [8] * rows), t278=(LONG, [1]), t279=(LONG, [side] * rows), t259=(SHORT, [1])
    )
    image.write_bytes(data)
    with pytest.raises(ImageTooLarge):
        inspect(image, "a", SETTINGS.replace(compression_ratio=100))


def chain(count: int, last: int) -> bytes:
    """`count` directories one after another; the last points to directory number `last`."""
    page = grey_tiff()[8 : 8 + 2 + 12 * 9]
    size = len(page) + 4
    following = [8 + (index + 1) * size for index in range(count - 1)] + [8 + last * size]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(page + struct.pack("<I", offset) for offset in following)


@pytest.mark.parametrize(("count", "last"), [(150, 149), (150, 120), (300, 0)])
def test_08_circles_that_close_late(image: Path, count: int, last: int) -> None:
    image.write_bytes(chain(count, last))
    assert inspect(image, "a", SETTINGS).planes == count


def test_09_a_million_directories_are_counted_no_further_than_the_limit(image: Path) -> None:
    image.write_bytes(chain(100_000, 0))
    started = time.monotonic()
    with pytest.raises(ImageTooLarge, match="4096 pages"):
        inspect(image, "a", SETTINGS)
    assert time.monotonic() - started < 1


def test_a_resolution_in_centimetres_or_from_a_printer(image: Path) -> None:
    image.write_bytes(written(PAGES[0], resolution=(40_000, 40_000), resolutionunit="centimeter"))
    assert inspect(image, "a", SETTINGS).pixel_size == PixelSize(0.25, 0.25)
    for dots in (72, 300, 600, 1200):
        image.write_bytes(written(PAGES[0], resolution=(dots, dots), resolutionunit="inch"))
        assert inspect(image, "a", SETTINGS).pixel_size is None


def test_cmyk_written_by_pillow_is_refused_with_a_hint(image: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(np.dstack([PAGES[0]] * 3)).convert("CMYK").save(out, "TIFF")
    image.write_bytes(out.getvalue())
    with pytest.raises(UnsupportedImage) as caught:
        inspect(image, "a", SETTINGS)
    assert "RGB" in caught.value.hint


def test_a_file_that_was_replaced_is_looked_at_again(image: Path) -> None:
    image.write_bytes(written(PAGES[0]))
    assert inspect(image, "a", SETTINGS).width == 32
    image.write_bytes(written(PAGES[0, :20, :20]))
    assert inspect(image, "a", SETTINGS).width == 20


def test_the_planes_of_a_long_stack_are_reached_without_reading_every_page_again(image: Path) -> None:
    image.write_bytes(written(np.zeros((2000, 8, 8), np.uint8), photometric="minisblack", metadata=None))
    assert inspect(image, "a", SETTINGS).planes == 2000
    started = time.process_time()
    for plane in range(0, 200, 10):
        read_region(image, "a", SETTINGS, None, plane)
    assert time.process_time() - started < 0.5
