"""The seed model `spots`: a head alone. It is packed, and judged on images that are simulated here with known truth.

`python -m worker.training.spots --out zoo/seed`
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from scipy import ndimage
from scipy.spatial import KDTree

from worker.heads.decode import decode
from worker.heads.decoded import Decoded
from worker.normalise import apply_operators
from worker.render import draw_found
from worker.training.about import ABOUT
from worker.training.description import CARDS, Sample
from worker.training.scores import average_precision
from zoo.head_classes import classes_of
from zoo.package_build import PackageParts, build_package
from zoo.pixel_scale import Scale
from zoo.preview_settings import resolve

SIDE, TEST_SIDE, MINIMUM_SIDE, HALO, COVER_SIDE = 512, 128, 64, 8, 480
HEAD: dict[str, Any] = {
    "kind": "spots", "channel": 0, "cells": 1, "method": "log", "sigma_min_px": 1.0, "sigma_max_px": 3.0,
    "threshold": 0.5, "cell_level": 0.35, "seed_height": 0.1, "smoothing": 2.0, "minimum_area_px": 200,
    "object": "spot", "objects": "spots",
}  # fmt: skip
PREPROCESSING = [{"id": "scale_range", "kwargs": {"axes": ["y", "x"], "min_percentile": 1.0, "max_percentile": 99.9}}]
COLOUR = "#D55E00"
TITLES = ("Spots in cells (simulated)", "Other cells (simulated)")
ORIGIN = "simulated by worker/training/spots.py with seed {seed}"
SAMPLE_SEEDS, JUDGED_SEEDS = (1, 2), range(100, 120)
# A spot is found when one is told within this many pixels of it.
NEAR_PX = 2.0


@dataclass(frozen=True)
class Simulated:
    """`pixels` uint8 (y, x); `cells` (y, x) int32, numbered from 1; `spots` (n, 2) float64, x and y in pixels."""

    pixels: np.ndarray
    cells: np.ndarray
    spots: np.ndarray


def simulate(seed: int, *, side: int = SIDE, cells: int = 12, spots_per_cell: float = 8.0) -> Simulated:
    """A fluorescence image: textured elliptic cells on an uneven ground, spots in and a few outside them, noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] + 0.5
    labels = _ellipses(rng, side, cells)
    texture = 1 + 0.5 * ndimage.gaussian_filter(rng.standard_normal((side, side)), 8) * 8
    brightness = np.concatenate([[0], rng.uniform(30, 60, labels.max())])
    ground = 8 + 8 * x / side + 6 * np.exp(-((x - side / 3) ** 2 + (y - side / 2) ** 2) / (2 * (side / 3) ** 2))
    plane = ground + ndimage.gaussian_filter(brightness[labels] * texture, 1.5)
    inner = ndimage.distance_transform_edt(labels > 0)
    places: list[tuple[float, float]] = []
    for number in range(labels.max() + 1):
        where = np.argwhere((labels == number) & (inner > 5)) if number else np.argwhere(labels == 0)
        for _ in range(rng.poisson(spots_per_cell if number else 4)):
            row, column = where[rng.integers(len(where))] + rng.uniform(0, 1, 2)
            if all(np.hypot(column - other[0], row - other[1]) > 6 for other in places):
                places.append((column, row))
    for column, row in places:
        sigma, height = rng.uniform(1.2, 2.2), rng.uniform(35, 110)
        plane += height * np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))
    # Three photons a grey level, and a camera's noise of two levels.
    noisy = rng.poisson(3 * plane) / 3 + rng.normal(0, 2, plane.shape)
    return Simulated(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), labels, np.array(places).reshape(-1, 2))


def _ellipses(rng: np.random.Generator, side: int, count: int) -> np.ndarray:
    """Labels of `count` ellipses that may touch but hardly overlap, int32."""
    y, x = np.mgrid[:side, :side] + 0.5
    labels, placed = np.zeros((side, side), np.int32), np.zeros((0, 3))
    while len(placed) < count:
        long = rng.uniform(30, 46)
        middle = rng.uniform(long + 4, side - long - 4, 2)
        if (np.hypot(*(placed[:, :2] - middle).T) > 0.95 * (placed[:, 2] + long)).all():
            placed = np.vstack([placed, [*middle, long]])
            turn, short = rng.uniform(0, np.pi), long * rng.uniform(0.75, 1)
            along = (x - middle[0]) * np.cos(turn) + (y - middle[1]) * np.sin(turn)
            across = (y - middle[1]) * np.cos(turn) - (x - middle[0]) * np.sin(turn)
            labels[((along / long) ** 2 + (across / short) ** 2 < 1) & (labels == 0)] = len(placed)
    return labels


