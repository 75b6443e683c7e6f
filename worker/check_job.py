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
from worker.check import compare, reproduces
from worker.check_cover import write_covers
from worker.check_report import FIGURES, LOAD, REPRODUCE, TEST_IMAGE, Report, Step
from worker.check_speed import begin_memory, ert_figures, one_run, peak_memory_bytes, time_model
from worker.check_tensors import make_test_tensors, save_test_tensors
from worker.check_words import counted, doubts, not_numbers, not_reproduced, shape
from worker.child_failures import short_traceback
from worker.inference import ModelCache, WarmModel
from worker.job import Cancelled, PreviewJob
from worker.manifest import software
from worker.network_tensorflow import full_precision
from worker.prepare import fitted, prepared
from worker.preview import PreviewResult, run_preview
from worker.table import head_classes
from zoo.display import to_display
from zoo.errors import Unavailable, ZooscopeError
from zoo.images import Crop
from zoo.package_safety import check_contents
from zoo.package_weights import WORDS
from zoo.packages import ModelPackage, read_package
from zoo.preview_settings import resolve
from zoo.settings import Settings

# Where a stage begins in the whole.
BEGINS = {"loading": 0.0, "reproducing": 0.2, "trying": 0.4, "timing": 0.65}
OURS = (errno.ENOSPC, errno.EFBIG)


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
    tried_s: float = 0.0

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
        weights = WORDS.get(package.weights_format, "") if package.network else "no network: its head alone works"
        step.done(True, f"Loaded in {self.report.load_s:.1f} s on {self._device}: {weights}.")
        return package

    @property
    def _device(self) -> str:
        return "the CPU" if self.models.device == "cpu" else self.models.device

    def _prepare(self, step: Step, package: ModelPackage) -> PreviewJob:
        """The model on its test tensors, or test tensors made with it; the job that the next steps take."""
        settings = resolve(dict(self.job.settings), package)
        preview = PreviewJob(package, self.job.crop, settings, self.job.source)
        with full_precision():
            self._compare(step, preview)
        return preview

    def _exact(self, package: ModelPackage, anew: bool = False) -> WarmModel:
        """The model as its author's tensors are compared with: on a card never in half precision."""
        if self.models.device == "cpu":
            return self.models.load(package) if anew else self.models.get(package)
        return WarmModel(package, self.models.device, self.models.threads, exact=True)

    def _compare(self, step: Step, preview: PreviewJob) -> None:
        package, model = preview.package, self._exact(preview.package)
        if not package.test_input or not package.test_output:
            self._make_tensors(step, preview, model)
            return
        said = []
        for frames in [None, *package.variant_tests]:
            found = reproduces(package, model, frames)
            self.report.difference = _larger(self.report.difference, found.difference)
            said.append((found, f" with {frames} planes" if frames else ""))
        wrong = [(found, which) for found, which in said if not found.agrees]
        if wrong:
            step.done(*not_reproduced(*wrong[0]))
        else:
            step.done(True, f"The test output is reproduced: {said[0][0].text}.")

    def _make_tensors(self, step: Step, preview: PreviewJob, model: WarmModel) -> None:
        given, made = make_test_tensors(preview, model)
        bad = not_numbers(made)
        if bad:
            step.done(False, *bad)
            return
        # Loaded anew: weights that the file lacks are made at random each time.
        again = make_test_tensors(preview, self._exact(preview.package, anew=True))[1]
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
            "The package brought no test tensors; they were made of a part of the test image: "
            f"{shape(given)} in, {shape(made)} out.",
        )

    def _try(self, step: Step, preview: PreviewJob) -> None:
        """The real path of a preview, on the test image."""

        def told(progress: Progress) -> None:
            self.progress("trying", progress.fraction, progress.message)

        with tempfile.TemporaryDirectory(dir=self.out) as name:
            folder = Path(name)
            started = time.perf_counter()
            result = run_preview(preview, self.models, folder, told, self.log, lambda: False)
            seconds = self.tried_s = time.perf_counter() - started
            self.report.found = result.summary
            self.report.objects = int(result.summary["objects"])
            maps, labels = (tifffile.imread(folder / f"{name}.ome.tif") for name in ("probability", "labels"))
            bad = not_numbers(maps)
            with Image.open(folder / "overlay.png") as overlay:
                shown = to_display(preview.crop.pixels, preview.crop.rgb)
                self.made += write_covers(self.out, np.asarray(overlay.convert("RGB")), shown, np.squeeze(labels))
            shutil.move(folder / "overlay.png", self.out / "overlay.png")
            self.made.append("overlay.png")
        if bad:
            step.done(False, *bad)
            return
        height, width = preview.crop.pixels.shape[:2]
        found = counted(result.summary, head_classes(preview))
        step.done(True, f"On the test image of {width} × {height} px it found {found} in {seconds:.1f} s.")
        step.hint = doubts(preview.package, maps, self.report.objects)

    def _measure(self, step: Step, preview: PreviewJob) -> None:
        stack = prepared(preview, fitted(preview, lambda line: None), lambda line: None)[0]
        model = self.models.get(preview.package)
        if preview.package.network:
            speed = time_model(model, stack[len(stack) // 2], lambda: self.progress("timing", 0.5, ""), self.log)
        else:
            # What takes its time is the head alone, which was timed as a whole.
            speed = one_run(self.tried_s, stack.shape[1] * stack.shape[2])
        self.report.seconds_per_megapixel = speed.seconds_per_megapixel
        self.report.measured = speed.measured
        machine = f"{os.cpu_count()} cores {platform.machine()}"
        self.report.ert = ert_figures(self.report.load_s or 0.0, speed, self.models.device, machine)
        where = f"on {machine}" if self.models.device == "cpu" else f"on {self._device}"
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
