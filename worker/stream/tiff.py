"""Tiled, compressed OME-TIFF, BigTIFF where it has to be, of planes larger than memory: made behind other work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from worker.files import DEFLATE_LEVEL, ome_xml
from worker.stream.planes import Plane
from worker.stream.scratch import Scratch, check_room
from zoo.images import PixelSize

TILE = 512
# Above this many bytes of pixels offsets might not fit into a classic TIFF, however well they are compressed.
CLASSIC_BYTES = 2**31


class TiledWriter:
    """Compresses the planes of (y, x, channel), `dtype` float32, uint16 or uint32, in a thread, into a scratch file, as
    far as they are final; `finish` makes the TIFF of it.
    """

    def __init__(self, plane: Plane, dtype: np.dtype | type, scratch: Scratch, name: str) -> None:
        self.plane, self.dtype, self.scratch, self.seconds = plane, np.dtype(dtype), scratch, 0.0
        self._path = scratch.folder / name
        self._lengths: list[list[int]] = []
        self._final, self._stopped = 0, False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def passed(self, row: int) -> None:
        """The rows above `row` are final."""
        with self._changed:
            self._final = max(self._final, row)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the thread; to be called whatever happened."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self, path: Path, names: Sequence[str], pixel_size: PixelSize | None) -> None:
        """Wait for the last tile and write the file; raises what the compression raised."""
        self.passed(self.plane.shape[0])
        self._thread.join()
        if self._error is not None:
            raise self._error
        height, width, channels = self.plane.shape
        check_room(path.parent, self._path.stat().st_size)
        large = height * width * channels * self.dtype.itemsize > CLASSIC_BYTES
        with tifffile.TiffWriter(path, bigtiff=large) as writer:
            for channel in range(channels):
                description = ome_xml((channels, height, width), self.dtype, names, pixel_size).encode()
                writer.write(
                    self._tiles(channel),
                    shape=(height, width),
                    dtype=self.dtype,
                    tile=(TILE, TILE),
                    photometric="minisblack",
                    compression="zlib",
                    predictor=3 if self.dtype.kind == "f" else 2,
                    description=description if channel == 0 else None,
                    metadata=None,
                    software="Zooscope",
                )
        self._path.unlink()

    def _run(self) -> None:
        try:
            with self._path.open("wb") as file:
                for top in range(0, self.plane.shape[0], TILE):
                    bottom = min(self.plane.shape[0], top + TILE)
                    with self._changed:
                        self._changed.wait_for(lambda bottom=bottom: self._final >= bottom or self._stopped)  # type: ignore[misc]
                    if self._stopped:
                        return
                    started = time.perf_counter()
                    for tiles in self._row(top, bottom):
                        file.writelines(tiles)
                        self._lengths.append([len(tile) for tile in tiles])
                    self.seconds += time.perf_counter() - started
        except BaseException as error:
            self._error = error

    def _row(self, top: int, bottom: int) -> Iterator[list[bytes]]:
        """For each tile of a row of tiles its planes, compressed."""
        for left in range(0, self.plane.shape[1], TILE):
            right = min(self.plane.shape[1], left + TILE)
            pixels = self.plane.read((top, bottom), (left, right))
            tile = np.zeros((self.plane.shape[2], TILE, TILE, 1), self.dtype)
            tile[:, : bottom - top, : right - left, 0] = np.moveaxis(pixels, -1, 0)
            yield [_compressed(each) for each in tile]
            self.scratch.release()

    def _tiles(self, channel: int) -> Iterator[bytes]:
        offset = 0
        with self._path.open("rb") as file:
            for lengths in self._lengths:
                file.seek(offset + sum(lengths[:channel]))
                yield file.read(lengths[channel])
                offset += sum(lengths)


def _compressed(tile: np.ndarray) -> bytes:
    predicted = imagecodecs.floatpred_encode(tile, axis=-2) if tile.dtype.kind == "f" else np.diff(
        tile, axis=-2, prepend=tile.dtype.type(0)
    )  # fmt: skip
    encoded: bytes = imagecodecs.deflate_encode(predicted, level=DEFLATE_LEVEL)
    return encoded
