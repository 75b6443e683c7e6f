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
from worker.stream.components import Pieces, Window, windows
from worker.stream.heads import BOX_KINDS, SPOTS, score_of
from worker.stream.numbering import Numbered
from worker.stream.planes import Plane
from worker.stream.rows import Rows
from worker.stream.scratch import Scratch
from worker.table import Table, head_classes, table_of
from zoo.roi import Region

Part = tuple[np.ndarray, PreviewJob, Decoded]
HEAD, TAIL = b'{"type":"FeatureCollection","features":[', b"]}"


@dataclass(frozen=True)
class Found:
    """Objects of the whole region: `labels` on the image's pixels, `objects` and `classes` in the order of their
    numbers, `maps` (y, x, map) on the image's pixels, `pixels` the image with a number in every pixel. Where they are
    `boxes` or `points`, `objects` are the pixels they cover. `scores` (n,) float32 are their own where no map has them.
    """

    labels: Numbered
    objects: Pieces
    classes: np.ndarray
    maps: Plane
    pixels: Callable[[tuple[int, int], tuple[int, int]], np.ndarray]
    boxes: Boxes | None = None
    scores: np.ndarray | None = None
    points: Points | None = None

    @property
    def areas(self) -> np.ndarray:
        """(n,) in pixels; spots have none."""
        if self.points is not None:
            return np.zeros(0)
        if self.boxes is None:
            return self.objects.area
        return (self.boxes.xyxy[:, 2:] - self.boxes.xyxy[:, :2]).prod(axis=1)

    def part(self, group: np.ndarray, window: Window, head: Mapping[str, Any]) -> Decoded:
        """The objects `group`, in ascending order, in the pixels of a window that holds them."""
        top, left, bottom, right = window
        if self.points is not None:
            spots = self.points[group]
            nothing = np.zeros((bottom - top, right - left), np.int32)
            return Decoded(nothing[..., None], nothing, np.zeros(0, np.int32), points=_moved(spots, left, top))
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
        if self.scores is None:
            return Decoded(maps, own_labels, classes, score_of(head, maps, own_labels, classes))
        scores = np.concatenate([np.zeros(1, np.float32), self.scores[group]])
        return Decoded(maps, own_labels, classes, scores[own_labels])


def _moved(points: Points, left: int, top: int) -> Points:
    return replace(points, xy=points.xy - [left, top])


def parts(job: PreviewJob, found: Found, scratch: Scratch) -> Iterator[Part]:
    """The objects window by window: their indices, the preview of the window alone, and what it decodes to."""
    origin = job.crop.origin
    for group, window in windows(found.objects, scratch.window_pixels, every=True):
        top, left, bottom, right = window
        region = Region(origin.x + left, origin.y + top, right - left, bottom - top)
        pixels = found.pixels((top, bottom), (left, right))
        crop = replace(job.crop, pixels=pixels, origin=region, around=None)
        yield group, replace(job, crop=crop), found.part(group, window, job.package.head)
        scratch.release()


def write_objects(
    job: PreviewJob, found: Found, out: Path, scratch: Scratch, tick: Callable[[float], None] = lambda share: None
) -> None:
    """Write objects.csv and objects.geojson into the folder `out`; `tick` is told the share of the objects done."""
    count, done = len(found.objects), 0
    table_rows, feature_rows = Rows(scratch.folder / "rows", count), Rows(scratch.folder / "features", count)
    try:
        for group, window, decoded in parts(job, found, scratch):
            table = table_of(window, decoded)
            table["id"] = (group + 1).tolist()
            for number, line in zip(group.tolist(), _lines(list(table.values())), strict=True):
                table_rows.put(number, line)
            origin = (window.crop.origin.x, window.crop.origin.y)
            for number, feature in zip(
                group.tolist(), features(decoded, table, head_classes(job), origin), strict=True
            ):
                feature_rows.put(number, json.dumps(feature, separators=(",", ":")).encode())
            done += len(group)
            tick(done / count)
        head = b"".join(_lines([[name] for name in empty_table(job)]))
        table_rows.write(out / "objects.csv", head=head, between=b"", tail=b"")
        feature_rows.write(out / "objects.geojson", head=HEAD, between=b",", tail=TAIL)
    finally:
        table_rows.close()
        feature_rows.close()


def empty_table(job: PreviewJob) -> Table:
    """The table without a row, for its columns."""
    maps = np.zeros((1, 1, len(job.package.output_channels)), np.float32)
    pixels = np.zeros((1, 1, job.crop.pixels.shape[2]), job.crop.pixels.dtype)
    labels, none = np.zeros((1, 1), np.int32), np.zeros(0, np.int32)
    kind = job.package.head["kind"]
    boxes = Boxes.empty() if kind in BOX_KINDS else None
    points = Points.empty() if kind == SPOTS else None
    nothing = Decoded(maps, labels, none, None if points is not None else maps[..., 0], boxes=boxes, points=points)
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
