"""Boxes as labels: each box's pixels bear its number."""

from __future__ import annotations

import numpy as np


def pixel_spans(xyxy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(n, 4) int64: left, top, right, bottom of the pixels whose middles lie in each box, at least one of them, within
    a plane of `shape` (y, x)."""
    height, width = shape
    first = np.clip(np.ceil(xyxy[:, :2].astype(np.float64) - 0.5), 0, [width - 1, height - 1])
    last = np.clip(np.ceil(xyxy[:, 2:].astype(np.float64) - 0.5), first + 1, [width, height])
    return np.concatenate([first, last], axis=1).astype(np.int64)


def paint(xyxy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(y, x) int32 of boxes (n, 4), numbered from 1 in their order, the first on top."""
    labels = np.zeros(shape, np.int32)
    paint_into(labels, xyxy)
    return labels


def paint_into(labels: np.ndarray, xyxy: np.ndarray) -> None:
    """As `paint`, into (y, x) int32 of zeros."""
    spans = pixel_spans(xyxy, (labels.shape[0], labels.shape[1])).tolist()
    for number in range(len(spans), 0, -1):
        left, top, right, bottom = spans[number - 1]
        labels[top:bottom, left:right] = number
