"""Scores of the seed models as a user gets them: `zooscope preview` on every validation image, default settings.

`python -m benchmarks.seed_scores [MODEL …] [--data ../shared/data] [--set variations=8-flips …]`
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

import zooscope
from benchmarks.table import print_table, verdict
from worker.heads.boxes import Boxes
from worker.training.box_scores import scores_of_classes
from worker.training.scores import average_precision, cells_rand_error, dice, skeleton_f1

Row = tuple[str, str, str]
BLOOD = {"RBC": "red blood cell", "WBC": "white blood cell", "Platelets": "platelet"}


class Command:
    """Runs `zooscope preview` for one model, into a folder of its own for each image."""

    def __init__(self, model: str, folder: Path, options: Sequence[str]) -> None:
        self._model, self._folder, self._options = model, folder, list(options)
        self.seconds = 0.0

    def __call__(self, image: Path, *more: str) -> Path:
        out = self._folder / f"{image.parent.name}-{image.stem}"
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            status = zooscope.main(
                ["preview", str(image), "--model", self._model, "-o", str(out), *self._options, *more]
            )
        self.seconds += time.perf_counter() - started
        if status:
            raise SystemExit(f"zooscope preview ended with status {status}")
        return out


def nuclei(preview: Command, data: Path) -> Iterator[Row]:
    """AP at an intersection over union of 0.5, mean over images."""
    lines = (data / "nuclei" / "index.csv").read_text().splitlines()
    found: dict[str, list[float]] = {}
    for row in csv.DictReader(lines):
        if row["split"] != "val":
            continue
        folder = data / "nuclei" / "val"
        labels = tifffile.imread(preview(folder / "images" / f"{row['name']}.png") / "labels.ome.tif")
        truth = np.asarray(Image.open(folder / "labels" / f"{row['name']}.png")).astype(np.int32)
        found.setdefault(row["kind"], []).append(average_precision(truth, labels.astype(np.int32)))
    for kind, scores in found.items():
        limit = verdict(float(np.mean(scores)), 0.85, at_most=False) if kind == "fluorescence" else ""
        yield f"nuclei, AP@0.5, {kind} ({len(scores)})", f"{np.mean(scores):.3f}", limit
    everything = [score for scores in found.values() for score in scores]
    yield "nuclei, AP@0.5, all", f"{np.mean(everything):.3f}", verdict(float(np.mean(everything)), 0.75, at_most=False)


def blood_cells(preview: Command, data: Path) -> Iterator[Row]:
    """Average precision of each class over all images, from objects.csv."""
    folder = data / "blood" / "val"
    names = list(BLOOD)
    rows = list(csv.DictReader((folder / "boxes.csv").read_text().splitlines()))
    truth, found = [], []
    for image in sorted((folder / "images").iterdir()):
        own = [row for row in rows if row["image"] == image.stem]
        corners = [[float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")] for row in own]
        truth.append(_boxes(corners, [1.0] * len(own), [names.index(row["class"]) for row in own]))
        table = list(csv.DictReader((preview(image) / "objects.csv").read_text().splitlines()))
        corners = [[float(row[side]) for side in ("x_min", "y_min", "x_max", "y_max")] for row in table]
        kinds = [list(BLOOD.values()).index(row["class"]) for row in table]
        found.append(_boxes(corners, [float(row["score"]) for row in table], kinds))
    scores = scores_of_classes(truth, found, len(names))
    for name, score in zip(BLOOD.values(), scores, strict=True):
        yield f"blood-cells, AP@0.5, {name}", f"{score:.3f}", ""
    yield "blood-cells, mAP@0.5", f"{np.mean(scores):.3f}", verdict(float(np.mean(scores)), 0.88, at_most=False)


def _boxes(corners: list[list[float]], scores: list[float], kinds: list[int]) -> Boxes:
    shape = np.array(corners, np.float32).reshape(-1, 4)
    return Boxes(shape, np.array(scores, np.float32), np.array(kinds, np.int64))


def em_membranes(preview: Command, data: Path) -> Iterator[Row]:
    """F1 of the skeletons of the membranes at 2 px, adapted Rand error of the cells."""
    folder = data / "em-vnc" / "val"
    lines, rand = [], []
    for image in sorted((folder / "raw").iterdir()):
        out = preview(image)
        truth = np.asarray(Image.open(folder / "membranes" / image.name)) > 127
        labels = tifffile.imread(out / "labels.ome.tif").astype(np.int32)
        probability = tifffile.imread(out / "probability.ome.tif").reshape(-1, *truth.shape)[0]
        lines.append(skeleton_f1(truth, probability >= 0.5)[0])
        rand.append(cells_rand_error(truth, labels))
    score = float(np.mean(lines))
    yield "em-membranes, F1 of skeletons at 2 px", f"{score:.3f}", verdict(score, 0.93, at_most=False)
    yield "em-membranes, adapted Rand error of cells", f"{np.mean(rand):.3f}", "lower is better"


def em_mitochondria(preview: Command, data: Path) -> Iterator[Row]:
    """Dice of the mask for each number of planes, the sections of `val` given as one stack."""
    folder = data / "em-vnc" / "val"
    sections = sorted((folder / "raw").iterdir())
    truths = [np.asarray(Image.open(folder / "mitochondria" / path.name)) > 127 for path in sections]
    with tempfile.TemporaryDirectory() as name:
        for frames in ("1", "3", "5", "1+3+5"):
            scores = []
            for plane, truth in enumerate(truths):
                stack = Path(name) / f"stack-{frames}-{plane}.tif"
                tifffile.imwrite(
                    stack, np.stack([np.asarray(Image.open(path)) for path in sections]), photometric="minisblack",
                    imagej=True, metadata={"axes": "ZYX"},
                )  # fmt: skip
                out = preview(stack, "--plane", str(plane), "--frames", frames)
                scores.append(dice(truth, tifffile.imread(out / "labels.ome.tif").reshape(truth.shape) > 0))
            score = float(np.mean(scores))
            yield f"em-mitochondria, Dice, {frames} planes", f"{score:.3f}", verdict(score, 0.90, at_most=False)


SCORES: dict[str, Callable[[Command, Path], Iterator[Row]]] = {
    "nuclei": nuclei,
    "blood-cells": blood_cells,
    "em-membranes": em_membranes,
    "em-mitochondria": em_mitochondria,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seed_scores", description=__doc__)
    parser.add_argument("models", nargs="*", default=list(SCORES), help=f"of {', '.join(SCORES)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the preview")
    arguments = parser.parse_args()
    # A network is loaded and traced for every image, as by every command of a user.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    given = [part.partition("=") for part in arguments.set]
    options = [word for name, _, value in given for word in (f"--{name.replace('_', '-')}", value)]
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            command = Command(model, Path(folder), options)
            rows = list(SCORES[model](command, arguments.data))
        print_table(f"{model}, as `zooscope preview` gives it, in {command.seconds:.0f} s", rows)


if __name__ == "__main__":
    main()
