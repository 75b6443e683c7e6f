"""What every head finds: regions as labels, boxes, or points, with a class for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worker.heads.boxes import Boxes


@dataclass(frozen=True)
class Points:
    """Spots of one plane, in scan order.

    `xy` (n, 2) float64 in pixels, where pixel i covers i to i + 1; `radius` (n,) float64 in pixels; `score` (n,)
    float64 in 0..1; `snr` (n,) float64, the filter's answer over its noise there; `parent` (n,) int32, the label that
    the spot lies in, 0 for none.
    """

    xy: np.ndarray
    radius: np.ndarray
    score: np.ndarray
    snr: np.ndarray
    parent: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, chosen: np.ndarray) -> Points:
        """The points that a mask or an array of indices names."""
        return Points(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @staticmethod
    def empty() -> Points:
        none = np.zeros(0)
        return Points(np.zeros((0, 2)), none, none, none, np.zeros(0, np.int32))


@dataclass(frozen=True)
class Decoded:
    """What a head made of a network's maps.

    Attributes:
        maps: (y, x, map) float32 on the image's pixels.
        labels: (y, x) int32, 0 = nothing: regions, or cells that spots are counted in, numbered from 1 in scan order;
            boxes filled with their numbers, the best on top.
        classes: (n,) int32, an index into the head's classes for each label 1..n; of boxes, for each box.
        scores: (y, x) float32 whose mean over a region is its score; None where no regions are sought.
        boxes: in place of regions, best first.
        points: beside the regions, which then are their cells.
    """

    maps: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    boxes: Boxes | None = None
    points: Points | None = None

    @property
    def count(self) -> int:
        """Rows of the table: regions or boxes, and points."""
        return len(self.classes) + (0 if self.points is None else len(self.points))

    def kinds(self) -> np.ndarray:
        """The class of each row of the table, int32: regions or boxes first, then points, which are class 0."""
        points = 0 if self.points is None else len(self.points)
        return np.concatenate([self.classes, np.zeros(points, np.int32)])
