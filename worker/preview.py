"""A preview: one model on one region, from the crop's pixels to the seven files of a result.

read, enhance, rescale, normalise, infer in tiles, decode, draw, measure, write. The same inputs give the same bytes
in every file but the manifest's timings.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.contract import RESULT_FILES, Progress
from worker import files
from worker.heads.decode import decode
from worker.inference import ModelCache
from worker.job import Cancelled, PreviewJob, Run
from worker.manifest import manifest
from worker.normalise import apply_operators
from worker.predict import averaged
from worker.prepare import fitted, prepared
from worker.render import draw_found
from worker.result import Writer, summary_of, write_objects, write_probability
from worker.table import head_classes, table_of
from zoo.display import to_display

__all__ = ["Cancelled", "ModelCache", "PreviewJob", "PreviewResult", "run_preview"]


@dataclass(frozen=True)
class PreviewResult:
    files: list[str]
    summary: dict[str, Any]
    timings: dict[str, float]


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
    run = Run(report, log, cancelled)
    package, crop = job.package, job.crop
    height, width = crop.pixels.shape[:2]
    run.log(f"model {package.id} {package.version}, package {package.sha256}")
    with run.stage("loading"):
        model = models.get(package)
    with run.stage("reading"):
        stack = fitted(job, run.log)
    with run.stage("enhancing"):
        stack, scale, reference = prepared(job, stack, run.log)
    with run.stage("inferring"):
        maps = averaged(model, stack, job.settings, run)
        maps = apply_operators(maps, package.postprocessing, reference=reference)
    with ThreadPoolExecutor(2, "write") as pool:
        writer = Writer(out, pool, written)
        final = maps.shape[:2] == (height, width)
        if final:
            # They are compressed while objects are sought.
            write_probability(writer, job, maps)
        with run.stage("decoding"):
            found = decode(maps, package.head, job.settings, scale, (height, width))
        with run.stage("drawing"):
            picture = draw_found(to_display(crop.pixels, crop.rgb), found, head_classes(job))
            writer.write("overlay.png", files.write_png, picture)
            if not final:
                write_probability(writer, job, found.maps)
            labels = files.label_image(found.labels)
            writer.write("labels.ome.tif", files.write_ome_tiff, labels, ["labels"], crop.pixel_size)
        with run.stage("measuring"):
            table = table_of(job, found)
            run.log(f"{len(table['id'])} objects")
            write_objects(job, out, found, table, written)
            writer.wait()
    summary = summary_of(job, found, scale)
    text = "".join(f"{line}\n" for line in run.lines)
    (out / "log.txt").write_text(text, encoding="utf-8")
    timings = {name: round(seconds, 4) for name, seconds in run.timings.items()}
    files.write_json(out / "manifest.json", manifest(job, scale, summary, models.device, timings))
    return PreviewResult(list(RESULT_FILES), summary, timings)
