"""A resumable training loop: cosine learning rate, checkpoint every few hundred steps, the best on `val` kept."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

log = logging.getLogger(__name__)

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train. `evaluate_every` and `steps` count optimiser steps; after `minutes` the run is
    saved and ends, to be resumed. With `averaging` above 0, what is scored and kept is the running mean of the weights,
    of which each step keeps that share (Polyak & Juditsky 1992)."""

    steps: int
    peak_rate: float = 2e-3
    warm_up: int = 100
    evaluate_every: int = 250
    weight_decay: float = 1e-4
    minutes: float = math.inf
    averaging: float = 0.0

    def rate(self, step: int) -> float:
        if step < self.warm_up:
            return self.peak_rate * (step + 1) / self.warm_up
        progress = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.peak_rate * max(0.01, 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def train(
    model: keras.Model,
    batches: Iterator[Batch],
    augment: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    evaluate: Callable[[keras.Model], float],
    plan: Plan,
    folder: Path,
) -> Path:
    """Train `model`, resuming from `folder` when it holds a checkpoint; returns the path of the best weights."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = keras.optimizers.AdamW(plan.peak_rate, weight_decay=plan.weight_decay, clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    step_now = tf.Variable(0, dtype=tf.int64)
    kept = keras.models.clone_model(model) if plan.averaging else model
    kept.set_weights(model.get_weights())
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step_now)
    if plan.averaging:
        checkpoint.average = kept
    manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), max_to_keep=2)
    state_file, best_file = folder / "state.json", folder / "best.weights.h5"
    state: dict = {"best": -1.0, "seconds": 0.0, "history": []}
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).expect_partial()
        state = json.loads(state_file.read_text())
        log.info("resuming at step %d", int(step_now))

    @tf.function(reduce_retracing=True)
    def step(images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        images, targets = augment(images, targets)
        with tf.GradientTape() as tape:
            value = loss(targets, model(images, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        if plan.averaging:
            # Less inertia at first, or the mean would long remember the random start.
            now = tf.cast(step_now, tf.float32)
            inertia = tf.minimum(plan.averaging, (1 + now) / (10 + now))
            for mean, weight in zip(kept.weights, model.weights, strict=True):
                mean.assign(inertia * mean + (1 - inertia) * weight)
        return value

    losses, started = [], time.monotonic()
    ends = started + 60 * plan.minutes
    while int(step_now) < plan.steps:
        optimizer.learning_rate.assign(plan.rate(int(step_now)))
        losses.append(float(step(*next(batches))))
        step_now.assign_add(1)
        if int(step_now) % plan.evaluate_every and int(step_now) < plan.steps and time.monotonic() < ends:
            continue
        score = evaluate(kept)
        state["seconds"] += time.monotonic() - started
        started = time.monotonic()
        state["history"].append({"step": int(step_now), "loss": float(np.mean(losses)), "score": score})
        log.info(
            "step %d of %d: loss %.4f, score %.4f, %.0f s",
            int(step_now), plan.steps, np.mean(losses), score, state["seconds"],
        )  # fmt: skip
        losses = []
        if score > state["best"]:
            state["best"] = score
            kept.save_weights(best_file)
        manager.save()
        state_file.write_text(json.dumps(state, indent=1))
        if time.monotonic() >= ends:
            log.info("stopped after %.0f minutes; run again to go on", plan.minutes)
            break
    return best_file
