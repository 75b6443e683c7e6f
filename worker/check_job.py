"""A check: does a package load, do what its author saw, find something on its test image, and how fast is it here.

It runs in the same confined child as a preview and takes the preview's own path. What is wrong with the model is a
report with sentences; an exception is only what is wrong with us: no disk, no memory for anything, a cancelled job.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from scheduler.contract import CHECK_FILES, Progress
from worker import files
from worker.check import Reproduction, compare, reproduces
from worker.check_cover import write_covers
from worker.check_report import FIGURES, LOAD, REPRODUCE, TEST_IMAGE, Report, Step
from worker.check_speed import begin_memory, ert_figures, peak_memory_bytes, time_model
from worker.check_tensors import make_test_tensors, save_test_tensors
from worker.child_failures import short_traceback
from worker.inference import ModelCache, WarmModel
from worker.job import Cancelled, PreviewJob
from worker.manifest import software
from worker.prepare import fitted, prepared
from worker.preview import PreviewResult, run_preview
from zoo.display import to_display
from zoo.errors import Unavailable, ZooscopeError
from zoo.images import Crop
from zoo.package_safety import check_contents
from zoo.packages import ModelPackage, read_package
from zoo.preview_settings import resolve
from zoo.settings import Settings

# Where a stage begins in the whole.
BEGINS = {"loading": 0.0, "reproducing": 0.2, "trying": 0.4, "timing": 0.65}
OURS = (errno.ENOSPC, errno.EFBIG)
# Maps of a head that wants probabilities may be out of 0..1 by as much.
SLACK = 0.05
WANT_PROBABILITIES = ("probability-mask", "watershed-instances", "boundary-cells", "star-convex")


@dataclass(frozen=True)
class CheckJob:
    """`package` is the zip's path, read here so that what is wrong with it is told in the report."""

    package: Path
    crop: Crop
    settings: Mapping[str, Any]
    source: Mapping[str, Any]


