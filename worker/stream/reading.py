"""Reading a region once, from its file into a crop's file, in a thread that runs ahead of who needs the rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worker.stream.scratch import Scratch, check_room
from worker.stream.statistics import NotStreamable
from zoo.crop_file import blank_crop
from zoo.image_blocks import block_shape
from zoo.image_types import Crop, ImageInfo, PixelSize
from zoo.images import read_region
from zoo.planes import neighbours
from zoo.roi import Region
from zoo.settings import Settings


@dataclass(frozen=True)
class ImageRegion:
    """A region of an image that is not read yet; `frames` planes of it about `plane` are wanted, an odd number."""

    path: Path
    info: ImageInfo
    region: Region
    plane: int
    channels: tuple[int, ...] | None
    pixel_size: PixelSize | None
    frames: int
    settings: Settings

    @property
    def rgb(self) -> bool:
        return self.info.rgb and self.channels in (None, (0, 1, 2))

    @property
    def bytes(self) -> int:
        channels = self.info.channels if self.channels is None else len(self.channels)
        return self.region.height * self.region.width * channels * self.frames * np.dtype(self.info.dtype).itemsize


class Reader:
    """Copies the region into the file `crop.tif` of `scratch`, top rows first; `crop` is a view of that file.

    Until `wait` has returned for a row, the rows from there on are 0.
    """

    def __init__(self, source: ImageRegion, scratch: Scratch) -> None:
        self.source, self.seconds = source, 0.0
        region, info = source.region, source.info
        channels = info.channels if source.channels is None else len(source.channels)
        check_room(scratch.folder, source.bytes)
        self.windows = list(_windows(source, scratch.memory // 16 // (source.frames * channels)))
        stack = blank_crop(
            scratch.folder / "crop.tif", (source.frames, region.height, region.width, channels), np.dtype(info.dtype),
            pixel_size=source.pixel_size, rgb=source.rgb, origin=region, around=source.frames > 1,
        )  # fmt: skip
        self.stack, self.scratch = scratch.adopt(stack), scratch
        around = stack if source.frames > 1 else None
        self.crop = Crop(stack[source.frames // 2], source.pixel_size, source.rgb, region, around)
        self.lowest = [np.inf] * source.frames
        self.complete = True
        self._done, self._stopped = 0, False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="read", daemon=True)

    @property
    def path(self) -> Path:
        return self.scratch.folder / "crop.tif"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; to be called whatever happened."""
        self._stopped = True
        if self._thread.is_alive():
            self._thread.join()

    def wait(self, row: int, tick: Callable[[], None] = lambda: None) -> None:
        """Return when all rows above `row` are there; raises what the reading raised. `tick` is called meanwhile."""
        with self._changed:
            while self._done < row and self._error is None:
                self._changed.wait(0.2)
                tick()
            if self._error is not None:
                raise self._error

    @property
    def share(self) -> float:
        return self._done / self.source.region.height

    def _run(self) -> None:
        try:
            for window in self.windows:
                if self._stopped:
                    return
                started = time.perf_counter()
                self._copy(window)
                self.scratch.release()
                self.seconds += time.perf_counter() - started
                if window.x + window.width == self.source.region.x + self.source.region.width:
                    self._tell(window.y + window.height - self.source.region.y)
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _tell(self, rows: int) -> None:
        with self._changed:
            self._done = rows
            self._changed.notify_all()

    def _copy(self, window: Region) -> None:
        source = self.source
        top, left = window.y - source.region.y, window.x - source.region.x
        numbers = neighbours(source.info, source.plane, source.frames)
        read: dict[int, np.ndarray] = {}
        for index, number in enumerate(numbers):
            if number not in read:
                read[number] = read_region(
                    source.path, source.path.name, source.settings, window, number, source.channels
                )
            pixels = read[number]
            self.stack[index, top : top + window.height, left : left + window.width] = pixels
            if pixels.dtype.kind == "f":
                good = np.isfinite(pixels)
                self.complete = self.complete and bool(good.all())
                self.lowest[index] = min(self.lowest[index], float(pixels.min(where=good, initial=np.inf)))


def _windows(source: ImageRegion, values: int) -> Iterator[Region]:
    """The parts of the region to read at a time, by rows: whole pieces of the file, of about `values` bytes.

    Raises `NotStreamable` when a piece of the file is larger than that many times over.
    """
    region, itemsize = source.region, np.dtype(source.info.dtype).itemsize
    pixels = max(1, values // itemsize)
    rows, columns = block_shape(source.path, source.info, source.settings)
    if source.info.format in ("png", "jpeg"):
        yield region
        return
    if rows * columns > 4 * pixels:
        raise NotStreamable(
            f"The image is stored in pieces of {columns} x {rows} pixels, too large for the memory that a "
            "streamed preview may use.",
            "Save it as a tiled TIFF or as OME-Zarr, or raise ZOOSCOPE_STREAM_MEMORY_BYTES.",
        )
    height = max(rows, pixels // region.width // rows * rows)
    # Whole rows of pieces where they fit, else as many pieces of one as do.
    wide = region.width if region.width * height <= 4 * pixels else max(columns, pixels // height // columns * columns)
    for top, bottom in _cuts(region.y, region.y + region.height, height):
        for left, right in _cuts(region.x, region.x + region.width, wide):
            yield Region(left, top, right - left, bottom - top)


def _cuts(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """The spans between multiples of `step`."""
    while start < stop:
        end = min(stop, start // step * step + step)
        yield start, end
        start = end
