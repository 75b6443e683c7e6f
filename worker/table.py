"""The table of a result's objects: the same first columns for every head, then the measures of the kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from worker import files
from worker.heads.decoded import Decoded
from worker.job import PreviewJob
from worker.measure import measure_objects
from worker.measure_found import measure_boxes, measure_points
from worker.prepare import finite
from zoo.head_classes import HeadClass, classes_of

Table = dict[str, list[Any]]
# Spots per this many pixels, where the image's pixel size is not known.
PER_PIXELS = 1000


def head_classes(job: PreviewJob) -> tuple[HeadClass, ...]:
    """The classes of the job's model, with the model's colour if it has one."""
    return classes_of(job.package.head, job.package.preview.get("colour"))


def table_of(job: PreviewJob, found: Decoded, spots: np.ndarray | None = None) -> Table:
    """Columns of the table, decimals as they are written; None where a column does not apply to a row.

    Rows are regions or boxes in the order of their labels, then spots; `id` counts them from 1. `spots` (n,) are how
    many lie in each region, where these are not all among what was found.
    """
    classes = head_classes(job)
    parts = _parts(job, found, spots)
    columns = list(dict.fromkeys(name for part in parts for name in part))
    names = [classes[kind].name for kind in found.kinds().tolist()]
    table: Table = {"id": list(range(1, len(names) + 1)), "class": names}
    for name in columns:
        table[name] = [value for part in parts for value in part.get(name) or [None] * len(part["score"])]
    return table


def _parts(job: PreviewJob, found: Decoded, counts: np.ndarray | None) -> list[Table]:
    pixels, names = finite(job.crop.pixels), _channel_names(job)
    size, origin = job.crop.pixel_size, (job.crop.origin.x, job.crop.origin.y)
    if found.boxes is not None:
        return [files.rounded(measure_boxes(found.boxes, pixels, names, origin=origin, pixel_size=size))]
    parts: list[Mapping[str, np.ndarray]] = []
    area = size.x_um * size.y_um if size else None
    if found.scores is not None:
        regions = measure_objects(found.labels, pixels, names, found.scores, origin=origin, pixel_area_um2=area)
        del regions["id"]
        parts.append(regions if found.points is None else regions | _counts(regions, found, counts))
    if found.points is not None:
        channel = min(int(job.package.head.get("channel", 0)), pixels.shape[2] - 1)
        spots = measure_points(found.points, pixels, names, channel, origin=origin, pixel_size=size)
        if found.scores is not None:
            spots["cell"] = found.points.parent
        parts.append(spots)
    return [_blank(files.rounded(part)) for part in parts]


def _counts(regions: Mapping[str, np.ndarray], found: Decoded, spots: np.ndarray | None) -> dict[str, np.ndarray]:
    """How many spots lie in each cell, and how densely."""
    assert found.points is not None
    if spots is None:
        many = len(found.classes) + 1
        spots = np.bincount(found.points.parent, minlength=many)[1:many]
    if "area_um2" in regions:
        return {"spots": spots, "spots_per_um2": spots / regions["area_um2"]}
    return {"spots": spots, f"spots_per_{PER_PIXELS}_px": spots / regions["area_px"] * PER_PIXELS}


def _blank(part: Table) -> Table:
    """A spot outside every cell has no cell rather than the cell 0."""
    return part | ({"cell": [cell or None for cell in part["cell"]]} if "cell" in part else {})


def _channel_names(job: PreviewJob) -> list[str]:
    """Names for the columns of intensities: colours, or the numbers of the channels in the image."""
    count = job.crop.pixels.shape[2]
    if job.crop.rgb and count == 3:
        return ["red", "green", "blue"]
    chosen = job.source.get("channels")
    return [str(channel) for channel in (chosen if chosen and len(chosen) == count else range(count))]
