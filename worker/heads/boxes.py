"""Boxes: what detectors find, non-maximum suppression, and putting the boxes of overlapping tiles together.

Suppression is greedy and within a class (Felzenszwalb et al. 2010): a box goes when one of a higher score overlaps it
by more than a share of their union. Boxes are ordered by score, class and place, so equal scores have one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from worker.tiles import Grid, Tile

CORNERS = ("x_min", "y_min", "x_max", "y_max")
# Two tiles may place the same object a little apart: one whose centre is this close to a seam is taken from both.
SEAM_PX = 2.0
# Boxes that agree so far are one object seen twice, whatever overlap is allowed.
SAME_OVERLAP = 0.9


@dataclass(frozen=True)
class Boxes:
    """Boxes of one plane: `xyxy` (n, 4) float32, left, top, right, bottom in pixels, where pixel i covers i to i + 1;
    `score` (n,) float32 in 0..1; `kind` (n,) int32, an index into the head's classes.
    """

    xyxy: np.ndarray
    score: np.ndarray
    kind: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, chosen: np.ndarray) -> Boxes:
        """The boxes that a mask or an array of indices names."""
        return Boxes(self.xyxy[chosen], self.score[chosen], self.kind[chosen])

    @staticmethod
    def empty() -> Boxes:
        return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))

    @staticmethod
    def joined(parts: Iterable[Boxes]) -> Boxes:
        """All boxes of `parts`, one after the other."""
        parts = [Boxes.empty(), *parts]
        return Boxes(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("xyxy", "score", "kind")))

    def ordered(self) -> Boxes:
        """Best first; of equal scores by class, top, left, bottom, right: an order that no input order changes."""
        left, top, right, bottom = self.xyxy.T
        return self[np.lexsort((right, bottom, left, top, self.kind, -self.score))]

    def centres(self) -> np.ndarray:
        """(n, 2) float32: x, y."""
        return (self.xyxy[:, :2] + self.xyxy[:, 2:]) / 2

    def clipped(self, shape: tuple[int, int]) -> Boxes:
        """Inside a plane of `shape` (y, x); boxes of which nothing is left are dropped."""
        height, width = shape
        limits = np.array([width, height, width, height], np.float32)
        inside = Boxes(np.clip(self.xyxy, 0, limits), self.score, self.kind)
        return inside[(inside.xyxy[:, 2] > inside.xyxy[:, 0]) & (inside.xyxy[:, 3] > inside.xyxy[:, 1])]


def overlap_share(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4) with boxes (..., 4), broadcast; 0 where both are empty."""
    corner = np.maximum(one[..., :2], other[..., :2])
    sides = np.maximum(np.minimum(one[..., 2:], other[..., 2:]) - corner, 0).astype(np.float64)
    shared = sides[..., 0] * sides[..., 1]
    union = _areas(one) + _areas(other) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _areas(xyxy: np.ndarray) -> np.ndarray:
    sides = np.maximum(xyxy[..., 2:].astype(np.float64) - xyxy[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def nms(boxes: Boxes, overlap: float) -> Boxes:
    """The boxes that no better one of their class overlaps by more than `overlap` (intersection over union, 0..1),
    ordered by score.
    """
    boxes = boxes.ordered()
    keep = np.ones(len(boxes), bool)
    for kind in np.unique(boxes.kind):
        members = np.flatnonzero(boxes.kind == kind)
        worse_of = _rivals(boxes.xyxy[members], overlap)
        for rank, member in enumerate(members):
            if keep[member] and rank in worse_of:
                keep[members[worse_of[rank]]] = False
    return boxes[keep]


def _rivals(xyxy: np.ndarray, overlap: float) -> dict[int, np.ndarray]:
    """For the index of a box, those of the later boxes that overlap it by more than `overlap`.

    Two boxes share at most the smaller side: an intersection over union above t needs centres closer than 1 - t of
    the longer side, so that only neighbours have to be compared.
    """
    if len(xyxy) < 2:
        return {}
    reach = (1 - overlap) * float((xyxy[:, 2:] - xyxy[:, :2]).max()) * 1.0001
    centres = (xyxy[:, :2].astype(np.float64) + xyxy[:, 2:]) / 2
    pairs = KDTree(centres).query_pairs(max(reach, 0.0), p=np.inf, output_type="ndarray")
    pairs = pairs[overlap_share(xyxy[pairs[:, 0]], xyxy[pairs[:, 1]]) > overlap]
    better, worse = pairs.min(axis=1), pairs.max(axis=1)
    order = np.lexsort((worse, better))
    better, worse = better[order], worse[order]
    starts = np.flatnonzero(np.diff(better, prepend=-1))
    return dict(zip(better[starts].tolist(), np.split(worse, starts[1:]), strict=True)) if len(pairs) else {}


def boxes_from_rows(rows: np.ndarray, head: Mapping[str, Any], threshold: float | None = None) -> Boxes:
    """The boxes that a network lists itself.

    Args:
        rows: (n, column) float32, in pixels of what the network was given; rows that fill up the list score below 0.
        head: `columns` names the columns, `classes` and `threshold` as for `decode_grid`.
        threshold: the least score; None: each class's own, else the head's.
    """
    columns = list(head["columns"])
    score = rows[:, columns.index("score")].astype(np.float32)
    kind = np.zeros(len(rows), np.int32)
    if "class" in columns:
        kind = np.clip(np.rint(rows[:, columns.index("class")]), 0, len(head["classes"]) - 1).astype(np.int32)
    if threshold is None:
        least = np.array([class_threshold(head, index) for index in range(len(head["classes"]))], np.float32)[kind]
    else:
        least = np.full(len(rows), threshold, np.float32)
    xyxy = rows[:, [columns.index(corner) for corner in CORNERS]].astype(np.float32)
    solid = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    return Boxes(xyxy, score, kind)[(score >= least) & (score >= 0) & solid]


def rows_from_boxes(boxes: Boxes, head: Mapping[str, Any]) -> np.ndarray:
    """The rows (n, column) float32 from which `boxes_from_rows` makes these boxes; other columns are 0."""
    columns = list(head["columns"])
    rows = np.zeros((len(boxes), len(columns)), np.float32)
    for index, corner in enumerate(CORNERS):
        rows[:, columns.index(corner)] = boxes.xyxy[:, index]
    rows[:, columns.index("score")] = boxes.score
    if "class" in columns:
        rows[:, columns.index("class")] = boxes.kind
    return rows


def class_threshold(head: Mapping[str, Any], kind: int, default: float = 0.3) -> float:
    """The least score of a class: its own `threshold`, else the head's."""
    classes = head.get("classes") or []
    own = classes[kind].get("threshold") if kind < len(classes) else None
    return float(head.get("threshold", default) if own is None else own)


def merge_tiles(parts: Iterable[tuple[Tile, Boxes]], grid: Grid, overlap: float) -> Boxes:
    """The boxes of a plane from those of its tiles, each in pixels of its tile's window: every object once.

    A tile answers for the boxes whose centre lies in its own part. What lies on a seam is taken from both sides and
    the weaker box goes, as do boxes of a class that overlap by more than `overlap`.
    """
    limits = np.array([grid.shape[1], grid.shape[0]], np.float32)
    own = []
    for tile, found in parts:
        moved = Boxes(found.xyxy + np.array([tile.x, tile.y] * 2, np.float32), found.score, found.kind)
        centres = np.clip(moved.centres(), 0, np.nextafter(limits, 0))
        first = np.array([tile.core_x[0], tile.core_y[0]]) - SEAM_PX
        last = np.array([tile.core_x[1], tile.core_y[1]]) + SEAM_PX
        own.append(moved[((centres >= first) & (centres < last)).all(axis=1)])
    return nms(Boxes.joined(own).clipped(grid.shape), min(overlap, SAME_OVERLAP))
