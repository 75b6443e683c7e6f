"""The networks of `em-mitochondria` for 3 and 5 planes: a section with its neighbours as channels, lowest first.

Serial sections are some ten times thicker than a pixel is wide: neighbours tell a mitochondrion from a dark cell, but
lie a little apart. Edge sections are repeated, as they are when the model is used. The network of 3 planes starts
from that of one, and that of 5 from it, the new planes' weights at nought.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from worker.training import augment
from worker.training.data import patches, read_em
from worker.training.loop import Plan, train
from worker.training.mitochondria import BATCH, DRAWN, PATCH, build, loss, mean_score, stacked

FRAMES = (3, 5)
# Gently: what the network for one plane knows is not to be lost before the neighbours are of use.
PLAN = Plan(steps=100, peak_rate=4e-4, warm_up=20, evaluate_every=50, averaging=0.97)
CHANGED_CHANCE = 0.4
ALONE_CHANCE = 0.15


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train in `<folder>/3`, then `<folder>/5`, from the best weights for one plane that lie in `folder`.

    Returns the best weights of the last that was begun. Raises `FileNotFoundError` without those for one plane.
    """
    best, former = folder / "best.weights.h5", build()
    if not best.exists():
        raise FileNotFoundError(f"{best} is not there: train em-mitochondria with the same --out first.")
    for frames in FRAMES:
        former.load_weights(best)
        model = build(frames=frames)
        widen(former, model)
        training, held_out = (stacked(read_em(data, split, "mitochondria"), frames) for split in ("train", "val"))
        drawn = patches(training, np.ones(len(training)), DRAWN, BATCH, seed=10 + frames)
        here = folder / str(frames)
        best, former = train(model, drawn, augmented, loss, partial(mean_score, examples=held_out), plan, here), model
        if json.loads((here / "state.json").read_text())["history"][-1]["step"] < plan.steps:
            break
    return best


def widen(former: keras.Model, wider: keras.Model) -> None:
    """Copy `former` into `wider`, which takes more planes: the former's in the middle, nought for those outside."""
    weights = former.get_weights()
    kernel = np.zeros(wider.get_weights()[0].shape, np.float32)
    outside = (kernel.shape[2] - weights[0].shape[2]) // 2
    kernel[:, :, outside : kernel.shape[2] - outside] = weights[0]
    wider.set_weights([kernel, *weights[1:]])


def augmented(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Planes are bent and turned together, reversed by half; each has its own contrast and noise, as sections do."""
    frames = images.shape[-1]
    stack = tf.concat([images, targets], axis=-1)
    stack = augment.random_affine(stack, PATCH, min_scale=0.88, max_scale=1.14, free_rotation=True)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, frames + 1])
    stack = tf.ensure_shape(augment.random_elastic(stack, amplitude=1.5, spacing=32), [None, PATCH, PATCH, frames + 1])
    planes, targets = stack[..., :frames], tf.clip_by_value(stack[..., frames:], 0.0, 1.0)
    chance = tf.random.uniform([tf.shape(planes)[0], 1, 1, 1])
    planes = tf.where(chance < 0.5, planes[..., ::-1], planes)
    middle = planes[..., frames // 2 : frames // 2 + 1]
    planes = tf.where(tf.abs(chance - 0.5) < ALONE_CHANCE / 2, middle, planes)
    apart = tf.reshape(tf.transpose(planes, [0, 3, 1, 2]), [-1, PATCH, PATCH, 1])
    changed = tf.random.uniform([tf.shape(apart)[0], 1, 1, 1]) < CHANGED_CHANCE
    apart = tf.where(changed, augment.random_intensity(apart), apart)
    apart = tf.reshape(apart, [-1, frames, PATCH, PATCH])
    return tf.transpose(apart, [0, 2, 3, 1]), targets
