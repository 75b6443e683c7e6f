"""The recipe of the seed model `blood-cells`: red cells, white cells and platelets of stained smears, as boxes."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from worker.heads.boxes import Boxes
from worker.heads.grid import decode_grid
from worker.training import augment
from worker.training.about import ABOUT
from worker.training.blood_data import CLASSES, Smear, halved, read_blood, whole_images
from worker.training.box_scores import scores_of_classes
from worker.training.data import scale_range
from worker.training.description import CARDS, Description, Sample, shown_with_boxes
from worker.training.grid_network import GRID_STRIDE, INPUT_STRIDE, RECEPTIVE_RADIUS, build_grid_network
from worker.training.grid_targets import grid_loss, grid_targets, random_view
from worker.training.loop import Plan, train

log = logging.getLogger(__name__)

# Training works on halved images, so its window and stride are half of those of the package.
WINDOW, BATCH = 224, 8
HALVED_STRIDE = GRID_STRIDE // 2
PERCENTILES = (1.0, 99.0)
STRIDE, HALO = INPUT_STRIDE, -(-RECEPTIVE_RADIUS // INPUT_STRIDE) * INPUT_STRIDE
OUTPUT_RANGE = (None, None)
# Of the weights in the package: finer steps change no score.
MANTISSA_BITS = 12
PLAN = Plan(steps=3400, peak_rate=2e-3, averaging=0.995)
HEAD: dict[str, Any] = {
    "kind": "grid-detector",
    "stride": GRID_STRIDE,
    "classes": [
        {"object": "red blood cell", "objects": "red blood cells", "colour": "#D55E00"},
        {"object": "white blood cell", "objects": "white blood cells", "colour": "#0072B2", "threshold": 0.3},
        {"object": "platelet", "objects": "platelets", "colour": "#009E73", "threshold": 0.3},
    ],
    "scores": [0, 1, 2],
    "offset": [3, 4],
    "size": [5, 6],
    # Red cells in clumps score low; platelets and white cells below 0.3 are mostly none.
    "threshold": 0.2,
    "overlap": 0.5,
}


def build(normalise: bool = True) -> keras.Model:
    """The network, that of training on halved images or, folded, that of the package on whole ones."""
    return build_grid_network(len(CLASSES), halve=not normalise, normalise=normalise)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/blood/train`, choosing the checkpoint on `val`; returns the best weights."""
    smears, held_out = (read_blood(data, split, PERCENTILES) for split in ("train", "val"))
    drawn = whole_images(smears, BATCH, seed=1)
    return train(build(), drawn, _augmented, _loss, lambda model: mean_score(model, held_out), plan, folder)


def _augmented(images: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    images, rows, shown = random_view(images, rows, WINDOW, min_scale=0.75, max_scale=1.3, tilt=0.25)
    images = tf.ensure_shape(images, [None, WINDOW, WINDOW, 3])
    shown = tf.ensure_shape(shown, [None, WINDOW, WINDOW, 1])
    images = augment.random_intensity(images, grey_chance=0.03)
    return images, grid_targets(rows, shown, len(CLASSES), HALVED_STRIDE)


def _loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    return grid_loss(targets, maps, len(CLASSES), HALVED_STRIDE)


def predict(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """Maps of a normalised image (y, x, 3), halved if the network was built so, padded to the network's stride."""
    step = INPUT_STRIDE // 2 if _sees_halved(model) else INPUT_STRIDE
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % step), (0, -width % step), (0, 0)), mode="reflect")
    return np.asarray(model(padded[None], training=False))[0].astype(np.float32)


def _sees_halved(model: keras.Model) -> bool:
    return not any(isinstance(layer, keras.layers.AveragePooling2D) for layer in model.layers)


def found_in(model: keras.Model, smears: list[Smear]) -> list[Boxes]:
    """The boxes of each image at the settings of the package; `model` is the network as trained or as exported."""
    found = []
    for smear in smears:
        image = smear.image if _sees_halved(model) else scale_range(smear.pixels, *PERCENTILES)
        found.append(decode_grid(predict(model, image), HEAD, shape=smear.pixels.shape[:2]))
    return found


