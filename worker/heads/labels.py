"""Label images: dropping small objects and numbering the rest in scan order."""

from __future__ import annotations

import numpy as np


def drop_small(labels: np.ndarray, minimum_area: int) -> np.ndarray:
    """Renumber (y, x) labels from 1 in scan order, without those of fewer than `minimum_area` pixels; int32."""
    flat = labels.ravel()
    areas = np.bincount(flat)
    keep = areas >= max(1, minimum_area)
    keep[0] = False
    # Assigned backwards, the last index to be written for a label is its first in scan order.
    pixels = np.flatnonzero(flat)[::-1]
    first = np.zeros(areas.size, np.int64)
    first[flat[pixels]] = pixels
    kept = np.flatnonzero(keep)
    kept = kept[np.argsort(first[kept], kind="stable")]
    numbers = np.zeros(areas.size, np.int32)
    numbers[kept] = np.arange(1, kept.size + 1, dtype=np.int32)
    return numbers[labels]
