"""Outlines of labelled objects as polygons on the edges between pixels, holes kept.

Every pixel side between an object and something else is an edge with the object on its right. Where two pixels of an
object meet at a corner only, the outline passes between the other two, so that the rings of a 4-connected piece never
touch themselves and each piece is a valid polygon whose area is its number of pixels.
"""

from __future__ import annotations

import numpy as np
from skimage.measure import label

Ring = np.ndarray  # (corner, 2) int64 of x, y, the first corner again at the end
Polygon = list[Ring]  # the outer ring, then its holes

EAST, SOUTH, WEST, NORTH = range(4)


def trace_polygons(labels: np.ndarray) -> list[list[Polygon]]:
    """For each of the labels 1..n of (y, x) int32 its polygons, one for each 4-connected piece, in scan order.

    Coordinates are pixel corners: the pixel (0, 0) covers x and y from 0 to 1.
    """
    pieces = label(labels, background=0, connectivity=1)
    found: list[list[Polygon]] = [[] for _ in range(int(labels.max(initial=0)))]
    owner = np.zeros(int(pieces.max(initial=0)) + 1, np.int64)
    owner[pieces.ravel()] = labels.ravel()
    polygons: dict[int, Polygon] = {}
    for piece, ring in _rings(pieces):
        # The leftmost of a piece's topmost edges belongs to its outer ring, and rings are found in that order.
        polygons.setdefault(piece, []).append(ring)
    for piece in sorted(polygons):
        found[owner[piece] - 1].append(polygons[piece])
    return found


def _edges(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Piece, start corner (index into a grid of width + 1 corners a row) and direction of every edge."""
    framed = np.pad(pieces, 1)
    corners = pieces.shape[1] + 1
    found = []
    for before, after, into_after, into_before, step in (
        (framed[:-1, 1:-1], framed[1:, 1:-1], EAST, WEST, 1),
        (framed[1:-1, :-1], framed[1:-1, 1:], NORTH, SOUTH, corners),
    ):
        y, x = np.nonzero(before != after)
        corner = y * corners + x
        one, other = before[y, x].astype(np.int64), after[y, x].astype(np.int64)
        # Right of an edge eastwards lies the pixel below it, right of one northwards the pixel to its right.
        shift = step if into_after == NORTH else 0
        found.append((other, corner + shift, into_after))
        found.append((one, corner + step - shift, into_before))
    piece = np.concatenate([owner for owner, _, _ in found])
    start = np.concatenate([corner for _, corner, _ in found])
    direction = np.concatenate([np.full(owner.size, way) for owner, _, way in found])
    piece, start, direction = piece[piece > 0], start[piece > 0], direction[piece > 0]
    order = np.lexsort((direction, start, piece))
    return piece[order], start[order], direction[order]


def _rings(pieces: np.ndarray) -> list[tuple[int, Ring]]:
    piece, start, direction = _edges(pieces)
    if not piece.size:
        return []
    corners = pieces.shape[1] + 1
    end = start + np.array([1, corners, -1, -corners])[direction]
    total = corners * (pieces.shape[0] + 1)
    keys = piece * total + start
    following = np.searchsorted(keys, piece * total + end)
    # Two edges of a piece leave from a corner where its pixels meet diagonally: the one to the left is taken.
    twofold = (following + 1 < keys.size) & (keys[np.minimum(following + 1, keys.size - 1)] == keys[following])
    following += twofold & (direction[following] != (direction - 1) % 4)
    turns = direction[following] != direction
    y, x = np.divmod(end, corners)
    return _walk(following.tolist(), turns.tolist(), piece.tolist(), x.tolist(), y.tolist())


def _walk(
    following: list[int], turns: list[bool], piece: list[int], x: list[int], y: list[int]
) -> list[tuple[int, Ring]]:
    seen = bytearray(len(following))
    rings = []
    for first in range(len(following)):
        if seen[first]:
            continue
        ring, edge = [], first
        while not seen[edge]:
            seen[edge] = 1
            if turns[edge]:
                ring.append((x[edge], y[edge]))
            edge = following[edge]
        ring.append(ring[0])
        rings.append((piece[first], np.array(ring)))
    return rings
