"""Cutting a plane into tiles whose stitched result equals the untiled one.

The plane is padded once, by reflection, to the network's stride. Tiles are windows of one shape inside that plane,
with origins on the stride, shifted inward at the border: a window meets the network's own border padding only where
the plane ends, exactly as the untiled plane does. Each window gives away a halo on its inner sides, so what is kept
of it never depended on where it was cut. Maps may be coarser than the plane, with a cell every `output_stride` pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Span = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A window of the padded plane with its origin (y, x), and the part of the plane it answers for."""

    y: int
    x: int
    core_y: Span
    core_x: Span

    def cut(self, padded: np.ndarray, window: tuple[int, int]) -> np.ndarray:
        """The window's pixels, a view (window y, window x, channel)."""
        return padded[self.y : self.y + window[0], self.x : self.x + window[1]]

    def stitch(self, maps: np.ndarray, into: np.ndarray, output_stride: int = 1) -> None:
        """Copy the core of the window's `maps` (y, x, channel) to its place in the plane's, on the same grid."""
        part, (top, bottom), (left, right) = self.core(maps, (into.shape[0], into.shape[1]), output_stride)
        into[top:bottom, left:right] = part

    def core(self, maps: np.ndarray, shape: tuple[int, int], output_stride: int = 1) -> tuple[np.ndarray, Span, Span]:
        """The window's own part of its `maps`, and its rows and columns in the plane's of `shape` (y, x)."""
        (top, bottom), (left, right) = (
            (low // output_stride, min(-(-high // output_stride), side))
            for (low, high), side in zip(self.cores, shape, strict=True)
        )
        y, x = self.y // output_stride, self.x // output_stride
        return maps[top - y : max(bottom, top) - y, left - x : max(right, left) - x], (top, bottom), (left, right)

    @property
    def cores(self) -> tuple[Span, Span]:
        return self.core_y, self.core_x


@dataclass(frozen=True)
class Grid:
    """The tiles of a plane of `shape` (y, x), padded to `padded`, all of the shape `window`."""

    shape: tuple[int, int]
    padded: tuple[int, int]
    window: tuple[int, int]
    tiles: tuple[Tile, ...]

    def map_shape(self, output_stride: int = 1) -> tuple[int, int]:
        """(y, x) of the plane's maps; the last cell of a row or column may reach beyond the plane."""
        return map_shape(self.shape, output_stride)


def map_shape(shape: tuple[int, int], output_stride: int = 1) -> tuple[int, int]:
    """(y, x) of the maps of a plane of `shape`."""
    return -(-shape[0] // output_stride), -(-shape[1] // output_stride)


def make_grid(shape: tuple[int, int], *, tile: int | None, stride: int, halo: int) -> Grid:
    """Plan the tiles of a plane.

    Args:
        shape: (y, x) pixels of the plane.
        tile: longest side of a tile's own part, without the halo; None computes the plane in one go.
        stride: the network works on sides that are multiples of this; origins are such multiples too.
        halo: pixels around a tile's own part that are computed and thrown away, at least the receptive field.
    """
    halo = _up(halo, stride)
    padded = (_up(shape[0], stride), _up(shape[1], stride))
    rows, columns = (_cut(side, tile, stride, halo) for side in padded)
    tiles = tuple(
        Tile(y, x, (core_y[0], min(core_y[1], shape[0])), (core_x[0], min(core_x[1], shape[1])))
        for y, core_y in rows[1]
        for x, core_x in columns[1]
    )
    return Grid(shape, padded, (rows[0], columns[0]), tiles)


def _up(value: int, stride: int) -> int:
    return -(-value // stride) * stride


def _cut(side: int, tile: int | None, stride: int, halo: int) -> tuple[int, list[tuple[int, Span]]]:
    """Window length and (origin, core) of each window along one axis of `side` pixels, a multiple of the stride."""
    if tile is None or side <= tile:
        return side, [(0, (0, side))]
    own = max(stride, tile // stride * stride)
    # The first and the last window have one inner side only, so the halo is paid between windows alone.
    count = max(2, -(-(side - 2 * halo) // own))
    window = min(side, _up(-(-(side + (count - 1) * 2 * halo) // count), stride))
    if window == side:
        return side, [(0, (0, side))]
    step = window - 2 * halo
    origins = [min(index * step, side - window) for index in range(count)]
    seams = [0, *(origin + halo for origin in origins[1:]), side]
    return window, [(origin, (seams[index], seams[index + 1])) for index, origin in enumerate(origins)]


def pad_to(plane: np.ndarray, padded: tuple[int, int]) -> np.ndarray:
    """Reflect (y, x, channel) at the bottom and the right to the shape `padded`; the same array if it fits."""
    short = [want - have for want, have in zip(padded, plane.shape[:2], strict=True)]
    if not any(short):
        return plane
    return np.pad(plane, [(0, short[0]), (0, short[1]), (0, 0)], mode="reflect")


def batches(tiles: tuple[Tile, ...], size: int) -> Iterator[tuple[Tile, ...]]:
    """The tiles in groups of at most `size`."""
    for start in range(0, len(tiles), size):
        yield tiles[start : start + size]