def found_in(pixels: np.ndarray) -> Decoded:
    """What a preview of uint8 (y, x) with the default settings finds."""
    plane = apply_operators(np.repeat(pixels[..., None], 2, axis=-1), PREPROCESSING).astype(np.float32)
    return decode(plane, HEAD, resolve({}, {"head": HEAD}), Scale(), pixels.shape)


def score(truth: Simulated, found: Decoded) -> dict[str, float]:
    """F1 of the spots, average precision of the cells at an IoU of 0.5, mean error of the counts of the cells."""
    assert found.points is not None
    spots = found.points.xy
    pairs = KDTree(truth.spots).sparse_distance_matrix(KDTree(spots), NEAR_PX, output_type="ndarray")
    pairs = np.sort(pairs, order="v")
    hit = 0
    free = np.ones(len(truth.spots), bool), np.ones(len(spots), bool)
    for one, other, _ in pairs.tolist():
        if free[0][one] and free[1][other]:
            free[0][one] = free[1][other] = False
            hit += 1
    counts = np.bincount(truth.cells[tuple(truth.spots[:, ::-1].astype(int).T)], minlength=truth.cells.max() + 1)
    told = np.bincount(found.points.parent, minlength=found.labels.max() + 1)
    errors = []
    for number in range(1, truth.cells.max() + 1):
        own = np.bincount(found.labels[truth.cells == number], minlength=len(told))[1:]
        best = int(own.argmax()) + 1 if own.any() else 0
        errors.append(abs(int(counts[number]) - (int(told[best]) if best else 0)))
    return {
        "F1 of spots": 2 * hit / (len(truth.spots) + len(spots)),
        "AP of cells at IoU 0.5": average_precision(truth.cells, found.labels, 0.5),
        "mean error of spots per cell": float(np.mean(errors)),
    }


def scores() -> list[dict[str, Any]]:
    """The means over the simulated images, as rows for the package."""
    judged = [score(truth, found_in(truth.pixels)) for truth in (simulate(seed) for seed in JUDGED_SEEDS)]
    return [
        {
            "dataset": "simulated cells with spots",
            "split": "seeds 100 to 119",
            "metric": metric,
            "value": round(float(np.mean([each[metric] for each in judged])), 3),
            "images": len(judged),
        }
        for metric in judged[0]
    ]


def measured() -> dict[str, Any]:
    """Seconds of one core per megapixel of the head, which is all there is to compute."""
    pixels = np.tile(simulate(SAMPLE_SEEDS[0]).pixels, (2, 2))
    durations = []
    for _ in range(3):
        started = time.process_time()
        found_in(pixels)
        durations.append(time.process_time() - started)
    return {
        "load_s": 0.0,
        "seconds_per_megapixel": round(min(durations) / (pixels.size / 1e6), 3),
        "measured_on": f"{os.cpu_count()} cores {platform.machine()}",
        "n": len(durations),
    }


def identity() -> keras.Model:
    """The network that hands its input on: two channels in, two maps out."""
    inputs = keras.Input((None, None, 2), name="image")
    return keras.Model(inputs, keras.layers.Identity(name="maps")(inputs))


