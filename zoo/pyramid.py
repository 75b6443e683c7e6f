"""Planes as tiles for a zooming viewer (Deep Zoom levels), from a few decoded planes kept in memory.

Level `max_level` is the plane itself and each level below it half as large, rounded up, down to one pixel.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.display import to_display
from zoo.errors import UserError
from zoo.images import ImageInfo, read_region
from zoo.settings import MIB, Settings

TILE_SIDE = 256
CACHE_BYTES = 512 * MIB


class TileMissing(UserError):
    code = "tile-missing"
    status = 404


class Pyramid:
    """The levels of one plane as shown: uint8, (y, x) or (y, x, 3), largest first."""

    def __init__(self, picture: np.ndarray) -> None:
        self.height, self.width = picture.shape[:2]
        self.max_level = max(self.width, self.height, 1).bit_length()
        if 1 << (self.max_level - 1) >= max(self.width, self.height):
            self.max_level -= 1
        levels = [picture]
        while max(levels[-1].shape[:2]) > 1:
            levels.append(np.asarray(Image.fromarray(levels[-1]).reduce(2)))
        self.levels = levels

    @property
    def size(self) -> int:
        return sum(level.nbytes for level in self.levels)

    def tile(self, level: int, column: int, row: int) -> np.ndarray:
        """Tile `column`, `row` of a Deep Zoom level, at most 256 x 256 pixels; raises `TileMissing`."""
        if not 0 <= level <= self.max_level:
            raise TileMissing(f"There is no level {level}.", f"Levels are 0 to {self.max_level}.")
        picture = self.levels[self.max_level - level]
        part = picture[row * TILE_SIDE : (row + 1) * TILE_SIDE, column * TILE_SIDE : (column + 1) * TILE_SIDE]
        if min(column, row) < 0 or part.size == 0:
            raise TileMissing(f"Level {level} has no tile {column}, {row}.")
        return part

    def thumbnail(self, side: int) -> np.ndarray:
        """The whole plane with its longer side at most `side` pixels."""
        picture = next(level for level in self.levels if max(level.shape[:2]) < 2 * side or level is self.levels[-1])
        image = Image.fromarray(picture)
        image.thumbnail((side, side))
        return np.asarray(image)


class Pyramids:
    """The pyramids used last, at most `maximum_bytes` of them; safe to share among threads."""

    def __init__(self, maximum_bytes: int = CACHE_BYTES) -> None:
        self._maximum_bytes = maximum_bytes
        self._kept: OrderedDict[Hashable, Pyramid] = OrderedDict()
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, draw: Callable[[], np.ndarray]) -> Pyramid:
        """The pyramid under `key`, drawn once however many ask for it at the same time."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            turn = self._building.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                pyramid = Pyramid(draw())
                self._keep(key, pyramid)
            finally:
                with self._lock:
                    self._building.pop(key, None)
        return pyramid

    def _keep(self, key: Hashable, pyramid: Pyramid) -> None:
        with self._lock:
            self._kept[key] = pyramid
            while len(self._kept) > 1 and sum(kept.size for kept in self._kept.values()) > self._maximum_bytes:
                self._kept.popitem(last=False)


def draw_plane(
    path: Path,
    settings: Settings,
    info: ImageInfo,
    plane: int,
    channels: tuple[int, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> np.ndarray:
    """A whole plane in display contrast, which is the same for all its tiles; raises what `read_region` raises."""
    pixels = read_region(path, path.name, settings, None, plane, channels)
    return to_display(pixels, info.rgb and channels in (None, (0, 1, 2)), low, high)
