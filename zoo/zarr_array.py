"""One array of a Zarr (formats 2 and 3) inside a zip or a folder, read chunk by chunk with every size bounded.

Zarr's own reader lets a chunk unpack to whatever it claims; here a chunk unpacks to exactly the bytes that its shape
needs, or is refused. Sources: the Zarr specifications 2 and 3, and the blosc 1 and numcodecs lz4 headers.
"""

from __future__ import annotations

import itertools
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np

from zoo.image_limits import BadImage, UnsupportedImage
from zoo.zarr_codecs import Codec, read_codecs, read_filters

HINT = "Zip the OME-Zarr folder again, with its zarr.json or .zattrs at the top."
MAXIMUM_METADATA = 2**20
MAXIMUM_DIMENSIONS = 8
ABSENT = 2**64 - 1
# What a chunk's file may have above its pixels: headers, and the little that compression can add.
CHUNK_OVERHEAD = 2**16


class Archive(Protocol):
    """What is asked of `zipfile.ZipFile`; `getinfo` raises KeyError for a file that is not there."""

    def namelist(self) -> list[str]: ...
    def getinfo(self, name: str) -> Any: ...
    def read(self, name: Any) -> bytes: ...


@dataclass(frozen=True)
class Shards:
    """Many chunks in one file (Zarr 3 `sharding_indexed`): chunks per shard along each axis, and where the index is."""

    shape: tuple[int, ...]
    index_at_end: bool
    index_checksum: bool

    @property
    def index_bytes(self) -> int:
        return 16 * math.prod(self.shape) + (4 if self.index_checksum else 0)


