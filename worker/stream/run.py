"""A preview of an image larger than memory, to the same seven files.

The region is read once, in a thread, into a crop's file. Tiles are cut from there, go through the network and come to
rest in a file of maps, while those above them are compressed. Objects are then found and measured window by window.
What is held in memory is bounded by the setting, beside the network and its framework.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scheduler.contract import RESULT_FILES, Progress
from worker import files
from worker.inference import ModelCache, WarmModel
from worker.job import PreviewJob, Run
from worker.manifest import manifest
from worker.pipeline import Busy
from worker.preview import PreviewResult
from worker.rescale import finer_at_model
from worker.result import figures, spot_figures
from worker.stream.boxes import find_boxes
from worker.stream.heads import BOX_KINDS, SPOTS, STAR_CONVEX, region_head
from worker.stream.infer import averaged, empty_maps, listed
from worker.stream.numbering import Numbered, numbered
from worker.stream.objects import Found, write_objects
from worker.stream.overlay import draw, reduction
from worker.stream.planes import Nearest, Plane, Stored, stored
from worker.stream.prepare import Prepared, Resized, fitted, prepared
from worker.stream.reading import ImageRegion, Reader
from worker.stream.regions import find_regions
from worker.stream.scratch import Scratch
from worker.stream.spots import find_counted_spots
from worker.stream.star_convex import find_polygons
from worker.stream.statistics import measures, postprocessed
from worker.stream.tiff import TiledWriter
from zoo.packages import ModelPackage
from zoo.pixel_scale import Scale


@dataclass(frozen=True)
class LabelPlane:
    """Labels as a plane of one channel."""

    labels: Numbered

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.labels.shape, 1

    def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
        return self.labels.read(y, x)[..., None]


class Streamed:
    """One preview while it is streamed; `run` does it."""

    def __init__(
        self,
        package: ModelPackage,
        image: ImageRegion,
        settings: Mapping[str, Any],
        source: Mapping[str, Any],
        scratch: Scratch,
        run: Run,
    ) -> None:
        self.scratch, self.run, self.package = scratch, run, package
        self.reader = Reader(image, scratch)
        self.job = PreviewJob(package, self.reader.crop, settings, source)
        self.shape = image.region.height, image.region.width
        self.writers: list[TiledWriter] = []
        self.probability: TiledWriter | None = None
        self.busy = Busy()

    def stop(self) -> None:
        """End all threads; to be called whatever happened."""
        self.reader.stop()
        for writer in self.writers:
            writer.stop()

    def compute(self, models: ModelCache, out: Path) -> PreviewResult:
        """Write the files of a result into `out`."""
        run, job, scratch = self.run, self.job, self.scratch
        self.reader.start()
        with run.stage("loading"):
            model = models.get(self.package)
        with run.stage("reading"):
            planes = fitted(job, self.reader, run.log)
            if measures(self.package.preprocessing):
                self._wait_for_all()
        with run.stage("enhancing"):
            given = prepared(job, planes, scratch, run.log)
        with run.stage("inferring"):
            made = self._infer(model, given)
        with run.stage("decoding"):
            found = self._decode(made, given)
        with run.stage("drawing"):
            factor = reduction(self.shape, scratch)
            if factor > 1:
                run.log(f"overlay reduced by {factor}")
            files.write_png(out / "overlay.png", draw(job, found, factor, scratch))
            labels = self._write(LabelPlane(found.labels), np.uint16 if len(found.objects) < 2**16 else np.uint32)
        with run.stage("measuring"):
            run.log(f"{found.count} objects")
            write_objects(job, found, out, scratch, lambda share: run.progress("measuring", share))
            labels.finish(out / "labels.ome.tif", ["labels"], job.crop.pixel_size)
            assert self.probability is not None
            self.probability.finish(out / "probability.ome.tif", self.package.output_channels, job.crop.pixel_size)
        return self._finish(found, given.scale, factor, models.device, out)

    def _wait_for_all(self) -> None:
        rows = self.shape[0]
        self.reader.wait(rows, lambda: self.run.progress("reading", self.reader.share))

    def _infer(self, model: WarmModel, given: Prepared) -> Plane | np.ndarray:
        """The maps on the model's pixels, or the rows of a network that lists boxes."""
        if self.package.head["kind"] == "boxes":
            return listed(model, given.planes, self.job, self.run, self.scratch)
        if not self.package.network:
            self.run.progress("inferring", 1, "no network")
            made = given.planes[len(given.planes) // 2]
            return postprocessed(made, self.package.postprocessing, self.scratch, given.reference)
        maps = empty_maps(model, given.planes, self.job, self.scratch)
        operators, plane = self.package.postprocessing, Stored(maps.array)
        if maps.array.shape[:2] != self.shape or measures(operators):
            self.busy = averaged(model, given.planes, maps, self.job, self.run, self.scratch)
            return postprocessed(plane, operators, self.scratch, given.reference)
        # The maps are final where the tiles have passed: they are compressed meanwhile.
        made = postprocessed(plane, operators, self.scratch, given.reference)
        self.probability = self._write(made, np.float32, whole=False)
        self.busy = averaged(model, given.planes, maps, self.job, self.run, self.scratch, self.probability.passed)
        return made

    def _write(self, plane: Plane, dtype: type, *, whole: bool = True) -> TiledWriter:
        """Begin to compress a plane, all of which is final if `whole`."""
        writer = TiledWriter(plane, dtype, self.scratch, f"tiles{len(self.writers)}")
        self.writers.append(writer)
        writer.start()
        if whole:
            writer.passed(self.shape[0])
        return writer

    def _decode(self, made: Plane | np.ndarray, given: Prepared) -> Found:
        job, scratch, run = self.job, self.scratch, self.run
        pixels = given.fitted[len(given.fitted) // 2].pixels
        if self.package.head["kind"] in BOX_KINDS:
            found = find_boxes(job, made, given.scale, self.shape, pixels, scratch)
            self.probability = self._write(found.maps, np.float32)
            return found
        assert not isinstance(made, np.ndarray)
        on_image = self._on_image(made, given.scale)
        if self.probability is None:
            self.probability = self._write(on_image, np.float32)
        if self.package.head["kind"] == SPOTS:
            return find_counted_spots(job, on_image, pixels, scratch, run)
        if self.package.head["kind"] == STAR_CONVEX:
            return find_polygons(job, made, on_image, given.scale, self.shape, pixels, scratch, run)
        # A mask is what the returned map is at the threshold, whatever the grids.
        finer = finer_at_model(given.scale) and self.package.head["kind"] != "probability-mask"
        head = region_head(self.package.head, job.settings, Scale() if finer else given.scale)
        assert head is not None
        regions = find_regions(
            made if finer else on_image, head, scratch, run.log, lambda share: run.progress("decoding", share)
        )
        smallest = int(job.settings["minimum_area_px"])
        labels, objects, ids = numbered(regions.labels, regions.count, self.shape, smallest, scratch)
        return Found(labels, objects, regions.classes[ids - 1], on_image, pixels)

    def _on_image(self, made: Plane, scale: Scale) -> Plane:
        """The maps on the image's pixels."""
        cell, size = int(self.package.head.get("stride", 1)), scale.shape(*self.shape)
        plane = made if cell == 1 else Nearest(made, cell, size, size)
        if plane.shape[:2] == self.shape:
            return plane
        return Stored(stored(Resized(plane, self.shape), self.scratch, "resized maps"))

    def _finish(self, found: Found, scale: Scale, factor: int, device: str, out: Path) -> PreviewResult:
        run = self.run
        covered = sum(int(np.count_nonzero(band)) for _, band in found.labels.bands(self.scratch))
        summary = figures(self.job, self.shape, scale, kinds=found.kinds, areas=found.areas, covered=covered)
        if found.points is not None:
            summary |= spot_figures(found.points, len(found.objects))
        summary |= {"streamed": True, "overlay_reduced_by": factor}
        text = "".join(f"{line}\n" for line in run.lines)
        (out / "log.txt").write_text(text, encoding="utf-8")
        beside = {
            "reading": self.reader.seconds,
            "cutting tiles": self.busy.cutting,
            "network": self.busy.computing,
            "stitching tiles": self.busy.landing,
            "compressing": sum(writer.seconds for writer in self.writers),
        }
        timings = run.timings | {f"{name} (beside)": seconds for name, seconds in beside.items()}
        timings = {name: round(seconds, 4) for name, seconds in timings.items()}
        with self.reader.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.write_json(out / "manifest.json", manifest(self.job, scale, summary, device, timings, sha256))
        return PreviewResult(list(RESULT_FILES), summary, timings)


def run_streamed(
    package: ModelPackage,
    image: ImageRegion,
    settings: Mapping[str, Any],
    source: Mapping[str, Any],
    models: ModelCache,
    out: Path,
    scratch: Scratch,
    report: Callable[[Progress], None],
    log: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> PreviewResult:
    """Compute a preview of `image` and write the files of a result into `out`; other arguments as of `run_preview`.

    Raises `NotStreamable` for what needs the whole region at once, `DiskFull`, and what `run_preview` raises.
    """
    run = Run(report, log, cancelled)
    run.log(f"model {package.id} {package.version}, package {package.sha256}")
    run.log(f"streamed: at most {scratch.memory / 2**20:.0f} MiB at a time")
    streamed = Streamed(package, image, settings, source, scratch, run)
    try:
        return streamed.compute(models, out)
    finally:
        streamed.stop()
