"""The table and the polygons of objects in an image larger than memory: measured window by window, written in order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from worker.geojson import features
from worker.heads.boxes import Boxes
from worker.heads.decoded import Decoded, Points
from worker.job import PreviewJob
from worker.measure_found import RING_OUTER
from worker.stream.components import Pieces, Window, windows
from worker.stream.heads import BOX_KINDS, SPOTS, score_of
from worker.stream.numbering import Numbered
from worker.stream.planes import Plane
from worker.stream.rows import Rows
from worker.stream.scratch import Scratch
from worker.table import Table, head_classes, table_of
from zoo.roi import Region

HEAD, TAIL = b'{"type":"FeatureCollection","features":[', b"]}"


@dataclass(frozen=True)
class Found:
    """Objects of the whole region: `labels` on the image's pixels, `objects` and `classes` in the order of their
    numbers, `maps` (y, x, map) on the image's pixels, `pixels` the image with a number in every pixel. Where they are
    `boxes`, `objects` are the pixels they cover. `scores` (n,) float32 are their own where no map has them. `points`
    are beside the objects, which then are their cells; these have scores in `score_map` (y, x, 1), None if none are
    sought.
    """

    labels: Numbered
    objects: Pieces
    classes: np.ndarray
    maps: Plane
    pixels: Callable[[tuple[int, int], tuple[int, int]], np.ndarray]
    boxes: Boxes | None = None
    scores: np.ndarray | None = None
    points: Points | None = None
    score_map: Plane | None = None

    @property
    def count(self) -> int:
        """Rows of the table: objects, and points."""
        return len(self.objects) + (0 if self.points is None else len(self.points))

    @property
    def kinds(self) -> np.ndarray:
        """The class of each row of the table, int32; points are class 0."""
        return np.concatenate([self.classes, np.zeros(self.count - len(self.objects), np.int32)])

    @property
    def areas(self) -> np.ndarray:
        """(n,) in pixels; spots have none."""
        if self.boxes is None:
            return self.objects.area
        return (self.boxes.xyxy[:, 2:] - self.boxes.xyxy[:, :2]).prod(axis=1)

    def part(self, group: np.ndarray, window: Window, head: Mapping[str, Any]) -> Decoded:
        """The objects `group`, in ascending order, in the pixels of a window that holds them."""
        top, left, bottom, right = window
        classes = self.classes[group]
        if self.boxes is not None:
            own = self.boxes[group]
            # In double precision the way there and back is exact.
            boxes = Boxes(own.xyxy.astype(np.float64) - [left, top, left, top], own.score, own.kind)
            nothing = np.zeros((bottom - top, right - left), np.int32)
            return Decoded(nothing[..., None], nothing, classes, boxes=boxes)
        labels = self.labels.read((top, bottom), (left, right)) - 1
        place = np.minimum(np.searchsorted(group, labels), group.size - 1)
        own_labels = np.where(group[place] == labels, place + 1, 0).astype(np.int32)
        maps = self.maps.read((top, bottom), (left, right))
        if self.score_map is not None:
            scores = self.score_map.read((top, bottom), (left, right))[..., 0]
            return Decoded(maps, own_labels, classes, scores, points=Points.empty())
        if self.scores is None:
            return Decoded(maps, own_labels, classes, score_of(head, maps, own_labels, classes))
        scores = np.concatenate([np.zeros(1, np.float32), self.scores[group]])
        return Decoded(maps, own_labels, classes, scores[own_labels])

    def spots_part(self, group: np.ndarray, window: Window) -> Decoded:
        """The points `group` in the pixels of a window that holds all that measuring them looks at, without cells."""
        assert self.points is not None
        top, left, bottom, right = window
        nothing, own = np.zeros((bottom - top, right - left), np.int32), self.points[group]
        scores = None if self.score_map is None else nothing.astype(np.float32)
        points = replace(own, xy=own.xy - [left, top])
        return Decoded(nothing[..., None], nothing, np.zeros(0, np.int32), scores, points=points)


@dataclass(frozen=True)
class Part:
    """Rows of the table (n,), from 0, that are measured in a window: the preview of the window alone, what it decodes
    to, and how many spots lie in each of its cells."""

    rows: np.ndarray
    job: PreviewJob
    decoded: Decoded
    spots: np.ndarray | None = None


def parts(job: PreviewJob, found: Found, scratch: Scratch) -> Iterator[Part]:
    """The objects window by window, then the points."""
    counts, head = None, job.package.head
    if found.points is not None:
        counts = np.bincount(found.points.parent, minlength=len(found.objects) + 1)[1:]
    for group, window in windows(found.objects, scratch.window_pixels, every=True):
        own = None if counts is None else counts[group]
        yield Part(group, _seen(job, found, window), found.part(group, window, head), own)
        scratch.release()
    if found.points is None:
        return
    for group, window in windows(_covered(found.points, found.labels.shape), scratch.window_pixels, every=True):
        yield Part(group + len(found.objects), _seen(job, found, window), found.spots_part(group, window))
        scratch.release()


def _seen(job: PreviewJob, found: Found, window: Window) -> PreviewJob:
    """The preview of a window alone."""
    top, left, bottom, right = window
    origin = job.crop.origin
    region = Region(origin.x + left, origin.y + top, right - left, bottom - top)
    pixels = found.pixels((top, bottom), (left, right))
    return replace(job, crop=replace(job.crop, pixels=pixels, origin=region, around=None))


def _covered(points: Points, shape: tuple[int, int]) -> Pieces:
    """The pixels that measuring each spot of an image of `shape` (y, x) looks at, as pieces."""
    far = int(np.ceil(points.radius.max(initial=1) * RING_OUTER)) + 2
    x, y = np.floor(points.xy).astype(np.int64).T
    low, high = np.stack([y - far, x - far], axis=1), np.stack([y + far + 1, x + far + 1], axis=1)
    boxes = np.concatenate([np.maximum(low, 0), np.minimum(high, shape)], axis=1)
    return Pieces(boxes, y * shape[1] + x, np.ones(len(points), np.int64), shape[1])


def write_objects(
    job: PreviewJob, found: Found, out: Path, scratch: Scratch, tick: Callable[[float], None] = lambda share: None
) -> None:
    """Write objects.csv and objects.geojson into the folder `out`; `tick` is told the share of the objects done."""
    count, done = found.count, 0
    table_rows, feature_rows = Rows(scratch.folder / "rows", count), Rows(scratch.folder / "features", count)
    try:
        for part in parts(job, found, scratch):
            table, numbers = table_of(part.job, part.decoded, part.spots), part.rows.tolist()
            table["id"] = (part.rows + 1).tolist()
            for number, line in zip(numbers, _lines(list(table.values())), strict=True):
                table_rows.put(number, line)
            origin = (part.job.crop.origin.x, part.job.crop.origin.y)
            for number, feature in zip(numbers, features(part.decoded, table, head_classes(job), origin), strict=True):
                feature_rows.put(number, json.dumps(feature, separators=(",", ":")).encode())
            done += len(numbers)
            tick(done / count)
        head = b"".join(_lines([[name] for name in empty_table(job, cells=found.score_map is not None)]))
        table_rows.write(out / "objects.csv", head=head, between=b"", tail=b"")
        feature_rows.write(out / "objects.geojson", head=HEAD, between=b",", tail=TAIL)
    finally:
        table_rows.close()
        feature_rows.close()


def empty_table(job: PreviewJob, *, cells: bool) -> Table:
    """The table without a row, for its columns; `cells` says whether spots are counted in some."""
    maps = np.zeros((1, 1, len(job.package.output_channels)), np.float32)
    pixels = np.zeros((1, 1, job.crop.pixels.shape[2]), job.crop.pixels.dtype)
    labels, none = np.zeros((1, 1), np.int32), np.zeros(0, np.int32)
    kind = job.package.head["kind"]
    boxes = Boxes.empty() if kind in BOX_KINDS else None
    points = Points.empty() if kind == SPOTS else None
    scores = maps[..., 0] if points is None or cells else None
    nothing = Decoded(maps, labels, none, scores, boxes=boxes, points=points)
    return table_of(replace(job, crop=replace(job.crop, pixels=pixels, around=None)), nothing)


def _lines(columns: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """The rows of a table as lines of CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in zip(*columns, strict=True):
        writer.writerow(row)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
