"""Probability mask: a map and a threshold become a mask, and its 4-connected pieces objects."""

from __future__ import annotations

import numpy as np
from skimage.measure import label

from worker.heads.labels import drop_small


def decode_mask(probability: np.ndarray, *, threshold: float = 0.5, minimum_area: int = 0) -> np.ndarray:
    """Label the pieces of (y, x) float32 `probability` at or above `threshold`.

    Returns:
        (y, x) int32, 0 = background, pieces of at least `minimum_area` pixels numbered from 1 in scan order.
    """
    pieces = label(probability >= threshold, connectivity=1)
    return drop_small(pieces, minimum_area)
