"""A preview: one model on one region, from the crop's pixels to the seven files of a result.

read, enhance, rescale, normalise, infer in tiles, decode, draw, measure, write. The same inputs give the same bytes
in every file but the manifest's timings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scheduler.contract import RESULT_FILES, Progress
from worker import files
from worker.enhance import enhance
from worker.heads.decode import decode, score_channel
from worker.inference import ModelCache, WarmModel
from worker.manifest import manifest
from worker.measure import measure_objects
from worker.normalise import apply_operators
from worker.render import draw_overlay
from worker.rescale import to_shape
from worker.variations import variations
from zoo.channel_fit import apply, fit_channels
from zoo.display import to_display
from zoo.errors import ZooscopeError
from zoo.images import Crop
from zoo.packages import ModelPackage
from zoo.pixel_scale import Scale, scale_to_model

__all__ = ["Cancelled", "ModelCache", "PreviewJob", "PreviewResult", "run_preview"]

CLASS_COLOUR = "#0072B2"
# Where a stage begins in the whole, as far as progress is told.
BEGINS = {"loading": 0.0, "reading": 0.1, "enhancing": 0.12, "inferring": 0.15, "decoding": 0.85, "drawing": 0.91,
          "measuring": 0.95}  # fmt: skip


class Cancelled(ZooscopeError):
    """The job was cancelled while it ran: nothing is to be posted."""

    code = "cancelled"
    status = 410


@dataclass(frozen=True)
class PreviewJob:
    """`settings` as `zoo.preview_settings.resolve` gives them; `source` tells where the crop was taken from (roi,
    plane, channels, rgb, image_name, image_sha256), of which only `roi` has a part in the computing.
    """

    package: ModelPackage
    crop: Crop
    settings: Mapping[str, Any]
    source: Mapping[str, Any]


@dataclass(frozen=True)
class PreviewResult:
    files: list[str]
    summary: dict[str, Any]
    timings: dict[str, float]


@dataclass
class _Run:
    """The talking side of one preview: progress, log, cancellation, timings."""

    report: Callable[[Progress], None]
    tell: Callable[[str], None]
    cancelled: Callable[[], bool]
    timings: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def log(self, line: str) -> None:
        self.lines.append(line)
        self.tell(line)

    def progress(self, stage: str, share: float = 0.0, message: str = "") -> None:
        if self.cancelled():
            raise Cancelled("The job was cancelled.")
        ends = [begin for begin in BEGINS.values() if begin > BEGINS[stage]]
        fraction = BEGINS[stage] + share * (min(ends, default=1.0) - BEGINS[stage])
        self.report(Progress(stage, round(fraction, 4), message))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name)
        started = time.perf_counter()
        yield
        self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - started


def run_preview(
    job: PreviewJob,
    models: ModelCache,
    out: Path,
    report: Callable[[Progress], None],
    log: Callable[[str], None],
    cancelled: Callable[[], bool],
    written: Callable[[str], None] = lambda name: None,
) -> PreviewResult:
    """Compute a preview and write the files of `RESULT_FILES` into the folder `out`.

    `report` is told of every stage and of every batch of tiles; `cancelled` is asked as often; `written` is told, from
    any thread, the name of a file that is whole and will not change. Raises `Cancelled` and the typed errors of the
    stages; what `out` then holds is no result.
    """
    run = _Run(report, log, cancelled)
    package, crop = job.package, job.crop
    height, width = crop.pixels.shape[:2]
    run.log(f"model {package.id} {package.version}, package {package.sha256}")
    with run.stage("loading"):
        model = models.get(package)
    with run.stage("reading"):
        plan = fit_channels(crop.rgb, crop.pixels.shape[2], None, package.channels, package.grey_to_rgb)
        run.log(f"region {width} x {height} pixels, {crop.pixels.dtype}: {plan.text}")
        plane = apply(plan, _finite(crop.pixels))
    with run.stage("enhancing"):
        plane, scale = _prepared(job, plane, run.log)
    with run.stage("inferring"):
        maps = apply_operators(_averaged(model, plane, job.settings, run), package.postprocessing)
    with ThreadPoolExecutor(2, "write") as pool:
        writer = _Writer(out, pool, written)
        if not scale.changes:
            # The maps are final: they are compressed while objects are sought.
            _write_probability(writer, job, maps)
        with run.stage("decoding"):
            labels, maps = decode(maps, package.head, job.settings, scale, (height, width))
        with run.stage("drawing"):
            writer.write("overlay.png", files.write_png, draw_overlay(to_display(crop.pixels, crop.rgb), labels))
            if scale.changes:
                _write_probability(writer, job, maps)
            writer.write("labels.ome.tif", files.write_ome_tiff, files.label_image(labels), ["labels"], crop.pixel_size)
        with run.stage("measuring"):
            table = _table(job, labels, maps)
            run.log(f"{len(table['id'])} objects")
            _write_objects(job, out, labels, table, written)
            writer.wait()
    summary = _summary(job, labels, scale)
    text = "".join(f"{line}\n" for line in run.lines)
    (out / "log.txt").write_text(text, encoding="utf-8")
    timings = {name: round(seconds, 4) for name, seconds in run.timings.items()}
    files.write_json(out / "manifest.json", manifest(job, scale, summary, models.device, timings))
    return PreviewResult(list(RESULT_FILES), summary, timings)


def _finite(pixels: np.ndarray) -> np.ndarray:
    """Pixels without a number, as some microscopes mark what they did not see, become the darkest there is."""
    if pixels.dtype.kind != "f":
        return pixels
    good = np.isfinite(pixels)
    if good.all():
        return pixels
    return np.where(good, pixels, pixels[good].min() if good.any() else 0)


def _prepared(job: PreviewJob, plane: np.ndarray, log: Callable[[str], None]) -> tuple[np.ndarray, Scale]:
    """Enhanced, resized and normalised: what the network is given, (y, x, channel) float32."""
    package, settings = job.package, job.settings
    if settings["enhancement"] == "cdeep3m2":
        plane = enhance(plane)
        log("enhanced: clip, total variation, clip")
    scale = scale_to_model(
        job.crop.pixel_size, package.pixel_size_um, nominal=package.pixel_size_nominal, rescale=settings["rescale"]
    )
    if scale.changes:
        shape = scale.shape(*plane.shape[:2])
        plane = to_shape(plane.astype(np.float32), shape)
        log(f"resized by {scale.factor:.4g} to {shape[1]} x {shape[0]} pixels of {package.pixel_size_um:g} µm")
    return apply_operators(plane, package.preprocessing).astype(np.float32, copy=False), scale


def _averaged(model: WarmModel, plane: np.ndarray, settings: Mapping[str, Any], run: _Run) -> np.ndarray:
    """The network's maps (y, x, map) averaged over the variations."""
    chosen = variations(settings["variations"])
    mean: np.ndarray | None = None
    for index, variation in enumerate(chosen):

        def step(done: int, tiles: int, index: int = index) -> None:
            share = (index + done / tiles) / len(chosen)
            told = f"tile {done} of {tiles}" + (f", variation {index + 1} of {len(chosen)}" if len(chosen) > 1 else "")
            run.progress("inferring", share, told)

        turned = np.ascontiguousarray(variation.apply(plane))
        maps = model.predict(turned, step, run.log, tile=settings["tile_px"], batch=settings["batch"])
        maps = variation.undo(maps)
        mean = maps if mean is None else mean + maps
    assert mean is not None
    return mean if len(chosen) == 1 else mean / np.float32(len(chosen))


