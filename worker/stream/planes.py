"""Planes larger than memory: arrays (y, x, channel) of which any rectangle can be read, computed while it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worker.rescale import nearest
from worker.stream.scratch import Scratch, rectangle

Operator = Callable[[np.ndarray], np.ndarray]


class Plane(Protocol):
    """`shape` is (y, x, channel)."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
        """The rectangle of rows `y` and columns `x`, (y, x, channel)."""
        ...


@dataclass(frozen=True)
class Stored:
    """An array in memory or in a file."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, channels = self.array.shape
        return height, width, channels

    def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
        return rectangle(self.array, y, x)


@dataclass(frozen=True)
class Nearest:
    """A plane of cells, each `cell` pixels wide, shown on an image of `image` (y, x) pixels: every pixel is its nearest
    cell of a plane that has `size` (y, x) pixels.
    """

    plane: Plane
    cell: int
    size: tuple[int, int]
    image: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.image, self.plane.shape[2]

    def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
        rows, columns = (
            nearest(have, side, span) // self.cell
            for have, side, span in zip(self.size, self.image, (y, x), strict=True)
        )
        first, left = int(rows[0]), int(columns[0])
        part = self.plane.read((first, int(rows[-1]) + 1), (left, int(columns[-1]) + 1))
        return part[(rows - first)[:, None], (columns - left)[None, :]]


@dataclass(frozen=True)
class Operated:
    """A plane with functions of single pixels laid over it, one after the other."""

    plane: Plane
    functions: tuple[Operator, ...]
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.plane.shape[:2], self.channels

    def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
        pixels = self.plane.read(y, x)
        for function in self.functions:
            pixels = function(pixels)
        return pixels


def operated(plane: Plane, functions: Sequence[Operator]) -> Plane:
    """`plane` with `functions` laid over it; they may change the number of channels."""
    if not functions:
        return plane
    channels = Operated(plane, tuple(functions), 0).read((0, 1), (0, 1)).shape[2]
    return Operated(plane, tuple(functions), channels)


def bands(plane: Plane, scratch: Scratch, bytes_per_pixel: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """The plane from top to bottom: first row and pixels of each band of full width; memory is given back between."""
    height, width, channels = plane.shape
    step = scratch.rows(width, 16 * channels if bytes_per_pixel is None else bytes_per_pixel)
    for top in range(0, height, step):
        yield top, plane.read((top, min(height, top + step)), (0, width))
        scratch.release()


def stored(plane: Plane, scratch: Scratch, name: str, dtype: np.dtype | type = np.float32) -> np.memmap:
    """The whole plane computed into a file."""
    array = scratch.array(name, plane.shape, dtype)
    for top, pixels in bands(plane, scratch):
        array[top : top + len(pixels)] = pixels
    return array
