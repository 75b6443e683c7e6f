"""The files and figures of a result: probability, labels, overlay, the objects as a table and as polygons."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np

from worker import files
from worker.heads.decode import score_channel
from worker.job import PreviewJob
from worker.measure import measure_objects
from worker.prepare import finite
from zoo.pixel_scale import Scale

CLASS_COLOUR = "#0072B2"


def table_of(job: PreviewJob, labels: np.ndarray, maps: np.ndarray) -> dict[str, list[Any]]:
    crop, head = job.crop, job.package.head
    area = crop.pixel_size.x_um * crop.pixel_size.y_um if crop.pixel_size else None
    columns = measure_objects(
        labels,
        finite(crop.pixels),
        _channel_names(job),
        maps[..., score_channel(head)],
        origin=(crop.origin.x, crop.origin.y),
        pixel_area_um2=area,
    )
    table = files.rounded(columns)
    return {"id": table.pop("id"), "class": [str(head.get("object", "object"))] * len(columns["id"]), **table}


def _channel_names(job: PreviewJob) -> list[str]:
    """Names for the columns of intensities: colours, or the numbers of the channels in the image."""
    count = job.crop.pixels.shape[2]
    if job.crop.rgb and count == 3:
        return ["red", "green", "blue"]
    chosen = job.source.get("channels")
    return [str(channel) for channel in (chosen if chosen and len(chosen) == count else range(count))]


def summary_of(job: PreviewJob, labels: np.ndarray, scale: Scale) -> dict[str, Any]:
    areas = np.bincount(labels.ravel())[1:]
    size = job.crop.pixel_size
    return {
        "objects": int(areas.size),
        "width": labels.shape[1],
        "height": labels.shape[0],
        "pixel_size_um": {"x": size.x_um, "y": size.y_um} if size else None,
        "head": job.package.head["kind"],
        "scale": round(scale.factor, 6),
        "area_px": {"median": float(np.median(areas)), "mean": round(float(areas.mean()), 3)} if areas.size else None,
        "coverage": round(float(areas.sum() / labels.size), 6),
    }


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
    names = job.package.output_channels
    writer.write("probability.ome.tif", files.write_ome_tiff, planes, names, job.crop.pixel_size)


def write_objects(
    job: PreviewJob, out: Path, labels: np.ndarray, table: dict[str, list[Any]], written: Callable[[str], None]
) -> None:
    """The objects as a table and as polygons."""
    files.write_csv(out / "objects.csv", table)
    written("objects.csv")
    colour = str(job.package.preview.get("colour", CLASS_COLOUR))
    files.write_geojson(out / "objects.geojson", labels, table, colour, (job.crop.origin.x, job.crop.origin.y))
    written("objects.geojson")