def _table(job: PreviewJob, labels: np.ndarray, maps: np.ndarray) -> dict[str, list[Any]]:
    crop, head = job.crop, job.package.head
    area = crop.pixel_size.x_um * crop.pixel_size.y_um if crop.pixel_size else None
    columns = measure_objects(
        labels,
        _finite(crop.pixels),
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


def _summary(job: PreviewJob, labels: np.ndarray, scale: Scale) -> dict[str, Any]:
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


class _Writer:
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


def _write_probability(writer: _Writer, job: PreviewJob, maps: np.ndarray) -> None:
    planes = np.ascontiguousarray(np.moveaxis(maps, -1, 0))
    names = job.package.output_channels
    writer.write("probability.ome.tif", files.write_ome_tiff, planes, names, job.crop.pixel_size)


def _write_objects(
    job: PreviewJob, out: Path, labels: np.ndarray, table: dict[str, list[Any]], written: Callable[[str], None]
) -> None:
    """The objects as a table and as polygons."""
    files.write_csv(out / "objects.csv", table)
    written("objects.csv")
    colour = str(job.package.preview.get("colour", CLASS_COLOUR))
    files.write_geojson(out / "objects.geojson", labels, table, colour, (job.crop.origin.x, job.crop.origin.y))
    written("objects.geojson")