def class_scores(model: keras.Model, smears: list[Smear]) -> list[float]:
    """AP at IoU 0.5 of each class."""
    return scores_of_classes([smear.boxes for smear in smears], found_in(model, smears), len(CLASSES))


def mean_score(model: keras.Model, smears: list[Smear]) -> float:
    scores = class_scores(model, smears)
    told = ", ".join(f"{name} {score:.3f}" for name, score in zip(CLASSES, scores, strict=True))
    log.info("AP at IoU 0.5: %s", told)
    return float(np.mean(scores))


ORIGIN = "BCCD dataset, {name}, kept for validation"
SAMPLES = (("BloodImage_00029", "Stained smear with a neutrophil"), ("BloodImage_00207", "Stained smear"))


def describe(model: keras.Model, data: Path) -> Description:
    """The words, scores on `val` and samples of the package."""
    training, held_out = (read_blood(data, split, PERCENTILES) for split in ("train", "val"))
    by_class = class_scores(model, held_out)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    names = [each["objects"] for each in HEAD["classes"]]
    scores: list[dict[str, Any]] = [
        {"dataset": f"BCCD validation, {name}", "split": "val", "metric": metric, "value": round(float(value), 3),
         "images": len(held_out), "date": today}
        for name, metric, value in zip(
            [*names, "mean of the classes"], ["AP at IoU 0.5"] * len(names) + ["mAP at IoU 0.5"],
            [*by_class, float(np.mean(by_class))], strict=True,
        )
    ]  # fmt: skip
    pixels = {smear.name: smear.pixels for smear in held_out}
    card = (CARDS / "blood-cells.md").read_text(encoding="utf-8")
    return Description(
        id="blood-cells",
        version="1.0.1",
        name="Blood cells",
        description="Red cells, white cells and platelets of stained blood smears, each in a box.",
        licence="MIT",
        cite=[
            {"text": "BCCD dataset, annotated blood smears (MIT licence)",
             "url": "https://github.com/Shenggan/BCCD_Dataset"},
            {"text": "Zhou et al. 2019, Objects as points", "doi": "10.48550/arXiv.1904.07850"},
        ],
        tags=["blood", "cells", "object-detection", "bright-field-microscopy", "histology", "2d", "tensorflow", "keras",
              "zooscope"],
        channel_names=["red", "green", "blue"],
        output_channels=["red_cell", "white_cell", "platelet", "offset_x", "offset_y", "log_width", "log_height"],
        percentiles=PERCENTILES,
        pixel_size_um=None,
        card=card.format(
            train_images=len(training),
            val_images=len(held_out),
            train_boxes=sum(len(smear.boxes) for smear in training),
            parameters=f"{model.count_params():,}",
            scores="\n".join(f"- {row['dataset']}: {row['metric']} {row['value']:.3f}" for row in scores),
        ),
        samples=[
            Sample(f"sample_{number}.jpg", title, ORIGIN.format(name=name), "MIT", pixels[name])
            for number, (name, title) in enumerate(SAMPLES, start=1)
        ],
        bioimageio={"modality": "light microscopy", "target_structure": ["red blood cell", "white blood cell",
                    "platelet"], "task": "object detection", "architecture_type": "centre-heatmap detector",
                    "out_of_scope_use": "Diagnosis; counting for a patient; unstained blood; other magnifications."},
        zooscope={
            "head": HEAD,
            "input": {"grey_to_rgb": True},
            "preview": {"maximum_pixels": 16_777_216, "colour": "#D55E00"},
            "finds": "red cells, white cells and platelets, in boxes",
            "images": "stained blood smears at high magnification",
            "not_for": "diagnosis, unstained blood, other magnifications, telling kinds of white cells apart",
            "pixel_size": {"value_um": 0.07, "nominal": True},
            "about": ABOUT["blood-cells"],
            "scores": scores,
        },
    )  # fmt: skip


def picture(model: keras.Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sample as shown, and with its boxes drawn over it; both uint8 (y, x, 3)."""
    image = scale_range(pixels, *PERCENTILES)
    maps = predict(model, halved(image) if _sees_halved(model) else image)
    boxes = decode_grid(maps, HEAD, shape=pixels.shape[:2])
    return shown_with_boxes(pixels, boxes, [each["colour"] for each in HEAD["classes"]])
