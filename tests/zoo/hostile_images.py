"""Files that are meant to break an image reader, each made as small as its trick allows."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import tifffile

SHORT, LONG = 3, 4


def tiff(tags: dict[int, tuple[int, list[int]]], data: bytes = b"\0" * 64, next_ifd: int = 0) -> bytes:
    """A little-endian TIFF with one directory at 8, written by hand; `data` follows the directory.

    A value of -1 in StripOffsets (273) or TileOffsets (324) becomes the offset of `data`.
    """
    entries = sorted(tags.items())
    directory_size = 2 + 12 * len(entries) + 4
    extra_at = 8 + directory_size
    extra = b""
    lengths = {SHORT: ("H", 2), LONG: ("I", 4)}
    sizes = [len(values) * lengths[kind][1] for _, (kind, values) in entries]
    data_at = extra_at + sum(size for size in sizes if size > 4)
    body = struct.pack("<H", len(entries))
    for (tag, (kind, values)), size in zip(entries, sizes, strict=True):
        code, _ = lengths[kind]
        packed = struct.pack(f"<{len(values)}{code}", *(data_at if value == -1 else value for value in values))
        if size > 4:
            body += struct.pack("<HHII", tag, kind, len(values), extra_at + len(extra))
            extra += packed
        else:
            body += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", next_ifd) + extra + data


def grey_tiff(width: int = 8, height: int = 8, **changed: tuple[int, list[int]]) -> bytes:
    """An 8-bit grey TIFF of one strip; `changed` maps "t<number>" to a tag's kind and values."""
    tags = {
        256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [8]), 259: (SHORT, [1]), 262: (SHORT, [1]),
        273: (LONG, [-1]), 277: (SHORT, [1]), 278: (LONG, [height]), 279: (LONG, [64]),
    }  # fmt: skip
    tags.update({int(name[1:]): value for name, value in changed.items()})
    return tiff({tag: value for tag, value in tags.items() if value[1]})


def png(
    width: int, height: int, *, bits: int = 8, colour: int = 0, rows: bytes | None = None, extra: bytes = b""
) -> bytes:
    """A PNG with the header as told and `rows` (filter bytes and pixels) as its data."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    rows = b"\0" * ((width + 1) * height) if rows is None else rows
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def written(pixels: np.ndarray, **options: object) -> bytes:
    """A TIFF written by tifffile."""
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def ome(pixels_attributes: str, inner: str = "", doctype: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{doctype}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" {pixels_attributes}>{inner}'
        "</Pixels></Image></OME>"
    )
