"""Regions of maps larger than memory, decoded window by window so that the result is that of the whole.

What a head makes of one connected piece of its foreground does not depend on the other pieces. So the pieces are found
first, and each is decoded in a window that holds all of it, with as much margin as the head's smoothing reaches.

A piece that is too large for a window is worked on by overlapping windows: where a head splits touching objects, an
object is taken from the window in whose middle square its centre lies; where it does not (a mask), the piece is cut at
the squares' borders, and the log says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from worker.stream.components import Pieces, Window, find_pieces, fits, pieces_of, squares, widened, windows
from worker.stream.planes import Plane
from worker.stream.scratch import Scratch, rectangle

Tick = Callable[[float], None]


@dataclass(frozen=True)
class RegionHead:
    """What is known of a head whose objects are connected pieces of a foreground, or lie within them.

    `foreground` gives (y, x) bool of maps (y, x, map), a superset of all objects; `decode` gives labels (y, x) int32
    1..n and the class (n,) int32 of each; `margin` is how far in pixels a map has influence; `splits` says that objects
    are smaller than pieces.
    """

    foreground: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    margin: int
    splits: bool


class Regions:
    """Objects of all windows as they are found: `labels` in a file, numbered as they come, and their classes."""

    def __init__(self, shape: tuple[int, int], scratch: Scratch) -> None:
        self.labels = scratch.array("labels", shape, np.int32)
        self._classes: list[np.ndarray] = []
        self.count = 0

    @property
    def classes(self) -> np.ndarray:
        """(n,) int32, of the objects 1..n."""
        return np.concatenate([np.zeros(0, np.int32), *self._classes])

    def extend(self, classes: np.ndarray) -> int:
        """Count objects of these classes (n,), which the caller paints; the number of the first."""
        self._classes.append(classes)
        self.count += len(classes)
        return self.count - len(classes) + 1

    def paint(self, window: Window, labels: np.ndarray, classes: np.ndarray, where: np.ndarray) -> None:
        """Add the objects of `labels` (y, x), as far as `where` (y, x) bool reaches."""
        top, left, bottom, right = window
        chosen = labels[where]
        present = np.flatnonzero(np.bincount(chosen, minlength=len(classes) + 1)[1:])
        numbers = np.zeros(len(classes) + 1, np.int32)
        numbers[present + 1] = np.arange(self.count + 1, self.count + 1 + present.size)
        self.labels[top:bottom, left:right][where] = numbers[chosen]
        self._classes.append(classes[present])
        self.count += present.size


def find_regions(
    maps: Plane, head: RegionHead, scratch: Scratch, log: Callable[[str], None], tick: Tick = lambda share: None
) -> Regions:
    """The head's objects over the whole of `maps`; `tick` is told the share of the work done."""
    height, width, _ = maps.shape
    regions = Regions((height, width), scratch)
    pieces = find_pieces(_foreground(maps, head, scratch, lambda share: tick(0.3 * share)), width)
    done = 0
    for group, window in windows(pieces, scratch.window_pixels):
        _decode_whole(maps, head, regions, pieces[group], window)
        done += len(group)
        scratch.release()
        tick(0.3 + 0.6 * done / len(pieces))
    rest = pieces[~fits(pieces, scratch.window_pixels)]
    if len(rest):
        _decode_giants(maps, head, regions, rest, scratch, log, tick)
    return regions


def _foreground(maps: Plane, head: RegionHead, scratch: Scratch, tick: Tick) -> Iterator[tuple[int, np.ndarray]]:
    height, width, count = maps.shape
    step = scratch.rows(width, 4 * count + 32)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        yield top, head.foreground(maps.read((top, bottom), (0, width)))
        scratch.release()
        tick(bottom / height)


def _decode_whole(maps: Plane, head: RegionHead, regions: Regions, pieces: Pieces, window: Window) -> None:
    """Decode the pieces, all of which lie in the window; others that show in it are left for theirs."""
    shape = maps.shape[:2]
    top, left, bottom, right = window = widened(window, head.margin, shape)
    part = maps.read((top, bottom), (left, right))
    labels, classes = head.decode(part)
    local, count = ndimage.label(head.foreground(part))
    # A piece is known by its first pixel; one that the window cuts has another there, or none.
    own = np.isin(pieces_of(local, count, top, left, pieces.width).first, pieces.first)
    regions.paint(window, labels, classes, (labels > 0) & np.concatenate([[False], own])[local])


def _decode_giants(
    maps: Plane,
    head: RegionHead,
    regions: Regions,
    giants: Pieces,
    scratch: Scratch,
    log: Callable[[str], None],
    tick: Tick,
) -> None:
    """Decode what is left: the foreground that bears no label yet."""
    side = max(4, int(scratch.window_pixels**0.5))
    margin = side // 4 if head.splits else 0
    side -= 2 * margin
    found = "1 piece" if len(giants) == 1 else f"{len(giants)} pieces"
    log(
        f"{found} of the foreground too large for one window: "
        + (f"decoded in squares of {side} pixels that see {margin} pixels beyond their borders" if head.splits else
           f"cut at every {side} pixels")
    )  # fmt: skip
    first = regions.count + 1
    for square in squares(maps.shape[:2], side):
        if not _touches(square, giants.boxes):
            continue
        window = widened(square, margin, maps.shape[:2])
        top, left, bottom, right = window
        labels, classes = head.decode(maps.read((top, bottom), (left, right)))
        taken = np.array(rectangle(regions.labels, (top, bottom), (left, right)))
        labels = np.where((taken == 0) | (taken >= first), labels, 0)
        if head.splits:
            labels = np.where(_centred(labels, len(classes), window, square)[labels], labels, 0)
        regions.paint(window, labels, classes, (labels > 0) & (taken == 0))
        scratch.release()
        tick(0.9 + 0.1 * bottom / maps.shape[0])


def _touches(square: Window, boxes: np.ndarray) -> bool:
    top, left, bottom, right = square
    return bool(((boxes[:, :2] < [bottom, right]) & (boxes[:, 2:] > [top, left])).all(axis=1).any())


def _centred(labels: np.ndarray, count: int, window: Window, square: Window) -> np.ndarray:
    """(n + 1,) bool: whether the middle of each label's pixels lies in the square; False for 0."""
    inside = np.flatnonzero(labels)
    owners = labels.ravel()[inside]
    area = np.maximum(np.bincount(owners, minlength=count + 1), 1)
    y, x = (np.bincount(owners, place, minlength=count + 1) / area for place in np.divmod(inside, labels.shape[1]))
    y, x = y + window[0], x + window[1]
    good = (y >= square[0]) & (y < square[2]) & (x >= square[1]) & (x < square[3])
    good[0] = False
    return np.asarray(good)
