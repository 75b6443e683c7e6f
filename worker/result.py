"""The files and figures of a result: probability, labels, overlay, the objects as a table and as polygons."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np

from worker import files
from worker.geojson import write_geojson
from worker.heads.decoded import Decoded, Points
from worker.job import PreviewJob
from worker.table import Table, head_classes
from zoo.head_classes import shape_of
from zoo.pixel_scale import Scale


def summary_of(job: PreviewJob, found: Decoded, scale: Scale) -> dict[str, Any]:
    """The result in figures: how many of which class, how large, how much of the region they cover."""
    covered = np.bincount(found.labels.ravel())
    areas = covered[1:] if found.boxes is None else (found.boxes.xyxy[:, 2:] - found.boxes.xyxy[:, :2]).prod(axis=1)
    pixels = found.labels.size - int(covered[0])
    summary = figures(job, found.labels.shape, scale, kinds=found.kinds(), areas=areas, covered=pixels)
    return summary if found.points is None else summary | spot_figures(found.points, len(found.classes))


def figures(
    job: PreviewJob, shape: tuple[int, ...], scale: Scale, *, kinds: np.ndarray, areas: np.ndarray, covered: int
) -> dict[str, Any]:
    """A summary of objects in an image of `shape` (y, x): their classes `kinds` and `areas` (n,), and how many pixels
    they cover.
    """
    size, head, classes = job.crop.pixel_size, job.package.head, head_classes(job)
    # A class of which nothing was found is counted, too.
    counts = np.bincount(kinds, minlength=len(classes))
    return {
        "objects": len(kinds),
        "shape": shape_of(head),
        "classes": {each.name: int(counts[index]) for index, each in enumerate(classes)},
        "width": shape[1],
        "height": shape[0],
        "pixel_size_um": {"x": size.x_um, "y": size.y_um} if size else None,
        "head": head["kind"],
        "scale": round(scale.factor, 6),
        "area_px": _median_and_mean(areas),
        "coverage": round(covered / (shape[0] * shape[1]), 6),
    }


def spot_figures(points: Points, cells: int) -> dict[str, Any]:
    """What a summary says of spots in so many cells besides."""
    counts = np.bincount(points.parent, minlength=cells + 1)
    return {
        "spots": len(points),
        "cells": cells,
        "spots_outside_cells": int(counts[0]) if cells else None,
        "spots_per_cell": _median_and_mean(counts[1:]),
    }


def _median_and_mean(values: np.ndarray) -> dict[str, float] | None:
    if not values.size:
        return None
    return {"median": round(float(np.median(values)), 3), "mean": round(float(values.mean(dtype=np.float64)), 3)}


class Writer:
    """Writes files beside other work, and tells of each that is whole."""

    def __init__(self, out: Path, pool: Executor, written: Callable[[str], None]) -> None:
        self._out, self._pool, self._written = out, pool, written
        self._writing: list[Future[None]] = []

    def write(self, name: str, write: Callable[..., None], *what: Any) -> None:
        def run() -> None:
            write(self._out / name, *what)
            self._written(name)

        self._writing.append(self._pool.submit(run))

    def wait(self) -> None:
        """Wait for all of them; raises what the first that failed raised."""
        for each in self._writing:
            each.result()


def write_probability(writer: Writer, job: PreviewJob, maps: np.ndarray) -> None:
    planes = np.ascontiguousarray(np.moveaxis(maps, -1, 0))
    # A network that lists boxes has columns in place of maps.
    names = ["score"] if job.package.head["kind"] == "boxes" else job.package.output_channels
    writer.write("probability.ome.tif", files.write_ome_tiff, planes, names, job.crop.pixel_size)


def write_objects(job: PreviewJob, out: Path, found: Decoded, table: Table, written: Callable[[str], None]) -> None:
    """The objects as a table and as polygons, rectangles or points."""
    files.write_csv(out / "objects.csv", table)
    written("objects.csv")
    origin = (job.crop.origin.x, job.crop.origin.y)
    write_geojson(out / "objects.geojson", found, table, head_classes(job), origin)
    written("objects.geojson")
