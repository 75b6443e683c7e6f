"""JPEG and PNG where they are particular: orientation, contradictions, chunks, and what is left out."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hostile_images import chunk, png
from PIL import Image, ImageOps

from zoo.image_limits import BadImage, ImageTooLarge, UnsupportedImage
from zoo.images import inspect, read_region
from zoo.jpeg_header import Frame, read_frame
from zoo.roi import Region
from zoo.settings import Settings

SETTINGS = Settings()
RNG = np.random.default_rng(7)
COLOUR = np.asarray(Image.fromarray(RNG.integers(0, 255, (5, 7, 3), dtype=np.uint8)).resize((70, 50)))


def jpeg(pixels: np.ndarray = COLOUR, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def exif(orientation: object) -> bytes:
    words = Image.Exif()
    words[0x0112] = orientation
    return words.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_23_every_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(exif=exif(orientation)))
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    info = inspect(path, "a.jpg", SETTINGS)
    assert (info.height, info.width) == upright.shape[:2]
    assert np.array_equal(read_region(path, "a.jpg", SETTINGS, None), upright)
    assert np.array_equal(read_region(path, "a.jpg", SETTINGS, Region(3, 20, 40, 25)), upright[20:45, 3:43])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read")
@pytest.mark.parametrize("words", [exif(0), exif(9), exif(65535), b"Exif\0\0rubbish", b"Exif\0\0MM\0*\xff\xff\xff\xff"])
def test_23_an_orientation_that_makes_no_sense_is_none(tmp_path: Path, words: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(exif=words))
    assert read_region(tmp_path / "a.jpg", "a.jpg", SETTINGS, None).shape == (50, 70, 3)


def test_the_frame_is_read_without_decoding() -> None:
    assert read_frame(jpeg()) == Frame(70, 50, 8, 3)
    assert read_frame(jpeg(COLOUR[:, :, 0], progressive=True)) == Frame(70, 50, 8, 1)
    for data in (b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xd9", jpeg()[:100], b"\xff\xd8\xff\xc0\0\x11\x08"):
        assert read_frame(data) is None


def patched(**fields: int) -> bytes:
    """A JPEG whose frame header says something else."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, fields.get("height", 50), fields.get("width", 70))
    data[at + 4] = fields.get("bits", 8)
    return bytes(data)


def test_04_a_frame_that_declares_more_than_the_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(patched(width=65535, height=65535))
    with pytest.raises(ImageTooLarge):
        inspect(path, "a.jpg", SETTINGS)
    path.write_bytes(patched(height=0))
    with pytest.raises(BadImage):
        inspect(path, "a.jpg", SETTINGS)
    path.write_bytes(patched(bits=12))
    with pytest.raises(UnsupportedImage, match="12 bits"):
        inspect(path, "a.jpg", SETTINGS)


def test_thousands_of_scans_are_refused_at_once(tmp_path: Path) -> None:
    data = jpeg(np.zeros((2000, 2000), np.uint8), progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(data[:-2] + scan * 5000 + b"\xff\xd9")
    started = time.monotonic()
    with pytest.raises(BadImage):
        inspect(tmp_path / "a.jpg", "a.jpg", SETTINGS)
    assert time.monotonic() - started < 1


BITS_OF_COLOURS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


@pytest.mark.parametrize(
    ("colour", "bits"), [(colour, bits) for colour, every in BITS_OF_COLOURS.items() for bits in every]
)
def test_every_kind_of_png_has_the_shape_and_samples_it_announced(tmp_path: Path, bits: int, colour: int) -> None:
    stored = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = 1 + (40 * stored * bits + 7) // 8
    palette = chunk(b"PLTE", bytes(3 * 2**bits)) if colour == 3 else b""
    clear = {0: b"\0\1", 2: b"\0\1\0\1\0\1", 3: b"\x80"}.get(colour)
    extra = palette + (chunk(b"tRNS", clear) if clear else b"")
    path = tmp_path / "a.png"
    path.write_bytes(png(40, 30, bits=bits, colour=colour, rows=bytes(row * 30), extra=extra))
    info = inspect(path, "a.png", SETTINGS)
    pixels = read_region(path, "a.png", SETTINGS, None)
    assert pixels.shape == (info.height, info.width, info.channels) == (30, 40, 3 if colour in (2, 3, 6) else 1)
    assert pixels.dtype == info.dtype == ("uint16" if bits == 16 else "uint8")


def test_interlaced_png(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    rows = b"".join((b"\0" + b"\x07" * width) * height for width, height in passes)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert (read_region(tmp_path / "a.png", "a.png", SETTINGS, None) == 7).all()


def test_22_millions_of_empty_chunks_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(8, 8, extra=chunk(b"tEXt", b"") * 1_000_000))
    started = time.monotonic()
    with pytest.raises(BadImage):
        inspect(tmp_path / "a.png", "a.png", SETTINGS)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("dots", [72, 96, 300, 600, 1200])
def test_a_printers_resolution_is_no_pixel_size(tmp_path: Path, dots: int) -> None:
    data = imagecodecs.png_encode(COLOUR)
    metre = round(dots / 0.0254)
    (tmp_path / "a.png").write_bytes(data[:33] + chunk(b"pHYs", struct.pack(">IIB", metre, metre, 1)) + data[33:])
    assert inspect(tmp_path / "a.png", "a.png", SETTINGS).pixel_size is None
    (tmp_path / "a.jpg").write_bytes(jpeg(dpi=(dots, dots)))
    assert inspect(tmp_path / "a.jpg", "a.jpg", SETTINGS).pixel_size is None
