"""Tiles for networks that take one size of input: windows of exactly that size, stitched like any others."""

from __future__ import annotations

from worker.tiles import Grid, Span, Tile


def fixed_grid(shape: tuple[int, int], *, window: tuple[int, int], stride: int, halo: int, cell: int = 1) -> Grid:
    """Plan windows of the shape `window` (y, x) over a plane of `shape` (y, x).

    The plane is padded to at least a window. Origins are multiples of `stride`, seams of `cell`, the pixels from one
    value of the maps to the next; a halo larger than windows can spare is cut down to that.
    """
    (height, rows), (width, columns) = (
        _cut(side, own, stride, halo, cell) for side, own in zip(shape, window, strict=True)
    )
    tiles = tuple(
        Tile(y, x, (top, min(bottom, shape[0])), (left, min(right, shape[1])))
        for y, (top, bottom) in rows
        for x, (left, right) in columns
    )
    return Grid(shape, (height, width), window, tiles)


def _cut(side: int, window: int, stride: int, halo: int, cell: int) -> tuple[int, list[tuple[int, Span]]]:
    """Padded length, and (origin, core) of each window along one axis of `side` pixels."""
    if side <= window:
        return window, [(0, (0, side))]
    # One stride, or the whole of a window that is shorter, is left between the halos.
    halo = min(-(-halo // cell), max(0, window - stride) // 2 // cell) * cell
    step = max(1, (window - 2 * halo) // stride) * stride if window >= stride else window
    count = -(-(side - window) // step) + 1
    padded = window + -(-(side - window) // stride) * stride
    origins = [min(index * step, padded - window) for index in range(count)]
    seams = [0, *(origin + halo for origin in origins[1:]), padded]
    return padded, [(origin, (seams[index], seams[index + 1])) for index, origin in enumerate(origins)]
