"""The recipe of the seed model `em-mitochondria`: a probability mask in ssTEM sections at 4.6 nm."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from worker.training import augment
from worker.training.data import Example, patches, read_em
from worker.training.loop import Plan, train
from worker.training.network import build_unet
from worker.training.scores import dice

PATCH, DRAWN, BATCH = 256, 352, 8
PLAN = Plan(steps=2000)


def build(normalise: bool = True) -> keras.Model:
    return build_unet(1, 1, width=16, levels=4, normalise=normalise)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/em-vnc/train`, choosing the checkpoint on `val`; returns the best weights."""
    examples, held_out = read_em(data, "train", "mitochondria"), read_em(data, "val", "mitochondria")
    drawn = patches(examples, np.ones(len(examples)), DRAWN, BATCH, seed=2)
    return train(build(), drawn, _augmented, _loss, lambda model: mean_score(model, held_out), plan, folder)


def _augmented(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    stack = tf.concat([images, targets], axis=-1)
    stack = augment.random_affine(stack, PATCH, min_scale=0.75, max_scale=1.35, free_rotation=True)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 2])
    return augment.random_intensity(stack[..., :1]), tf.clip_by_value(stack[..., 1:], 0.0, 1.0)


def _loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Cross-entropy plus soft Dice over the batch, so that the rare class counts."""
    entropy = tf.reduce_mean(keras.losses.binary_crossentropy(targets, maps))
    overlap = 2 * tf.reduce_sum(targets * maps) + 1.0
    return entropy + 0.5 * (1 - overlap / (tf.reduce_sum(targets) + tf.reduce_sum(maps) + 1.0))


def mean_score(model: keras.Model, examples: list[Example]) -> float:
    """Mean Dice at threshold 0.5 over the sections."""
    found = []
    for example in examples:
        probability = np.asarray(model(example.image[None], training=False))[0, ..., 0]
        found.append(dice(example.truth, probability >= 0.5))
    return float(np.mean(found))
