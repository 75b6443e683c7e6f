"""Arrays in files beside the output, mapped into memory, and how much of them may stay in memory."""

from __future__ import annotations

import math
import mmap
import os
import shutil
from pathlib import Path

import numpy as np

from zoo.errors import UserError

GIB = 2**30
# Left free on the disk for what else runs on the machine.
SPARE = 64 * 2**20


class DiskFull(UserError):
    code = "disk-full"


class Scratch:
    """The working arrays of one streamed preview, files in `folder`, which the caller removes.

    `memory` is the bytes that may be worked in at a time; a single step works on pieces of a fraction of it.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self.folder, self.memory = folder, memory
        self._arrays: list[np.memmap] = []

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype | type) -> np.memmap:
        """A new array of zeros in a file; raises `DiskFull` rather than meeting the end of the disk later."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        check_room(self.folder, size)
        path = self.folder / name
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        return self.adopt(np.memmap(path, dtype, "r+", shape=shape))

    def adopt(self, array: np.memmap) -> np.memmap:
        """Keep count of an array that was mapped elsewhere."""
        self._arrays.append(array)
        return array

    def release(self) -> None:
        """Give back the memory of the pages touched so far: what was written stays in the files."""
        for array in self._arrays:
            mapped = getattr(array, "_mmap", None)
            if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)

    def drop(self, array: np.memmap) -> None:
        """Remove an array's file; the array must not be used again."""
        self._arrays = [other for other in self._arrays if other is not array]
        Path(str(array.filename)).unlink()

    def rows(self, width: int, bytes_per_pixel: int, share: int = 16) -> int:
        """How many rows of `width` pixels to work on at a time, in one of `share` parts of the memory."""
        return max(1, self.memory // share // max(1, width * bytes_per_pixel))

    @property
    def window_pixels(self) -> int:
        """The most pixels of a window in which objects are told apart or measured at once."""
        return max(4096, self.memory // 400)


def rectangle(array: np.ndarray, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
    """Rows `y` and columns `x` of (y, x, ...).

    Of a narrow part of a wide array in a file the rows are read one by one: through the mapping every row would bring
    its neighbours' pages along.
    """
    mapped = getattr(array, "_mmap", None)
    narrow = (x[1] - x[0]) * 2 <= array.shape[1]
    if mapped is None or array.base is not mapped or not narrow or not hasattr(os, "preadv"):
        return array[slice(*y), slice(*x)]
    assert isinstance(array, np.memmap)
    part = np.empty((y[1] - y[0], x[1] - x[0], *array.shape[2:]), array.dtype)
    bytes_per_row, bytes_per_pixel = array.strides[0], array.strides[1]
    with Path(str(array.filename)).open("rb") as file:
        for index in range(len(part)):
            at = array.offset + (y[0] + index) * bytes_per_row + x[0] * bytes_per_pixel
            os.preadv(file.fileno(), [part[index].reshape(-1).view(np.uint8)], at)
    return part


def check_room(folder: Path, size: int) -> None:
    """Raise `DiskFull` when `size` bytes more would not fit."""
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise DiskFull(
            f"This preview needs {size / GIB:.1f} GiB of disk for its work and {free / GIB:.1f} GiB are free.",
            "Write to a disk with more room (-o), or choose a smaller --roi.",
        )
