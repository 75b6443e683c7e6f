"""The recipe of the seed model `nuclei`: foreground and normalised distance, three kinds of image."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from worker.heads.watershed import decode_instances
from worker.training import augment
from worker.training.data import Example, patches, read_nuclei
from worker.training.loop import Plan, train
from worker.training.network import build_unet
from worker.training.scores import average_precision

PATCH, DRAWN, BATCH = 256, 352, 8
SHARE_OF_KIND = {"fluorescence": 0.62, "stained-tissue": 0.26, "brightfield-grey": 0.12}
PLAN = Plan(steps=4000)


def build(normalise: bool = True) -> keras.Model:
    return build_unet(3, 2, width=16, levels=4, normalise=normalise)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/nuclei/train`, choosing the checkpoint on `val`; returns the best weights."""
    examples, held_out = read_nuclei(data, "train"), read_nuclei(data, "val")
    drawn = patches(examples, _weights(examples), DRAWN, BATCH, seed=1)
    return train(build(), drawn, _augmented, _loss, lambda model: mean_score(model, held_out), plan, folder)


def _weights(examples: list[Example]) -> np.ndarray:
    """Kinds by their share; within a kind, larger images more often (square root of the area)."""
    weights = np.array([np.sqrt(example.image.shape[0] * example.image.shape[1]) for example in examples])
    for kind, share in SHARE_OF_KIND.items():
        chosen = np.array([example.kind == kind for example in examples])
        weights[chosen] *= share / max(weights[chosen].sum(), 1e-9)
    return weights


def _augmented(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    stack = tf.concat([images, targets], axis=-1)
    stack = augment.random_affine(stack, PATCH, min_scale=0.6, max_scale=1.7, free_rotation=True)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 5])
    images = augment.random_intensity(stack[..., :3], invert_chance=0.05, grey_chance=0.2)
    return images, tf.clip_by_value(stack[..., 3:], 0.0, 1.0)


def _loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the foreground and squared error of the distance, which counts more on objects."""
    foreground, distance = targets[..., :1], targets[..., 1:]
    entropy = tf.reduce_mean(keras.losses.binary_crossentropy(foreground, maps[..., :1]))
    weight = 1.0 + 3.0 * foreground
    return entropy + 3.0 * tf.reduce_mean(weight * tf.square(distance - maps[..., 1:]))


def predict(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """Maps (y, x, 2) of a normalised image (y, x, 3), padded to the network's stride and cropped back."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="reflect")
    return np.asarray(model(padded[None], training=False))[0, :height, :width].astype(np.float32)


def scores_by_kind(model: keras.Model, examples: list[Example]) -> dict[str, list[float]]:
    """AP at IoU 0.5 of each image, by kind."""
    found: dict[str, list[float]] = {}
    for example in examples:
        maps = predict(model, example.image)
        labels = decode_instances(maps[..., 0], maps[..., 1], minimum_area=12)
        found.setdefault(example.kind, []).append(average_precision(example.truth, labels))
    return found


def mean_score(model: keras.Model, examples: list[Example]) -> float:
    return float(np.mean([score for kind in scores_by_kind(model, examples).values() for score in kind]))
