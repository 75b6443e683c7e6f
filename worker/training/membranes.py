"""The recipe of the seed model `em-membranes`: the probability of cell membrane in ssTEM sections at 4.6 nm.

The truth marks membranes and the thin dark glia between cells alike: what is not membrane is the inside of a cell.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage
from skimage.morphology import skeletonize

from worker.training import augment
from worker.training.data import Example, patches, read_em
from worker.training.loop import Plan, train
from worker.training.network import build_unet
from worker.training.scores import skeleton_f1

PATCH, DRAWN, BATCH = 256, 352, 8
PERCENTILES = (1.0, 99.0)
PIXEL_SIZE_UM = 0.0046
THRESHOLD = 0.5
# Membranes of about this half width, and the cells' pixels this close to their middle line, count most.
THIN_PX, NEAR_PX, THIN_WEIGHT = 5.0, 4.0, 4.0
PLAN = Plan(steps=2300)


def build(normalise: bool = True) -> keras.Model:
    return build_unet(1, 1, width=16, levels=4, normalise=normalise)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/em-vnc/train`, choosing the checkpoint on `val`; returns the best weights."""
    examples, held_out = read_em(data, "train", "membranes"), read_em(data, "val", "membranes")
    weighted = [with_thin_weight(example) for example in examples]
    drawn = patches(weighted, np.ones(len(weighted)), DRAWN, BATCH, seed=3)
    return train(build(), drawn, _augmented, _loss, lambda model: mean_score(model, held_out), plan, folder)


def with_thin_weight(example: Example) -> Example:
    """The example with a second target: 1 at the middle of thin membranes, falling off beside them and in thick ones.

    A thin membrane is a small part of the area and the whole of the parting between two cells.
    """
    line = skeletonize(example.truth)
    if not line.any():
        thin = np.zeros(line.shape, np.float32)
    else:
        half_width = ndimage.distance_transform_edt(np.pad(example.truth, 1, mode="edge"))[1:-1, 1:-1]
        away, (row, column) = ndimage.distance_transform_edt(~line, return_indices=True)
        thin = np.exp(-((half_width[row, column] / THIN_PX) ** 2) - (away / NEAR_PX) ** 2).astype(np.float32)
    return dataclasses.replace(example, targets=np.concatenate([example.targets, thin[..., None]], axis=-1))


def _augmented(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    stack = tf.concat([images, targets], axis=-1)
    stack = augment.random_affine(stack, PATCH, min_scale=0.75, max_scale=1.35, free_rotation=True)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 3])
    stack = augment.random_elastic(stack, amplitude=3.0, spacing=32)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 3])
    return augment.random_intensity(stack[..., :1]), tf.clip_by_value(stack[..., 1:], 0.0, 1.0)


def _loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Cross-entropy that counts more along thin membranes, plus soft Dice over the batch."""
    membrane, thin = targets[..., :1], targets[..., 1:]
    maps = tf.clip_by_value(maps, 1e-6, 1 - 1e-6)
    entropy = -membrane * tf.math.log(maps) - (1 - membrane) * tf.math.log(1 - maps)
    weight = 1.0 + THIN_WEIGHT * thin
    overlap = 2 * tf.reduce_sum(membrane * maps) + 1.0
    dice = overlap / (tf.reduce_sum(membrane) + tf.reduce_sum(maps) + 1.0)
    return tf.reduce_sum(weight * entropy) / tf.reduce_sum(weight) + 0.5 * (1 - dice)


def predict(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """Probability of membrane (y, x) of a normalised image (y, x, 1), padded to the network's stride."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="reflect")
    return np.asarray(model(padded[None], training=False))[0, :height, :width, 0].astype(np.float32)


def mean_score(model: keras.Model, examples: list[Example]) -> float:
    """Mean F1 of the skeletons at 2 px over the sections."""
    return float(np.mean([skeleton_f1(e.truth, predict(model, e.image) >= THRESHOLD)[0] for e in examples]))
