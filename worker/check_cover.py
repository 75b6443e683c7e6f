"""The cover of a model: where most was found on its test image, with the result and without, square and small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

# The standard asks for covers of 1:1 or 2:1 below 500 KB.
MOST_BYTES = 490_000
# Of the picture on the card, the first that is small enough in bytes, and of what of the image it shows.
SIDES = (480, 400, 320, 256)
SHOWN_PX = 640
COVER, BEFORE = "cover.png", "cover-before.png"


def write_covers(folder: Path, overlay: np.ndarray, display: np.ndarray, found: np.ndarray) -> list[str]:
    """Write cover.png of `overlay` and cover-before.png of `display`, the same square of both; returns the names.

    All are of one image, uint8 (y, x[, 3]); `found` (y, x) is not 0 where something was found.
    """
    side = min(*found.shape, SHOWN_PX)
    top, left = richest_square(found != 0, side)
    for name, picture in ((COVER, overlay), (BEFORE, display)):
        (folder / name).write_bytes(_png(picture[top : top + side, left : left + side]))
    return [COVER, BEFORE]


def richest_square(found: np.ndarray, side: int) -> tuple[int, int]:
    """(top, left) of the square in which most pixels of the mask (y, x) are true; the middle one where none is."""
    height, width = found.shape
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = found.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    counts = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    if not counts.any():
        return (height - side) // 2, (width - side) // 2
    top, left = np.unravel_index(int(counts.argmax()), counts.shape)
    return int(top), int(left)


def _png(picture: np.ndarray) -> bytes:
    square = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    for side in SIDES:
        out = io.BytesIO()
        square.resize((side, side), Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            break
    return out.getvalue()
