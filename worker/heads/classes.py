"""Masks of several classes: every class has a map, and an object is of one class.

Exclusive classes share a pixel out to the largest of all the network's maps; others are thresholded each by itself,
and where objects of two classes overlap the larger map has the pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from skimage.measure import label

from worker.heads.labels import drop_small


def decode_classes(
    maps: np.ndarray, head: Mapping[str, Any], *, thresholds: Sequence[float], minimum_area: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label the 4-connected pieces of each class.

    Args:
        maps: (y, x, map) float32.
        head: `classes`, each with its `channel`; `exclusive` (default True).
        thresholds: the least probability of each class.
        minimum_area: objects of fewer pixels are dropped.

    Returns:
        labels (y, x) int32 numbered from 1 in scan order, the class (n,) int32 of each, and the map (y, x) float32 of
        each pixel's own class.
    """
    channels = [int(each["channel"]) for each in head["classes"]]
    found = label_exclusive if head.get("exclusive", True) else label_each
    pieces, owners = found(maps, channels, thresholds)
    labels = drop_small(pieces, minimum_area)
    inside = np.flatnonzero(labels)
    classes = np.zeros(int(labels.max(initial=0)), np.int32)
    owner = owners.ravel()[inside]
    classes[labels.ravel()[inside] - 1] = owner
    scores = np.zeros(labels.shape, np.float32)
    scores.ravel()[inside] = maps.reshape(-1, maps.shape[-1])[inside, np.array(channels)[owner]]
    return labels, classes, scores


def label_exclusive(
    maps: np.ndarray, channels: Sequence[int], thresholds: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Pieces (y, x) and the class (y, x) of each pixel inside, the class being the largest of all maps."""
    winner = maps.argmax(axis=-1)
    classes = np.full(maps.shape[:2], -1, np.int32)
    for index, channel in enumerate(channels):
        classes[(winner == channel) & (maps[..., channel] >= thresholds[index])] = index
    return label(classes + 1, background=0, connectivity=1), classes


def label_each(maps: np.ndarray, channels: Sequence[int], thresholds: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """As `label_exclusive`, each class by itself; a piece of which another class takes a part stays one piece."""
    pieces = np.zeros(maps.shape[:2], np.int64)
    classes = np.full(maps.shape[:2], -1, np.int32)
    highest = np.full(maps.shape[:2], -np.inf, np.float32)
    count = 0
    for index, channel in enumerate(channels):
        inside = maps[..., channel] >= thresholds[index]
        own = label(inside, connectivity=1)
        # Of equal maps the class that is named first has the pixel.
        taken = inside & (maps[..., channel] > highest)
        pieces[taken] = own[taken] + count
        classes[taken] = index
        highest[taken] = maps[..., channel][taken]
        count += int(own.max(initial=0))
    return pieces, classes