def export(out: Path) -> Path:
    """Write `<out>/spots.zip`."""
    rows, made = scores(), [simulate(seed) for seed in SAMPLE_SEEDS]
    samples = [
        Sample(f"sample_{index + 1}.png", TITLES[index], ORIGIN.format(seed=seed), "CC0-1.0", made[index].pixels)
        for index, seed in enumerate(SAMPLE_SEEDS)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "model.keras"
        identity().save(weights)
        for sample in samples:
            Image.fromarray(sample.pixels).save(folder / sample.file)
        tensor = np.repeat(made[0].pixels[:TEST_SIDE, :TEST_SIDE, None], 2, axis=-1).astype(np.float32)
        np.save(folder / "test_input.npy", tensor[None])
        np.save(folder / "test_output.npy", apply_operators(tensor, PREPROCESSING)[None].astype(np.float32))
        # Grey with alpha is the picture of two channels that all readers know.
        Image.fromarray(tensor.astype(np.uint8), "LA").save(folder / "sample_tensor.png")
        covers = _covers(made[0].pixels, folder)
        card = folder / "README.md"
        card.write_text(_card(rows), encoding="utf-8")
        parts = PackageParts(
            id="spots",
            version="1.0.1",
            name="Spots per cell",
            description="Bright spots in fluorescence images, counted in each cell. A filter, not a trained network.",
            licence="CC0-1.0",
            authors=[{"name": "The Zooscope founders"}],
            cite=[
                {"text": "Lindeberg 1998, Feature detection with automatic scale selection",
                 "doi": "10.1023/A:1008045108935"},
                {"text": "Otsu 1979, A threshold selection method from gray-level histograms",
                 "doi": "10.1109/TSMC.1979.4310076"},
            ],
            tags=["spots", "foci", "fish", "counting", "cells", "fluorescence-light-microscopy", "2d", "zooscope"],
            card=card,
            covers=covers,
            weights=weights,
            keras_version=keras.__version__,
            tensorflow_version=tf.__version__,
            channel_names=["spots", "cells"],
            output_channels=["spots", "cells"],
            preprocessing=PREPROCESSING,
            minimum_size=MINIMUM_SIDE,
            stride=HALO,
            halo=HALO,
            pixel_size_um=None,
            test_input=folder / "test_input.npy",
            test_output=folder / "test_output.npy",
            sample=folder / "sample_tensor.png",
            attachments=[folder / sample.file for sample in samples],
            output_range=(None, None),
            bioimageio={"modality": "light microscopy", "target_structure": ["spot", "cell"], "task": "spot detection",
                        "out_of_scope_use": "Diagnosis; dark spots; cells no brighter than their surroundings.",
                        "model_parameter_count": 0},
            zooscope=_zooscope(rows, samples),
        )  # fmt: skip
        return build_package(parts, out / "spots.zip")


def _zooscope(rows: list[dict[str, Any]], samples: list[Sample]) -> dict[str, Any]:
    return {
        "head": HEAD,
        "network": False,
        "ert": {"cpu": measured()},
        "frames": 1,
        "stride": HALO,
        "halo": HALO,
        "input": {"grey_to_rgb": True},
        "preview": {"maximum_pixels": 16_777_216, "colour": COLOUR},
        "finds": "bright spots, counted in each cell",
        "images": "fluorescence, one or two channels",
        "not_for": "diagnosis, dark spots, cells no brighter than their surroundings, counting in three dimensions",
        "about": ABOUT["spots"],
        "samples": [sample.to_json() for sample in samples],
        "scores": rows,
    }


def _card(rows: list[dict[str, Any]]) -> str:
    told = "\n".join(f"- {row['metric']}: {row['value']:.3f}" for row in rows)
    words = (CARDS / "spots.md").read_text(encoding="utf-8")
    return words.format(minimum_area=HEAD["minimum_area_px"], images=rows[0]["images"], scores=told)


def _covers(pixels: np.ndarray, folder: Path) -> list[Path]:
    """The sample with what is found in it, and as it is."""
    shown = np.clip(pixels.astype(np.uint16) * 255 // int(np.percentile(pixels, 99.9)), 0, 255).astype(np.uint8)
    pictures = []
    for name, picture in (
        ("cover.jpg", draw_found(shown, found_in(pixels), classes_of(HEAD, COLOUR))),
        ("cover_before.jpg", shown),
    ):
        square = Image.fromarray(picture[:COVER_SIDE, :COVER_SIDE])
        square.convert("RGB").save(folder / name, quality=88)
        pictures.append(folder / name)
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.training.spots", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where spots.zip goes")
    print(export(parser.parse_args().out))


if __name__ == "__main__":
    main()