@dataclass
class Check:
    """One check while it runs."""

    job: CheckJob
    models: ModelCache
    limits: Settings
    out: Path
    progress: Callable[[str, float, str], None]
    log: Callable[[str], None]
    report: Report = field(default_factory=Report)
    made: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """All steps that can be done."""
        begin_memory()
        self.report.device = self.models.device
        package = self._attempt(LOAD, "loading", self._load)
        if package is not None:
            preview = self._attempt(REPRODUCE, "reproducing", lambda step: self._prepare(step, package))
            if preview is not None:
                self._attempt(TEST_IMAGE, "trying", lambda step: self._try(step, preview))
                self._attempt(FIGURES, "timing", lambda step: self._measure(step, preview))
        self.report.peak_memory_bytes = peak_memory_bytes()

    def _attempt(self, name: str, stage: str, do: Callable[[Step], Any]) -> Any:
        """Do a step; None, and a sentence in the report, when it fails."""
        self.progress(stage, 0.0, "")
        with self.report.step(name) as step:
            try:
                made = do(step)
            except (Cancelled, Unavailable):
                raise
            except ZooscopeError as error:
                step.done(False, error.message, error.hint)
                made = None
            except MemoryError:
                step.done(False, "The model ran out of memory.", "Make the network or its input smaller.")
                made = None
            except Exception as error:
                if isinstance(error, OSError) and error.errno in OURS:
                    raise
                self.log(short_traceback(error))
                lines = str(error).strip().splitlines()
                why = f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
                step.done(False, f"It stopped with an error of the model: {why}", "The log of the check says where.")
                made = None
        self.timings[stage] = round(self.report.steps[name].seconds, 4)
        self.log(f"{name}: {'ok' if step.ok else 'failed'}: {step.sentence}")
        return made

    def _load(self, step: Step) -> ModelPackage:
        package = read_package(self.job.package, self.limits)
        check_contents(package)
        self.log(f"model {package.id} {package.version}, package {package.sha256}")
        started = time.perf_counter()
        self.models.load(package)
        self.report.load_s = round(time.perf_counter() - started, 3)
        weights = "no network: its head alone works" if not package.network else package.weights_format
        step.done(True, f"Loaded in {self.report.load_s:.1f} s ({weights}) on {self.models.device}.")
        return package

    def _prepare(self, step: Step, package: ModelPackage) -> PreviewJob:
        """The model on its test tensors, or test tensors made with it; the job that the next steps take."""
        settings = resolve(dict(self.job.settings), package)
        preview = PreviewJob(package, self.job.crop, settings, self.job.source)
        model = self.models.get(package)
        if not package.test_input or not package.test_output:
            self._make_tensors(step, preview, model)
            return preview
        said = []
        for frames in [None, *package.variant_tests]:
            found = reproduces(package, self.models, frames)
            self.report.difference = _larger(self.report.difference, found.difference)
            said.append((found, f" with {frames} planes" if frames else ""))
        wrong = [(found, which) for found, which in said if not found.agrees]
        if wrong:
            step.done(*_not_reproduced(*wrong[0]))
        else:
            step.done(True, f"The test output is reproduced: {said[0][0].text}.")
        return preview

    def _make_tensors(self, step: Step, preview: PreviewJob, model: WarmModel) -> None:
        given, made = make_test_tensors(preview, model)
        bad = _not_numbers(made)
        if bad:
            step.done(False, *bad)
            return
        # Loaded anew: weights that the file lacks are made at random each time.
        again = make_test_tensors(preview, self.models.load(preview.package))[1]
        same = compare(again, made, preview.package)
        self.report.difference = same.difference
        if not same.agrees:
            step.done(
                False,
                f"The network, loaded twice, does not make the same of the same image: {same.text}.",
                "Its file may lack weights, or it has dropout or noise that must be off: save it again.",
            )
            return
        self.made += save_test_tensors(self.out, given, made)
        self.report.tensors_made = True
        step.done(
            True,
            f"The package brought no test tensors; they were made of a part of the test image: {given.shape} in, "
            f"{made.shape} out.",
        )

    def _try(self, step: Step, preview: PreviewJob) -> None:
        """The real path of a preview, on the test image."""

        def told(progress: Progress) -> None:
            self.progress("trying", progress.fraction, progress.message)

        with tempfile.TemporaryDirectory(dir=self.out) as name:
            folder = Path(name)
            started = time.perf_counter()
            result = run_preview(preview, self.models, folder, told, self.log, lambda: False)
            seconds = time.perf_counter() - started
            self.report.found = result.summary
            self.report.objects = int(result.summary["objects"])
            maps, labels = (tifffile.imread(folder / f"{name}.ome.tif") for name in ("probability", "labels"))
            bad = _not_numbers(maps)
            with Image.open(folder / "overlay.png") as overlay:
                shown = to_display(preview.crop.pixels, preview.crop.rgb)
                self.made += write_covers(self.out, np.asarray(overlay.convert("RGB")), shown, np.squeeze(labels))
            shutil.move(folder / "overlay.png", self.out / "overlay.png")
            self.made.append("overlay.png")
        if bad:
            step.done(False, *bad)
            return
        height, width = preview.crop.pixels.shape[:2]
        found = _counted(result.summary)
        step.done(True, f"On the test image of {width} × {height} px it found {found} in {seconds:.1f} s.")
        step.hint = _doubts(preview.package, maps, self.report.objects)

    def _measure(self, step: Step, preview: PreviewJob) -> None:
        stack = prepared(preview, fitted(preview, lambda line: None), lambda line: None)[0]
        model = self.models.get(preview.package)
        speed = time_model(model, stack[len(stack) // 2], lambda: self.progress("timing", 0.5, ""), self.log)
        self.report.seconds_per_megapixel = speed.seconds_per_megapixel
        self.report.measured = speed.measured
        machine = f"{os.cpu_count()} cores {platform.machine()}"
        self.report.ert = ert_figures(self.report.load_s or 0.0, speed, self.models.device, machine)
        where = f"on {machine}" if self.models.device == "cpu" else f"on {self.models.device}"
        largest = speed.measured[-1]["megapixels"]
        step.done(
            True, f"{speed.seconds_per_megapixel:.2g} s per megapixel {where}, warm, at {largest:.2f} megapixels."
        )


def run_check(
    job: CheckJob,
    models: ModelCache,
    limits: Settings,
    out: Path,
    report: Callable[[Progress], None],
    log: Callable[[str], None],
    cancelled: Callable[[], bool],
    written: Callable[[str], None] = lambda name: None,
) -> PreviewResult:
    """Check a package and write files of `CHECK_FILES` into the folder `out`, report.json always among them.

    `report`, `log`, `cancelled` and `written` are as for a preview. Raises `Cancelled`, and OSError for a full disk.
    """
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        log(line)

    def progress(stage: str, share: float, message: str) -> None:
        if cancelled():
            raise Cancelled("The job was cancelled.")
        ends = min((begin for begin in BEGINS.values() if begin > BEGINS[stage]), default=1.0)
        report(Progress(stage, round(BEGINS[stage] + share * (ends - BEGINS[stage]), 4), message))

    check = Check(job, models, limits, out, progress, tell)
    check.run()
    said = check.report.to_json()
    files.write_json(out / "report.json", said)
    files.write_json(out / "manifest.json", _manifest(job, check, said))
    (out / "log.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    made = [name for name in CHECK_FILES if name in {*check.made, "report.json", "manifest.json", "log.txt"}]
    for name in made:
        written(name)
    summary = {name: said[name] for name in ("passed", "objects", "load_s", "seconds_per_megapixel", "difference")}
    return PreviewResult(made, summary, check.timings)


def _manifest(job: CheckJob, check: Check, said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": "check",
        "settings": dict(job.settings),
        "source": dict(job.source),
        "device": check.models.device,
        "software": software("onnxruntime"),
        "passed": said["passed"],
        "timings": check.timings,
    }


def _larger(one: float | None, other: float) -> float:
    return other if one is None or not other <= one else one


def _not_reproduced(found: Reproduction, which: str) -> tuple[bool, str, str]:
    if not np.isfinite(found.difference) and found.mismatched_ppm > 0 and "shape" not in found.text:
        bad = "The network's output holds values that are no numbers (NaN or infinity): its weights are damaged"
        return False, f"{bad}, or they do not belong to it.", "Save the trained weights again and upload them."
    return (
        False,
        f"The test output{which} is not reproduced: {found.text}.",
        "Check that weights, preprocessing and test tensors are of the same training; or make new test tensors.",
    )


def _not_numbers(maps: np.ndarray) -> tuple[str, str] | None:
    """A sentence and a hint when the network's maps hold values that are no numbers."""
    wrong = float((~np.isfinite(maps)).mean())
    if not wrong:
        return None
    return (
        f"{wrong:.0%} of the values that the network makes are no numbers (NaN or infinity): its weights are damaged.",
        "Save the trained weights again and upload them.",
    )


def _counted(summary: Mapping[str, Any]) -> str:
    classes = {name: count for name, count in (summary.get("classes") or {}).items() if count}
    if len(classes) > 1:
        told = ", ".join(f"{count} {name}" for name, count in classes.items())
        return f"{summary['objects']} objects ({told})"
    name = next(iter(classes or summary.get("classes") or ()), "object")
    count = summary["objects"]
    return f"{count} {name}" if count == 1 else f"{count or 'no'} {name if name.endswith('s') else name + 's'}"


def _doubts(package: ModelPackage, maps: np.ndarray, objects: int) -> str:
    """What the author should look at, though nothing failed."""
    low, high = float(maps.min()), float(maps.max())
    if package.head["kind"] in WANT_PROBABILITIES and (low < -SLACK or high > 1 + SLACK) and maps.ndim == 2:
        return (
            f"The values of its map reach from {low:.3g} to {high:.3g}: if these are no probabilities, "
            "end the network, or the package's postprocessing, with a sigmoid."
        )
    if not objects:
        return "Nothing was found: check the head, its threshold, the channels and the pixel size of the test image."
    return ""