@dataclass(frozen=True)
class ZarrArray:
    """`shape` and `chunks` are in the file's axis order; `dtype` is native; `stored` is the byte order in the file."""

    archive: Archive
    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    stored: np.dtype
    fill: Any
    order: tuple[int, ...]
    codecs: tuple[Codec, ...]
    prefix: str
    separator: str
    shards: Shards | None = None

    def read(self, spans: Sequence[tuple[int, int]]) -> np.ndarray:
        """The block from `start` to `stop` along each axis, decoding only the chunks it touches.

        Chunks that the file lacks hold the fill value. Raises `BadImage` for a chunk that is not what it should be.
        """
        out = np.full([stop - start for start, stop in spans], self.fill, self.dtype)
        touched = [
            range(start // side, (stop - 1) // side + 1) for (start, stop), side in zip(spans, self.chunks, strict=True)
        ]
        for position in itertools.product(*touched):
            chunk = self._chunk(position)
            if chunk is not None:
                _paste(out, chunk, [index * side for index, side in zip(position, self.chunks, strict=True)], spans)
        return out

    def _chunk(self, position: tuple[int, ...]) -> np.ndarray | None:
        data = self._file(position) if self.shards is None else self._from_shard(self.shards, position)
        if data is None:
            return None
        expected = math.prod(self.chunks) * self.stored.itemsize
        for codec in reversed(self.codecs):
            data = codec.decode(data, expected)
        if len(data) != expected:
            raise BadImage(f"A chunk of the OME-Zarr has {len(data)} bytes instead of {expected}.", HINT)
        stored = np.frombuffer(data, self.stored).reshape([self.chunks[axis] for axis in self.order])
        return stored.transpose(np.argsort(self.order))

    def _file(self, position: tuple[int, ...]) -> bytes | None:
        inside = math.prod(self.shards.shape) if self.shards else 1
        limit = 2 * inside * (math.prod(self.chunks) * self.stored.itemsize + CHUNK_OVERHEAD)
        name = self.separator.join([*([self.prefix] if self.prefix else []), *map(str, position)])
        return read_member(self.archive, str(PurePosixPath(self.path) / name), limit)

    def _from_shard(self, shards: Shards, position: tuple[int, ...]) -> bytes | None:
        data = self._file(tuple(index // side for index, side in zip(position, shards.shape, strict=True)))
        if data is None:
            return None
        size = shards.index_bytes
        if len(data) < size:
            raise BadImage("A shard of the OME-Zarr is cut short.", HINT)
        index = data[len(data) - size :] if shards.index_at_end else data[:size]
        inner = tuple(index % side for index, side in zip(position, shards.shape, strict=True))
        number = int(np.ravel_multi_index(inner, shards.shape))
        offset, length = (int(value) for value in np.frombuffer(index, "<u8", 2, 16 * number))
        if offset == ABSENT and length == ABSENT:
            return None
        if offset + length > len(data):
            raise BadImage("A shard of the OME-Zarr points beyond its end.", HINT)
        return data[offset : offset + length]


def _paste(out: np.ndarray, chunk: np.ndarray, at: Sequence[int], spans: Sequence[tuple[int, int]]) -> None:
    """Copy the part of a chunk whose first element is `at` that lies inside `spans` to its place in `out`."""
    target, source = [], []
    for start_of_chunk, side, (start, stop) in zip(at, chunk.shape, spans, strict=True):
        low, high = max(start_of_chunk, start), min(start_of_chunk + side, stop)
        target.append(slice(low - start, high - start))
        source.append(slice(low - start_of_chunk, high - start_of_chunk))
    out[tuple(target)] = chunk[tuple(source)]


def read_member(archive: Archive, name: str, limit: int) -> bytes | None:
    """The bytes of a member, None when there is none; raises `BadImage` beyond `limit` bytes or when encrypted."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        return None
    if member.file_size > limit:
        raise BadImage(f"{name[:60]!r} in the OME-Zarr has {member.file_size} bytes, far more than it can need.", HINT)
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnsupportedImage(f"{name[:60]!r} in the OME-Zarr is encrypted or packed unusually.", HINT)
    return archive.read(member)


def open_array(archive: Archive, path: str) -> ZarrArray:
    """The array in the folder `path` of the archive; raises `BadImage` or `UnsupportedImage`. Reads no chunk."""
    for name, build in (("zarr.json", _version_3), (".zarray", _version_2)):
        data = read_member(archive, str(PurePosixPath(path) / name), MAXIMUM_METADATA)
        if data is not None:
            return build(archive, path, json.loads(data))
    raise BadImage("The OME-Zarr has no array of full resolution.", HINT)


def _sides(values: Any) -> tuple[int, ...]:
    sides = tuple(values) if isinstance(values, list) else ()
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side >= 0 for side in sides)
    if not 2 <= len(sides) <= MAXIMUM_DIMENSIONS or not whole:
        raise BadImage(f"The OME-Zarr's shape is {str(values)[:60]}.", HINT)
    return sides


def _chunk_sides(values: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    chunks = _sides(values)
    if len(chunks) != len(shape) or 0 in chunks:
        raise BadImage(f"The OME-Zarr's chunks are {str(values)[:60]} for a shape of {str(shape)[:60]}.", HINT)
    return chunks


def _dtype(text: Any) -> np.dtype:
    try:
        dtype = np.dtype(str(text))
    except TypeError as error:
        raise UnsupportedImage(
            f"The OME-Zarr has {str(text)[:40]!r} samples.", "Save it as uint8 or uint16."
        ) from error
    if dtype.kind not in "buif":
        raise UnsupportedImage(f"The OME-Zarr has {str(text)[:40]!r} samples.", "Save it as uint8 or uint16.")
    return dtype


def _fill(value: Any, dtype: np.dtype) -> Any:
    """The fill value as a sample; 0 for none and for what is no number."""
    try:
        number = float(value)
        return dtype.type(number if dtype.kind == "f" else value)
    except (TypeError, ValueError, OverflowError):
        return dtype.type(0)


def _version_2(archive: Archive, path: str, body: dict[str, Any]) -> ZarrArray:
    shape = _sides(body["shape"])
    stored = _dtype(body["dtype"])
    axes = tuple(range(len(shape)))
    return ZarrArray(
        archive,
        path,
        shape,
        _chunk_sides(body["chunks"], shape),
        stored.newbyteorder("="),
        stored,
        _fill(body.get("fill_value"), stored.newbyteorder("=")),
        axes[::-1] if body.get("order") == "F" else axes,
        read_filters(body.get("compressor"), body.get("filters")),
        "",
        "/" if body.get("dimension_separator") == "/" else ".",
    )


def _version_3(archive: Archive, path: str, body: dict[str, Any]) -> ZarrArray:
    shape = _sides(body["shape"])
    grid = body["chunk_grid"]
    if grid.get("name") != "regular":
        raise UnsupportedImage("The OME-Zarr's chunks are not all of one size.", "Save it with regular chunks.")
    chunks = _chunk_sides(grid["configuration"]["chunk_shape"], shape)
    listed, shards = body["codecs"], None
    if listed and listed[0].get("name") == "sharding_indexed":
        outer, chunks, shards = chunks, *_shards(listed[0]["configuration"], chunks)
        if math.prod(outer) < math.prod(chunks):
            raise BadImage("The OME-Zarr's shards are smaller than its chunks.", HINT)
        listed = listed[0]["configuration"]["codecs"]
    encoding = body.get("chunk_key_encoding") or {"name": "default"}
    plain = encoding.get("name") == "v2"
    separator = (encoding.get("configuration") or {}).get("separator", "." if plain else "/")
    dtype = _dtype(body["data_type"])
    order, endian, codecs = read_codecs(listed, len(shape))
    return ZarrArray(
        archive, path, shape, chunks, dtype, dtype.newbyteorder("<" if endian == "little" else ">"),
        _fill(body.get("fill_value"), dtype), order, codecs, "" if plain else "c",
        "/" if separator == "/" else ".", shards,
    )  # fmt: skip


def _shards(configuration: dict[str, Any], outer: tuple[int, ...]) -> tuple[tuple[int, ...], Shards]:
    chunks = _chunk_sides(configuration["chunk_shape"], outer)
    if any(whole % part for whole, part in zip(outer, chunks, strict=True)):
        raise BadImage("The OME-Zarr's shards are no whole number of chunks.", HINT)
    names = _index_codecs(configuration.get("index_codecs") or [])
    shape = tuple(whole // part for whole, part in zip(outer, chunks, strict=True))
    return chunks, Shards(shape, configuration.get("index_location", "end") == "end", "crc32c" in names)


def _index_codecs(listed: list[dict[str, Any]]) -> list[str]:
    names = [str(codec.get("name")) for codec in listed]
    if names not in (["bytes"], ["bytes", "crc32c"]) or listed[0].get("configuration", {}).get("endian") != "little":
        raise UnsupportedImage(f"The OME-Zarr's shards are indexed with {names}.", "Save it without sharding.")
    return names
