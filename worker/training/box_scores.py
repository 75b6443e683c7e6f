"""Scores of boxes against ground truth: average precision at an intersection over union (Everingham et al. 2010)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.heads.boxes import Boxes, overlap_share


def average_precision(truth: Sequence[np.ndarray], found: Sequence[Boxes], overlap: float = 0.5) -> float:
    """The area under precision over recall of one class, interpolated at all points.

    Boxes of all images are taken best first; one is right when the true box that it overlaps most is overlapped by
    at least `overlap` and not taken yet.

    Args:
        truth: for each image (n, 4) boxes, left, top, right, bottom.
        found: for each image the boxes found, of one class.
        overlap: the least intersection over union of a hit.
    """
    total = sum(len(boxes) for boxes in truth)
    if not total:
        return 0.0
    scores, hits = [], []
    for true, boxes in zip(truth, found, strict=True):
        boxes, taken = boxes.ordered(), np.zeros(len(true), bool)
        for box, score in zip(boxes.xyxy, boxes.score, strict=True):
            shares = overlap_share(true.astype(np.float64), box) if len(true) else np.zeros(0)
            best = int(shares.argmax()) if len(true) else -1
            hit = best >= 0 and shares[best] >= overlap and not taken[best]
            if hit:
                taken[best] = True
            scores.append(float(score))
            hits.append(hit)
    right = np.cumsum(np.array(hits, float)[np.argsort(-np.array(scores), kind="stable")])
    precision = right / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(right / total, prepend=0.0) * envelope).sum())


def scores_of_classes(truth: Sequence[Boxes], found: Sequence[Boxes], kinds: int, overlap: float = 0.5) -> list[float]:
    """The average precision of each of `kinds` classes over the images."""
    return [
        average_precision(
            [boxes.xyxy[boxes.kind == kind] for boxes in truth],
            [boxes[boxes.kind == kind] for boxes in found],
            overlap,
        )
        for kind in range(kinds)
    ]
