"""Chunks of a Zarr array from strangers: each says how large it will be, and is checked before it is unpacked."""

from __future__ import annotations

import itertools
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr

from zoo.image_limits import BadImage, UnsupportedImage

HINT = "Save the OME-Zarr again with blosc, zstd, zlib or no compression, without shards."
# What a codec may add to pixels that do not compress.
OVERHEAD = 4096
HEADER_BYTES = 18
ZSTD_MAGIC = 0xFD2FB528
TRANSPARENT_CODECS = ("bytes", "transpose", "crc32c")


def compressor_name(array: zarr.Array) -> str | None:
    """The one compressor of the array, None for none; raises `UnsupportedImage` for what cannot be checked."""
    names = []
    for codec in array.metadata.to_dict().get("codecs") or [array.metadata.to_dict().get("compressor")]:
        name = None if codec is None else str(dict(codec).get("name") or dict(codec).get("id"))
        if name is not None and name.removeprefix("numcodecs.") not in TRANSPARENT_CODECS:
            names.append(name.removeprefix("numcodecs."))
    if not names:
        return None
    if len(names) > 1 or names[0] not in ("blosc", "zstd", "zlib", "gzip"):
        raise UnsupportedImage(f"The OME-Zarr's chunks are packed with {', '.join(names)[:60]}.", HINT)
    return names[0]


def check_chunks(path: Path, array: zarr.Array, selection: tuple[Any, ...]) -> None:
    """Raise `BadImage` when a chunk that `selection` (slices and integers) touches unpacks to more than its shape."""
    compressor = compressor_name(array)
    allowed = int(np.prod(array.chunks)) * array.dtype.itemsize
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for key in _touched(array, selection):
            member = members.get(str(PurePosixPath(array.path) / key))
            if member is None:
                continue
            with archive.open(member) as file:
                header = file.read(HEADER_BYTES)
            if member.file_size > allowed + OVERHEAD or _unpacked(compressor, header, member.file_size) > allowed:
                raise BadImage("A chunk of the OME-Zarr unpacks to more than its shape.", HINT)


def _touched(array: zarr.Array, selection: tuple[Any, ...]) -> Iterator[str]:
    spans = []
    for chosen, chunk in zip(selection, array.chunks, strict=True):
        first, last = (chosen.start, chosen.stop - 1) if isinstance(chosen, slice) else (chosen, chosen)
        spans.append(range(first // chunk, last // chunk + 1))
    for position in itertools.product(*spans):
        yield array.metadata.encode_chunk_key(position)


def _unpacked(compressor: str | None, header: bytes, size: int) -> int:
    """Bytes the chunk says it unpacks to; deflate says nothing, but cannot grow more than a thousandfold."""
    if compressor == "blosc":
        return int(struct.unpack_from("<I", header, 4)[0]) if len(header) >= 16 else 0
    if compressor == "zstd":
        return _zstd_content(header)
    return 0 if compressor in ("zlib", "gzip") else size


def _zstd_content(header: bytes) -> int:
    """Content size of a Zstandard frame (RFC 8878, 3.1.1.1); a frame that keeps it back is refused."""
    if len(header) < HEADER_BYTES or struct.unpack_from("<I", header)[0] != ZSTD_MAGIC:
        return 0
    descriptor = header[4]
    single, field, dictionary = bool(descriptor & 0x20), descriptor >> 6, (0, 1, 2, 4)[descriptor & 3]
    at = 5 + (0 if single else 1) + dictionary
    if field == 0 and not single:
        raise BadImage("A chunk of the OME-Zarr does not say how large it is.", HINT)
    if field == 0:
        return header[at]
    code, offset = {1: ("<H", 256), 2: ("<I", 0), 3: ("<Q", 0)}[field]
    return int(struct.unpack_from(code, header, at)[0]) + offset
