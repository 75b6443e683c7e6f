"""The recipe of the seed model `blood-cells`: red cells, white cells and platelets of stained smears, as boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from worker.heads.boxes import Boxes
from worker.heads.grid import decode_grid
from worker.training import augment
from worker.training.blood_data import CLASSES, Smear, read_blood, whole_images
from worker.training.box_scores import scores_of_classes
from worker.training.grid_network import GRID_STRIDE, INPUT_STRIDE, build_grid_network
from worker.training.grid_targets import grid_loss, grid_targets, random_view
from worker.training.loop import Plan, train

# Training works on halved images, so its window and stride are half of those of the package.
WINDOW, BATCH = 224, 8
HALVED_STRIDE = GRID_STRIDE // 2
PERCENTILES = (1.0, 99.0)
PLAN = Plan(steps=4000, peak_rate=2e-3, averaging=0.995)
HEAD: dict[str, Any] = {
    "kind": "grid-detector",
    "stride": GRID_STRIDE,
    "classes": [
        {"object": "red blood cell", "objects": "red blood cells", "colour": "#D55E00"},
        {"object": "white blood cell", "objects": "white blood cells", "colour": "#0072B2"},
        {"object": "platelet", "objects": "platelets", "colour": "#009E73"},
    ],
    "scores": [0, 1, 2],
    "offset": [3, 4],
    "size": [5, 6],
    "threshold": 0.1,
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
    """Maps of a halved, normalised image (y, x, 3), padded to the network's stride."""
    step = INPUT_STRIDE // 2
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % step), (0, -width % step), (0, 0)), mode="reflect")
    return np.asarray(model(padded[None], training=False))[0].astype(np.float32)


def found_in(model: keras.Model, smears: list[Smear]) -> list[Boxes]:
    """The boxes of each image at the settings the package will carry."""
    return [decode_grid(predict(model, smear.image), HEAD, shape=smear.pixels.shape[:2]) for smear in smears]


def class_scores(model: keras.Model, smears: list[Smear]) -> list[float]:
    """AP at IoU 0.5 of each class."""
    return scores_of_classes([smear.boxes for smear in smears], found_in(model, smears), len(CLASSES))


def mean_score(model: keras.Model, smears: list[Smear]) -> float:
    scores = class_scores(model, smears)
    print(" ".join(f"{name} {score:.4f}" for name, score in zip(CLASSES, scores, strict=True)), flush=True)
    return float(np.mean(scores))
