"""How the chunks of a Zarr are packed. Each codec is told how many bytes its chunk may unpack to, and stops there."""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs

from zoo.image_limits import BadImage, UnsupportedImage

DAMAGED = "Zip the OME-Zarr folder again and check that it was copied whole."
OTHER_CODEC = "Save it with blosc, zstd, gzip or no compression."
# Room for a checksum below the packing; the array compares sizes exactly.
SLACK = 8
BLOSC_HEADER = struct.Struct("<4B3I")


@dataclass(frozen=True)
class Codec:
    """`unpack` is given packed bytes and how many they should become, and makes at most `SLACK` more than that."""

    name: str
    unpack: Callable[[bytes, int], bytes]

    def decode(self, data: bytes, expected: int) -> bytes:
        try:
            return self.unpack(data, expected)
        except (ValueError, RuntimeError, OSError, EOFError, zlib.error, struct.error, IndexError) as error:
            raise BadImage(f"A chunk of the OME-Zarr is damaged ({self.name}).", DAMAGED) from error


def _blosc(data: bytes, expected: int) -> bytes:
    *_, declared, _, packed = BLOSC_HEADER.unpack_from(data)
    if declared > expected + SLACK or packed > len(data):
        raise ValueError("blosc header")
    return bytes(imagecodecs.blosc_decode(data))


def _deflate(data: bytes, expected: int) -> bytes:
    # 32 + MAX_WBITS: zlib or gzip, told by the header.
    return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(data, expected + SLACK)


def _zstd(data: bytes, expected: int) -> bytes:
    return bytes(imagecodecs.zstd_decode(data, out=expected + SLACK))


def _lz4(data: bytes, expected: int) -> bytes:
    (declared,) = struct.unpack_from("<I", data)
    if declared > expected + SLACK:
        raise ValueError("lz4 header")
    return bytes(imagecodecs.lz4_decode(data, header=True))


def _bz2(data: bytes, expected: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, expected + SLACK)


UNPACKERS = {"blosc": _blosc, "zlib": _deflate, "gzip": _deflate, "zstd": _zstd, "lz4": _lz4, "bz2": _bz2}


def _checksummed(data: bytes, expected: int) -> bytes:
    """Without the checksum at the end: what was uploaded is already verified by its sha256."""
    return data[:-4]


def _unpacker(name: str) -> Codec:
    if name not in UNPACKERS:
        raise UnsupportedImage(f"The OME-Zarr is packed with {name[:40]!r}.", OTHER_CODEC)
    return Codec(name, UNPACKERS[name])


def read_filters(compressor: dict[str, Any] | None, filters: list[Any] | None) -> tuple[Codec, ...]:
    """The codecs of a Zarr 2 array; raises `UnsupportedImage` for those that are not read."""
    if filters:
        raise UnsupportedImage("The OME-Zarr's chunks went through filters.", OTHER_CODEC)
    return () if compressor is None else (_unpacker(str(compressor.get("id"))),)


def read_codecs(listed: list[dict[str, Any]], dimensions: int) -> tuple[tuple[int, ...], str, tuple[Codec, ...]]:
    """Order of the axes in a chunk, byte order and codecs of a Zarr 3 array, in the order they were applied.

    Raises `UnsupportedImage` for a codec that is not read and `BadImage` for a chain that makes no sense.
    """
    order, endian, codecs, as_bytes = tuple(range(dimensions)), "little", [], False
    for codec in listed:
        name, configuration = str(codec.get("name")), codec.get("configuration") or {}
        if name == "bytes" and not as_bytes:
            endian, as_bytes = str(configuration.get("endian", "little")), True
        elif name == "transpose" and not as_bytes:
            order = tuple(order[axis] for axis in configuration["order"])
        elif as_bytes:
            codecs.append(Codec(name, _checksummed) if name == "crc32c" else _unpacker(name))
        else:
            raise UnsupportedImage(f"The OME-Zarr is packed with {name[:40]!r}.", OTHER_CODEC)
    if sorted(order) != list(range(dimensions)) or not as_bytes or endian not in ("little", "big"):
        raise BadImage("The OME-Zarr's codecs make no sense.", DAMAGED)
    return order, endian, tuple(codecs)
